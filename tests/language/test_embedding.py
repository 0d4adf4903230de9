# pyright: basic
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.language import tiny

from sparring.attacks import FGSM, PGD
from sparring.game import Game
from sparring.language.chat import Exchange, answer_loss, answered_wrongly
from sparring.language.embedding import EmbeddingAT, TokenBall, token_length, touched
from sparring.objectives import never
from sparring.threats.base import ThreatModel

CHAT = tiny.chat()
ASKED = [Exchange("what is the colour?", "red", True), Exchange("hello", "not listed"), Exchange("price?", "$12", True)]


def inputs(seed: int, eps: float = 1.0) -> tuple[TokenBall, torch.Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 5, 7, generator=generator)
    x[..., -1] = (torch.rand(4, 5, generator=generator) < 0.5).float()
    return TokenBall(eps), x, generator


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 5))
def test_it_keeps_the_promises_of_a_threat(seed: int, eps: float):
    threat, x, generator = inputs(seed, eps)
    far = x + 3 * torch.randn(x.shape, generator=generator)
    for point in (threat.project(far, x), threat.sample(x, generator=generator), x):
        assert float(threat.violation(point, x).max()) == 0
        assert torch.equal(threat.project(point, x), point)
        fixed = x[..., -1] < 0.5
        assert torch.equal(point[fixed], x[fixed])
        assert torch.equal(point[..., -1], x[..., -1])
    steepest = threat.steepest(far, x, x)
    assert bool((steepest.flatten(1).norm(dim=1) <= 1 + 1e-5).all())
    assert not steepest[x[..., -1] < 0.5].any()


def test_it_is_a_threat_and_names_what_is_outside():
    threat, x, _ = inputs(0)
    assert isinstance(threat, ThreatModel)
    assert threat.scaled(2.0) == TokenBall(2.0)
    template = x.clone()
    template[0, (x[0, :, -1] < 0.5).nonzero()[0, 0]] += 0.01
    flag = x.clone()
    flag[1, 0, -1] += 1
    assert float(threat.violation(template, x)[0]) > 0
    assert float(threat.violation(flag, x)[1]) > 0


def test_fgm_is_one_step_of_the_whole_radius_along_the_gradient_of_the_users_words():
    x, y = CHAT.batch(ASKED)
    rows = touched(x)
    assert rows.tolist() == [0, 2]
    embedded = CHAT.talker.embed(x[rows]).detach()
    threat = TokenBall(0.5 * token_length(CHAT.talker))
    attack = FGSM(criterion=never, active_set=False)
    moved = attack.perturb(CHAT.talker, (embedded, y[rows]), threat, objective=answer_loss, generator=torch.Generator())
    shift = moved - embedded
    assert torch.allclose(shift.flatten(1).norm(dim=1), torch.full((2,), threat.radius), rtol=1e-4)
    own = embedded.clone().requires_grad_(True)
    grad = torch.autograd.grad(answer_loss(CHAT.talker(own), y[rows]).sum(), own)[0] * (x[rows, 1] > 0).unsqueeze(-1)
    cosine = torch.nn.functional.cosine_similarity(grad.flatten(1), shift.flatten(1))
    assert torch.allclose(cosine, torch.ones(2), atol=1e-4)


def test_more_steps_find_more_loss():
    x, y = CHAT.batch([ASKED[0], ASKED[2]])
    embedded, threat = CHAT.talker.embed(x).detach(), TokenBall(token_length(CHAT.talker))
    found = []
    for attack in (FGSM(active_set=False), PGD(steps=10, active_set=False)):
        attack = type(attack)(**{**vars(attack), "criterion": answered_wrongly})
        result = attack(CHAT.talker, (embedded, y), threat, objective=answer_loss, generator=torch.Generator())
        found.append(result.objective)
    with torch.no_grad():
        clean = answer_loss(CHAT.talker(embedded), y)
    assert bool((found[0] > clean).all())
    assert float(found[1].mean()) > float(found[0].mean())


@pytest.mark.parametrize("own", [False, True])
def test_a_step_descends_both_halves_and_leaves_utility_rows_alone(plain_state, own: bool):
    chat = tiny.chat(1)
    x, y = chat.batch(ASKED)
    threat = TokenBall(token_length(chat.talker))
    attack = FGSM(criterion=never)
    strategy = EmbeddingAT(attack=attack, threat=threat) if own else EmbeddingAT()
    game = Game(chat.talker, "a proposer" if own else attack, answer_loss, None if own else threat)
    state = plain_state(game, lambda g: {"defender": torch.optim.Adam(g.defender.parameters(), lr=5e-3)})
    results = [strategy.step(game, (x, y), state) for _ in range(25)]
    assert set(results[0].metrics) == {"clean", "shifted"}
    assert float(results[-1].loss) < 0.5 * float(results[0].loss)
    alone = chat.batch(ASKED[1:2])
    result = strategy.step(game, alone, state)
    assert result.metrics == {}
    weight = answer_loss(chat.talker(x), y)
    terms = strategy.loss(game, (x, y), torch.zeros_like(chat.talker.embed(x[touched(x)])))
    assert torch.allclose(torch.stack(list(terms.values())).sum(), weight.mean(), rtol=1e-4)
