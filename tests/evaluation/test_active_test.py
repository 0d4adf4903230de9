from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks import APGD, PGD, Square
from sparring.attacks.base import Attack
from sparring.evaluation.active_test import ActiveTest, active_test
from sparring.objectives import dlr
from sparring.threats.base import ThreatModel
from sparring.threats.lp import L1, L2, LInf

BALL = LInf(0.1, 0, 1)
STRONG = PGD(steps=40)
WEAK = PGD(steps=1, step_size=0.02, random_start=False)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.fixture(scope="module")
def batch(network: nn.Module) -> tuple[Tensor, Tensor]:
    x = torch.rand(12, 20, generator=torch.Generator().manual_seed(1))
    return x, network(x).argmax(1)


def score(model: object, batch: tuple[Tensor, Tensor], attack: Attack, threat: ThreatModel = BALL) -> ActiveTest:
    return active_test(model, batch, threat, attack, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]


def test_a_strong_attack_passes_and_a_tiny_step_fails(network: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    strong, weak = score(network, batch, STRONG), score(network, batch, WEAK)
    assert (strong.built, strong.n, strong.layer) == (12, 12, "the input of 5")
    assert strong.score >= 0.95
    assert weak.score == 0.0
    assert strong.random <= 0.25
    assert strong.check("m").passed
    assert not weak.check("m").passed
    assert "found 0 of 12" in weak.check("m").detail


@pytest.mark.parametrize("threat", [L2(0.3, 0, 1), L1(1.0, 0, 1)])
def test_every_geometry(network: nn.Module, batch: tuple[Tensor, Tensor], threat: ThreatModel) -> None:
    strong = score(network, batch, APGD(steps=40), threat)
    assert strong.built >= 10
    assert strong.check("m").passed
    assert not score(network, batch, WEAK, threat).check("m").passed


def test_a_masked_gradient_fails_and_a_black_box_passes(network: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, x: Tensor) -> Tensor:
            return self.body((x * 12).round() / 12)

    assert not score(Quantised(), batch, STRONG).check("m").passed
    assert score(Quantised(), batch, Square(queries=300)).score >= 0.9


def test_the_loss_scale_of_the_model_is_kept(network: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    class Loud(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, x: Tensor) -> Tensor:
            return 1e5 * self.body(x)

    assert not score(Loud(), batch, STRONG).check("m").passed
    found = active_test(
        Loud(), batch, LInf(0.1, 0, 1), STRONG, objective=dlr, generator=torch.Generator().manual_seed(0)
    )
    assert found.check("m").passed


def test_plain_functions_and_named_layers(network: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    plain = score(lambda x: network(x), batch, STRONG)
    assert plain.layer == "the outputs"
    assert plain.check("m").passed
    named = active_test(
        network, batch, LInf(0.1, 0, 1), STRONG, features="3", generator=torch.Generator().manual_seed(0)
    )
    assert named.layer == "3"
    assert named.check("m").passed
    with pytest.raises(ValueError, match="plain function"):
        active_test(lambda x: x, batch, LInf(0.1), STRONG, features="3", generator=torch.Generator().manual_seed(0))


def test_a_detector_with_one_logit() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
    x = torch.rand(8, 10, generator=torch.Generator().manual_seed(2))
    found = score(model, (x, (model(x) > 0).long()), STRONG)
    assert found.built == 8
    assert found.check("m").passed


def test_where_nothing_can_be_planted_the_test_says_so(batch: tuple[Tensor, Tensor]) -> None:
    found = score(lambda x: torch.ones(len(x), 4) + 0 * x[:, :1], batch, STRONG)
    assert found.built == 0
    assert found.check("m").passed
    assert "no head" in found.check("m").detail


def test_the_model_stays_as_it_was(network: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    network.train()
    before, state = torch.random.get_rng_state(), {k: v.clone() for k, v in network.state_dict().items()}
    score(network, batch, STRONG)
    assert network.training
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(m._forward_pre_hooks for m in network.modules())


def test_a_handful_of_planted_examples_judges_nothing():
    few = ActiveTest(score=0.0, random=0.0, built=2, n=12, layer="the outputs").check("m")
    assert few.passed
    assert "too few to judge" in few.detail
    assert not ActiveTest(score=0.0, random=0.0, built=4, n=12, layer="the outputs").check("m").passed
