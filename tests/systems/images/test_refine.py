from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.systems.images import toys
from tests.systems.images.test_dimo import Recorder

from sparring.engine.run import Run
from sparring.game import Game
from sparring.systems.images import refine
from sparring.systems.images.config import Refine
from sparring.systems.images.critic import Critic, Opposition, Remask
from sparring.systems.images.dimo import DiMO, begin
from sparring.systems.images.refine import SoftDiMO, gradient_at
from sparring.systems.images.samplers import one_step
from sparring.systems.images.soft import relaxed, sharpness


def test_soft_probabilities_and_straight_through_draws_both_reach_the_logits():
    z = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    soft = relaxed(z, torch.Generator())
    hard = relaxed(z, torch.Generator().manual_seed(0), relaxation="gumbel")
    assert torch.allclose(soft, z.softmax(-1))
    assert torch.allclose(hard, hard.round(), atol=1e-6)
    assert torch.allclose(hard.sum(-1), torch.ones(2, 4))
    for p in (soft, hard):
        (gradient,) = torch.autograd.grad((p * torch.arange(5.0)).sum(), z)
        assert float(gradient.abs().sum()) > 0


def test_straight_through_draws_follow_the_law():
    z = torch.tensor([0.6, 0.3, 0.1]).log().expand(20000, 3)
    found = relaxed(z, torch.Generator().manual_seed(0), relaxation="gumbel").mean(0)
    assert torch.allclose(found, torch.tensor([0.6, 0.3, 0.1]), atol=0.02)


def test_sharpness_is_one_for_certain_logits():
    assert sharpness(torch.tensor([[[100.0, 0.0]]])) == pytest.approx(1)
    assert sharpness(torch.zeros(1, 1, 4)) == pytest.approx(0.25)


def test_the_view_masks_both_sides_alike_within_its_range():
    view = Remask(torch.full((3,), 9.0), 0.25, 0.5)
    real, fake = torch.zeros(300, 8, 3), torch.ones(300, 8, 3)
    shown, other, ratio = view(real, fake, torch.Generator().manual_seed(0))
    hidden = (shown == 9).all(2)
    assert torch.equal(hidden, (other == 9).all(2))
    assert int(hidden.sum(1).min()) == 2
    assert int(hidden.sum(1).max()) == 4
    assert bool(((ratio >= 0.25) & (ratio <= 0.5)).all())
    full, _, _ = Remask(torch.full((3,), 9.0), 1.0, 1.0)(real, fake, torch.Generator())
    assert bool(((full == 9).all(2).sum(1) == 7).all())  # something is always left to see


def players(taught, **weights):  # type: ignore[no-untyped-def]
    generator, auxiliary = begin(taught, toys.DISTIL)
    plan = Refine(**{"critic": 5.0, **weights})
    strategy = SoftDiMO(
        dimo=DiMO(teacher=taught), plan=plan, view=Remask(taught.codes.weight[4].detach()),
        reward=bright if plan.reward else None, tokenizer=toys.palette() if plan.reward else None,
    )  # fmt: skip
    return Game(generator, Opposition(auxiliary, Critic(taught)), torch.nn.functional.cross_entropy), strategy


def bright(x: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    return x.mean((1, 2, 3))


def test_no_gradient_reaches_the_frozen_teacher_and_each_player_has_its_own(taught):  # type: ignore[no-untyped-def]
    game, strategy = players(taught, reward=1.0)
    state = Recorder()
    result = strategy.step(game, toys.world(8), state)
    assert [player for player, _ in state.losses] == ["defender", "auxiliary", "critic"]
    critic = game.adversary.critic
    assert all(p.grad is None for p in critic.teacher.parameters())
    assert all(p.grad is not None for p in critic.heads.parameters())
    assert {"sharpness", "soft_share", "critic", "reward", "gap"} <= set(result.metrics)
    assert result.metrics["soft_share"] > 0


def test_the_generators_gradient_is_the_sum_of_its_terms(taught):  # type: ignore[no-untyped-def]
    def gradient(**weights):  # type: ignore[no-untyped-def]
        game, strategy = players(taught, **weights)
        strategy.step(game, toys.world(8), Recorder())
        return game.defender.net.head.weight.grad

    both = gradient(critic=0.0, reward=2.0)
    apart = gradient(critic=0.0, reward=2.0, distil=False)
    alone = gradient(critic=0.0, reward=0.0)
    assert torch.allclose(both, apart + alone, atol=1e-5)


def test_a_dead_soft_path_is_named():
    z = torch.randn(1, 2, 3, requires_grad=True)
    with pytest.raises(ValueError, match="soft path is dead"):
        gradient_at(z, (z.argmax(-1).float() * torch.ones(1, requires_grad=True)).sum())
    assert torch.equal(gradient_at(z, z.sum()), torch.ones_like(z))


def test_nothing_to_learn_or_a_reward_without_eyes_is_refused(taught):  # type: ignore[no-untyped-def]
    view = Remask(taught.codes.weight[4])
    with pytest.raises(ValueError, match="nothing to learn"):
        SoftDiMO(dimo=DiMO(teacher=taught), plan=Refine(distil=False, critic=0.0), view=view)
    with pytest.raises(ValueError, match="reward's weight needs"):
        SoftDiMO(dimo=DiMO(teacher=taught), plan=Refine(reward=1.0), view=view)


def refined(run: Run, taught, distilled, plan: Refine):  # type: ignore[no-untyped-def]
    start = (distilled, begin(taught, toys.DISTIL)[1])
    import copy

    return run.train(
        refine.task(
            taught, toys.world(2000), plan, replace(toys.DISTIL, steps=plan.steps), copy.deepcopy(start), seed=0,
            tokenizer=toys.palette(), reward=bright,
        ),
        "refined",
    )  # fmt: skip


def test_a_reward_tunes_the_student_and_the_distillation_holds_it_back(taught, distilled, tmp_path: Path):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(1000, seed=9)

    def figures(student, seed=0):  # type: ignore[no-untyped-def]
        tokens = one_step(student, prompts, 1.0, torch.Generator().manual_seed(seed))
        return float(toys.palette().decode(tokens).mean()), toys.agreement(prompts, tokens)

    plan = Refine(steps=60, critic=0.0, reward=3.0)
    kept = figures(refined(toys.run(tmp_path / "kept"), taught, distilled, plan))
    alone = figures(refined(toys.run(tmp_path / "alone"), taught, distilled, replace(plan, distil=False)))
    assert figures(distilled)[0] + 0.05 < kept[0] < alone[0]
    assert alone[1] < kept[1]  # without the Di[M]O term the prompts are forgotten


def test_the_critic_teaches_the_student_the_world(taught, distilled, tmp_path: Path):  # type: ignore[no-untyped-def]
    student = refined(toys.run(tmp_path), taught, distilled, Refine(steps=60, critic=1.0))
    prompts, _ = toys.world(1000, seed=9)
    tokens = one_step(student, prompts, 1.0, torch.Generator().manual_seed(0))
    assert toys.agreement(prompts, tokens) > 0.75
