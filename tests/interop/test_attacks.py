# pyright: basic
"""Other libraries' attacks inside our evaluation; each is skipped with its reason where it is not installed."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparring import LInf, evaluate
from sparring.attacks.base import ThreatViolation
from sparring.errors import BadInput
from sparring.evaluation.protocol import Adversary
from sparring.interop import attacks
from sparring.interop.attacks import Foreign, adv_lib, art, foolbox, torchattacks
from sparring.threats.base import ThreatModel

EPS = 0.1
THREAT = LInf(EPS, 0, 1)


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)).train()


def batch(victim: nn.Module) -> tuple[Tensor, Tensor]:
    x = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x, victim.eval()(x).argmax(1)


def library(name: str) -> Any:
    if not attacks.available([name]):
        pytest.skip(f"{name} is not installed, or not beside this torch")
    return importlib.import_module(name)


def signs(victim: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """A stand-in library: one step of FGSM that calls backward() and draws noise, as libraries do."""
    noisy = (x + 0 * torch.rand_like(x) + 0 * float(np.random.rand())).requires_grad_(True)
    nn.functional.cross_entropy(victim(noisy), y, reduction="sum").backward()
    assert noisy.grad is not None
    return (x + threat.radius * noisy.grad.sign()).clamp(0, 1)


def play(attack: Foreign, victim: nn.Module) -> Any:
    players = [Adversary(name="theirs", attack=attack, threat=THREAT)]
    return evaluate(victim, batch(victim), players, generator=torch.Generator().manual_seed(2)).outcomes[0]


def test_a_foreign_attack_is_counted_checked_and_leaves_no_trace() -> None:
    victim = model()
    data = batch(victim)
    victim.train()
    before = {k: v.clone() for k, v in victim.state_dict().items()}
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    outcome = play(Foreign(call=signs, name="signs"), victim)
    assert not bool(outcome.right.all())
    assert float((outcome.x_adv - data[0]).abs().max()) <= EPS + 1e-6
    assert outcome.queries.forward.tolist() == outcome.queries.backward.tolist() == [1] * 12
    assert all(torch.equal(before[k], v) for k, v in victim.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in victim.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)  # type: ignore[index]
    assert torch.equal(play(Foreign(call=signs), victim).x_adv, outcome.x_adv)


def test_a_point_outside_the_threat_is_refused_and_a_rounded_one_is_not() -> None:
    victim = model()
    with pytest.raises(ThreatViolation, match="Foreign left LInf"):
        play(Foreign(call=lambda m, x, y, t: (x + 2 * t.radius).clamp(0, 1)), victim)
    play(Foreign(call=lambda m, x, y, t: x + t.radius * (1 + 1e-7) * (x < 0.5)), victim)
    with pytest.raises(ValueError, match="returned shape"):
        play(Foreign(call=lambda m, x, y, t: x[:1], name="short"), victim)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(BadInput, match="pip install torchattacks"):
        torchattacks(lambda m: m)
    assert attacks.available(["torchattacks", "math"]) == ["math"]


@pytest.mark.filterwarnings("ignore")
def test_torchattacks() -> None:
    ta = library("torchattacks")
    outcome = play(torchattacks(lambda m: ta.PGD(m, eps=EPS, alpha=0.02, steps=10)), model())
    assert float(outcome.right.float().mean()) < 0.6
    assert outcome.queries.backward.tolist() == [10] * 12


@pytest.mark.filterwarnings("ignore")
def test_foolbox() -> None:
    fb = library("foolbox")
    assert float(play(foolbox(fb.attacks.LinfPGD(steps=10)), model()).right.float().mean()) < 0.6


@pytest.mark.filterwarnings("ignore")
def test_art() -> None:
    evasion = library("art.attacks.evasion")

    def make(classifier: Any) -> Any:
        return evasion.ProjectedGradientDescent(classifier, eps=EPS, eps_step=0.02, max_iter=10, verbose=False)

    assert float(play(art(make, 10), model()).right.float().mean()) < 0.6


class Absent(ModuleType):
    """adv-lib imports torchvision and visdom for code that no attack uses; neither need be installed for the test."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@pytest.fixture
def _without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adv_lib")
    for name in ("torchvision", "torchvision.models", "torchvision.transforms", "visdom"):
        monkeypatch.setitem(sys.modules, name, Absent(name))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_without_extras")
def test_adv_lib() -> None:
    al = library("adv_lib.attacks")
    outcome = play(adv_lib(al.pgd_linf, ε=EPS, steps=10), model())
    assert float(outcome.right.float().mean()) < 0.6
    assert outcome.queries.backward.tolist() == [10] * 12
