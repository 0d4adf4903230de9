"""SCORE, consistency and boundary guidance: their terms, their gradients, and a defender that holds more."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.engine.tasks import blobs, network, task
from torch import nn
from torch.nn import functional as F

from sparring.attacks import PGD
from sparring.engine.run import Run
from sparring.game import Game
from sparring.objectives import cross_entropy
from sparring.strategies import AWP, LBGAT, SCORE, Consistency, Guided, Shifted, Standard
from sparring.strategies.score import prediction_distance
from sparring.threats import LInf


def test_score_is_two_squared_distances(duel) -> None:
    d = duel()
    d.model.eval()
    x_adv = (d.batch[0] + 0.05).clamp(0, 1)
    terms = SCORE(beta=3.0).loss(d.game, d.batch, x_adv)
    p, q = d.model(d.batch[0]).softmax(1), d.model(x_adv).softmax(1)
    label = F.one_hot(d.batch[1], 3)
    torch.testing.assert_close(terms["natural"], (p - label).square().sum(1).mean())
    torch.testing.assert_close(terms["robust"], 3 * (q - p).square().sum(1).mean())
    torch.testing.assert_close(prediction_distance(d.model(x_adv), d.model(d.batch[0])).mean() * 3, terms["robust"])


def test_scores_attack_moves_the_prediction_most(duel) -> None:
    d = duel(PGD(steps=10))
    x = d.batch[0]
    found = SCORE().perturb(d.game, d.batch, d.state)
    d.model.eval()
    far = prediction_distance(d.model(found), d.model(x)).mean()
    random = d.game.threat.sample(x, generator=torch.Generator().manual_seed(1))
    near = prediction_distance(d.model(random), d.model(x)).mean()
    assert float(far.detach()) > 1.5 * float(near.detach())
    assert bool((d.game.threat.violation(found, x) == 0).all())


def test_consistency_reads_two_attacked_views(duel) -> None:
    d = duel()
    views: list[torch.Tensor] = []

    def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        views.append((x + 0.01 * torch.rand(x.shape, generator=generator)).clamp(0, 1))
        return views[-1]

    strategy = Consistency(weight=2.0, temperature=0.5, augment=augment)
    x_adv = strategy.perturb(d.game, d.batch, d.state)
    assert x_adv.shape == (48, 5)
    assert bool((d.game.threat.violation(x_adv, torch.cat(views)) == 0).all())
    d.model.eval()
    terms = strategy.loss(d.game, d.batch, x_adv)
    p, q = (d.model(part).div(0.5).softmax(1) for part in x_adv.chunk(2))
    m = (p + q) / 2
    js = ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)) / 2
    torch.testing.assert_close(terms["consistency"], 2 * js.mean())
    torch.testing.assert_close(terms["adversarial"], F.cross_entropy(d.model(x_adv), d.batch[1].repeat(2)))
    same = strategy.loss(d.game, d.batch, torch.cat([d.batch[0]] * 2))
    assert float(same["consistency"].detach().abs()) < 1e-6


def test_shifted_views_are_pieces_of_the_picture() -> None:
    x = torch.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    drawn = Shifted(2)(x.repeat(50, 1, 1, 1), torch.Generator().manual_seed(0))
    assert drawn.shape == (100, 3, 4, 5)
    whole = {tuple(image.flatten().tolist()) for image in drawn[::2]}
    assert 10 < len(whole) <= 25
    assert bool((drawn[::2].unique() <= 59).all())
    assert torch.equal(Shifted(0)(x, torch.Generator()), x)
    flipped = Shifted(0, flip=True)(x.repeat(20, 1, 1, 1), torch.Generator().manual_seed(0))
    assert {bool(torch.equal(i, x[0])) for i in flipped[::2]} == {True, False}
    assert any(torch.equal(i, x[0].flip(-1)) for i in flipped[::2])
    with pytest.raises(TypeError, match="only images"):
        Shifted()(torch.zeros(2, 5), torch.Generator())


def guided(d) -> Game:
    return replace(d.game, defender=Guided(d.model))


def test_the_student_follows_the_guide(duel) -> None:
    d = duel()
    game = guided(d)
    game.defender.eval()
    x_adv = (d.batch[0] + 0.05).clamp(0, 1)
    terms = LBGAT(guidance=2.0, beta=1.5).loss(game, d.batch, x_adv)
    g, f = game.defender.guide(d.batch[0]), game.defender.student(x_adv)
    torch.testing.assert_close(terms["natural"], F.cross_entropy(g, d.batch[1]))
    torch.testing.assert_close(terms["guidance"], 2 * (f - g).square().mean())
    assert set(terms) == {"natural", "guidance", "robust"}
    assert torch.equal(game.defender(x_adv), f)


def test_guidance_needs_a_pair(duel) -> None:
    d = duel()
    with pytest.raises(TypeError, match=r"Guided\(model\)"):
        LBGAT().step(d.game, d.batch, d.state)


@pytest.mark.parametrize("strategy", [SCORE(), LBGAT(), AWP(inner=LBGAT(), gamma=0.01), AWP(inner=SCORE())])
def test_training_with_it_holds_more_than_plain_training(tmp_path, strategy) -> None:
    x, y = blobs()

    def robust(made) -> float:
        attack = PGD(steps=20)
        found = attack(made, (x, y), LInf(0.12, 0, 1), generator=torch.Generator().manual_seed(0))
        return 1 - float(found.success.double().mean())

    def fit(chosen, name: str) -> nn.Module:
        base = task("standard", epochs=20)
        model = network(dropout=0.0, width=32)
        if name != "plain" and "LBGAT" in repr(chosen):
            model = Guided(model)
        game = Game(model, PGD(steps=7), cross_entropy, LInf(0.12, 0, 1))
        return Run(tmp_path / name, 0, quiet=True).train(replace(base, game=game, strategy=chosen), name)

    assert robust(fit(strategy, "hardened")) > robust(fit(Standard(), "plain")) + 0.03


def test_training_stops_when_patience_is_out_and_resumes_no_further(tmp_path) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.9, 0.9, 0.9])
    short = replace(
        task("standard", epochs=7), validate=lambda _: {"robust": next(scores)}, select="robust", patience=2
    )
    run = Run(tmp_path, 0, quiet=True)
    run.train(short, "plain")
    epochs = [line for line in (tmp_path / "metrics.jsonl").read_text().splitlines() if '"epoch"' in line]
    assert len(epochs) == 4
    run.train(short, "plain")  # stopped already: nothing more to do
    assert next(scores) == 0.9
