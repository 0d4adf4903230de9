from pathlib import Path

import pytest
import torch
from tests.systems.images import toys

from sparring.game import Game
from sparring.systems.images import dimo
from sparring.systems.images.dimo import DiMO, begin, guided, jeffrey
from sparring.systems.images.samplers import Sampler, one_step, sample


def logits(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.2])
def test_the_gradient_is_the_divergences_own(beta):  # type: ignore[no-untyped-def]
    """Of KL(φ, ψ) forward and KL(ψ, φ) reverse, by automatic differentiation at ψ's logits."""
    psi, phi = logits(0).requires_grad_(True), logits(1)
    log_psi, log_phi = psi.log_softmax(-1), phi.log_softmax(-1)
    forward = (log_phi.exp() * (log_phi - log_psi)).sum()
    reverse = (log_psi.exp() * (log_psi - log_phi)).sum()
    (expected,) = torch.autograd.grad((1 - beta) * forward + beta * reverse, psi)
    assert torch.allclose(jeffrey(psi.detach(), phi, beta), expected)


def test_where_both_agree_there_is_no_gradient_and_it_always_sums_to_zero():
    assert float(jeffrey(logits(0), logits(0), 0.3).abs().max()) < 1e-12
    assert float(jeffrey(logits(0), logits(1), 0.3).sum(-1).abs().max()) < 1e-12


def test_guidance_one_is_the_condition_and_zero_is_none(taught):  # type: ignore[no-untyped-def]
    tokens, prompts = torch.full((2, 4), 4), torch.tensor([[1], [2]])
    assert torch.equal(guided(taught, tokens, prompts, 1.0), taught(tokens, prompts))
    assert torch.allclose(guided(taught, tokens, prompts, 0.0), taught(tokens, torch.zeros_like(prompts)), atol=1e-5)


class Recorder:
    """A training state that notes what each player descends."""

    def __init__(self) -> None:
        self.step, self.total_steps, self.memory = 0, 1, {}
        self.losses: list[tuple[str, torch.Tensor]] = []

    def generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(len(name))

    def unwrap(self, module):  # type: ignore[no-untyped-def]
        return module

    def descend(self, loss, player="defender", *, terms=None):  # type: ignore[no-untyped-def]
        self.losses.append((player, loss))
        loss.backward()


def test_the_players_take_turns_and_the_hidden_positions_alone_are_taught(taught):  # type: ignore[no-untyped-def]
    taught.zero_grad()
    generator, auxiliary = begin(taught, toys.DISTIL)
    state = Recorder()
    strategy = DiMO(teacher=taught, guidance=2.0, opponent_steps=2)
    prompts, tokens = toys.world(8)
    result = strategy.step(Game(generator, auxiliary, torch.nn.functional.cross_entropy), (prompts, tokens), state)  # type: ignore[arg-type]
    assert [player for player, _ in state.losses] == ["defender", "auxiliary", "auxiliary"]
    assert generator.net.codes.weight.grad is None  # the token table is frozen
    assert generator.net.head.weight.grad is not None
    assert all(p.grad is None for p in taught.parameters())
    pull = strategy.gradient(auxiliary, tokens, prompts, state)  # type: ignore[arg-type]
    visible = (pull == 0).all(2)
    assert 0 < int(visible.sum()) < visible.numel()
    assert set(result.metrics) == {"pull", "auxiliary"}


def test_the_student_learns_in_one_step_what_its_teacher_needs_several_for(taught, distilled):  # type: ignore[no-untyped-def]
    prompts, _ = toys.world(1000, seed=9)
    student = one_step(distilled, prompts, 1.0, torch.Generator().manual_seed(0))
    teacher = sample(taught, prompts, Sampler(1), (2, 2), torch.Generator().manual_seed(0))
    assert toys.agreement(prompts, student) > 0.65
    assert toys.agreement(prompts, teacher) < 0.4
    assert min(torch.bincount(student[:, 0], minlength=4)) > 80  # every code lives: no collapse


def test_a_killed_distillation_goes_on_to_the_same_bits(taught, tmp_path: Path):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    plan = replace(toys.DISTIL, steps=12, rounds=2)
    whole = toys.run(tmp_path / "whole").train(dimo.task(taught, toys.world(200), plan), "student")

    class Killed(Exception):
        pass

    stopped = dimo.task(taught, toys.world(200), plan)
    calls = []

    def dies(model):  # type: ignore[no-untyped-def]
        calls.append(model)
        if len(calls) == 2:
            raise Killed
        return {}

    run = toys.run(tmp_path / "killed")
    with pytest.raises(Killed):
        run.train(replace(stopped, validate=dies), "student")
    again = run.train(dimo.task(taught, toys.world(200), plan), "student")
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
