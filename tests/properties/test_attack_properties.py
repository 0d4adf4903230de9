"""What every attack promises, over threats, shapes, sizes, dtypes and numbers of classes.

An attack that is added to `sparring.attacks` must be given a small budget in `SMALL`; all tests then cover it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.cases import PROFILE, SHAPES, THREATS, inputs
from torch import Tensor, nn

import sparring.attacks
from sparring.attacks import (
    APGD,
    DDN,
    EOT,
    FAB,
    FGSM,
    FMN,
    PGD,
    APGDTargeted,
    Attack,
    AttackResult,
    ConstrainedSearch,
    DecisionSearch,
    FABTargeted,
    HopSkipJump,
    NonFinite,
    Square,
    StandardEnsemble,
    Transfer,
    WorstOf,
    standard,
)
from sparring.objectives import margin, misclassified
from sparring.threats import L1, L2, LInf, ThreatModel
from sparring.threats.base import flat


def _surrogate(x: Tensor) -> Tensor:
    """A model of any input and as many classes as the largest here, for the attacks that need another one."""
    return flat(x).sum(1, keepdim=True) * torch.linspace(1, -1, max(CLASSES), dtype=x.dtype)


SMALL: dict[str, Callable[[], Attack]] = {
    "APGD": lambda: APGD(steps=4),
    "APGDTargeted": lambda: APGDTargeted(steps=3, targets=2),
    "ConstrainedSearch": lambda: ConstrainedSearch(queries=24, population=4, gradient_steps=2, guide_restarts=1),
    "DecisionSearch": lambda: DecisionSearch(queries=30, directions=4),
    "EOT": lambda: EOT(attack=PGD(steps=2), draws=2),
    "FAB": lambda: FAB(steps=2),
    "FABTargeted": lambda: FABTargeted(steps=2, targets=2),
    "DDN": lambda: DDN(steps=3),
    "FGSM": lambda: FGSM(),
    "FMN": lambda: FMN(steps=3),
    "HopSkipJump": lambda: HopSkipJump(queries=40, directions=4),
    "PGD": lambda: PGD(steps=3, restarts=2),
    "Square": lambda: Square(queries=6),
    "StandardEnsemble": lambda: StandardEnsemble(),
    "Transfer": lambda: Transfer(sources=(_surrogate, _surrogate), attack=PGD(steps=2)),
    "WorstOf": lambda: WorstOf(queries=4),
}
BALLS_ONLY = {
    **dict.fromkeys(("FAB", "FABTargeted", "FMN", "StandardEnsemble"), (LInf, L2, L1)),
    "HopSkipJump": (LInf, L2),
    "DDN": (L2,),
}
"""Attacks of some balls alone; a TypeError says so elsewhere."""


def defined(attack_name: str, threat: ThreatModel) -> bool:
    """Whether an attack exists for a threat."""
    return attack_name not in BALLS_ONLY or isinstance(threat, BALLS_ONLY[attack_name])


NO_GRADIENT = ("DecisionSearch", "HopSkipJump", "Square", "Transfer", "WorstOf")
"""Never ask for a gradient. ConstrainedSearch asks an `nn.Module` alone."""

BALLS = ("linf in range", "l2 in range", "l1 in range")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
CLASSES = (1, 2, 3, 1000)
BOUNDED = [n for n, b in THREATS.items() if (t := b((7,), 0.1) or b((1, 4, 5), 0.1)) and np.isfinite(t.radius)]
FEW = settings(PROFILE, max_examples=8)


class Net(nn.Module):
    """Everything that an attack could disturb: batch norm, dropout, a frozen weight, gradients left behind."""

    def __init__(self, shape: tuple[int, ...], classes: int, dtype: torch.dtype, seed: int) -> None:
        super().__init__()
        width = int(torch.tensor(shape).prod()) if shape else 1
        self.norm = nn.BatchNorm1d(width)
        self.body = nn.Linear(width, 8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))
        self.body.bias.requires_grad_(False)
        self.head.weight.grad = torch.ones_like(self.head.weight)
        self.to(dtype).train()
        self.drop.eval()
        self.squeeze = classes == 1 and seed % 2 == 0

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(self.drop(torch.tanh(self.body(self.norm(flat(x))))))
        return out.squeeze(1) if self.squeeze else out


def targets(model: nn.Module, x: Tensor, classes: int, seed: int) -> Tensor:
    """The model's own answers, with every third one wrong already."""
    model.eval()
    with torch.no_grad():
        out = model(x)
    model.train()
    model.drop.eval()
    y = (out.reshape(-1) > 0).long() if classes == 1 else out.argmax(1)
    y[seed % 3 :: 3] = (y[seed % 3 :: 3] + 1) % max(classes, 2)
    return y


def turned(places: tuple[int, ...], name: str, *choices: Sequence) -> tuple:
    """One of each of `choices`, turned by the name: tests with the same examples still meet all choices in turn."""
    turn = zlib.crc32(name.encode())
    return tuple(
        c[(place + (turn >> 7 * i)) % len(c)] for i, (place, c) in enumerate(zip(places, choices, strict=True))
    )


def run(attack: Attack, model: Callable, x: Tensor, y: Tensor, threat: ThreatModel, seed: int = 0) -> AttackResult:
    return attack(model, (x, y), threat, objective=margin, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def small_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard ensemble's members with a small budget; its true one is counted in tests/attacks."""

    def members(threat: ThreatModel) -> tuple:
        small = {"APGD": "APGD", "APGDTargeted": "APGDTargeted", "FABTargeted": "FABTargeted", "Square": "Square"}
        return tuple(
            (name, SMALL[small[type(attack).__name__]](), objective) for name, attack, objective in published(threat)
        )

    published = standard.standard_members
    monkeypatch.setattr(standard, "standard_members", members)


def attacks_of_the_package() -> set[str]:
    found = set()
    for info in pkgutil.iter_modules(sparring.attacks.__path__):
        module = importlib.import_module(f"sparring.attacks.{info.name}")
        for name, item in vars(module).items():
            if inspect.isclass(item) and issubclass(item, Attack) and not inspect.isabstract(item) and name[0] != "_":
                found.add(name)
    return found


def test_every_attack_has_a_small_budget_here():
    assert attacks_of_the_package() == set(SMALL)
    assert set(SMALL) <= set(sparring.attacks.__all__)


@pytest.mark.parametrize("threat_name", THREATS)
@pytest.mark.parametrize("attack_name", SMALL)
@FEW
@given(
    places=st.tuples(*[st.integers(0, 59)] * 4),
    eps=st.sampled_from((0.05, 0.5)),
    seed=st.integers(0, 1000),
    active_set=st.booleans(),
)
def test_results_are_members(attack_name, threat_name, places, eps, seed, active_set):
    shape, n, dtype, classes = turned(places, attack_name + threat_name, SHAPES, (1, 0, 5), FLOATS, CLASSES)
    threat = THREATS[threat_name](shape, eps)
    if threat is None or (classes == 1000 and seed % 4):
        return
    model, x = Net(shape, classes, dtype, seed), inputs(shape, n, dtype, seed)
    y = targets(model, x, classes, seed)
    attack = replace(SMALL[attack_name](), active_set=active_set)
    if not np.isfinite(threat.radius):
        with pytest.raises(ValueError, match="bounds nothing alone"):
            run(attack, model, x, y, threat, seed)
        return
    if not defined(attack_name, threat):
        if n and bool((~misclassified_by(model, x, y)).any()):
            with pytest.raises(TypeError, match="defined for"):
                run(attack, model, x, y, threat, seed)
        return
    result = run(attack, model, x, y, threat, seed)
    assert result.x_adv.shape == x.shape
    assert result.x_adv.dtype == dtype
    assert not result.x_adv.requires_grad
    assert bool((threat.violation(result.x_adv, x) == 0).all())
    assert torch.equal(result.success, misclassified_by(model, result.x_adv, y))
    assert result.objective.shape == result.success.shape == (n,)
    assert result.queries.forward.shape == result.queries.backward.shape == (n,)
    if attack_name in NO_GRADIENT:
        assert int(result.queries.backward.sum()) == 0
    lost = misclassified_by(model, x, y)
    if active_set:
        assert bool(result.success[lost].all())
    again = run(attack, model, x, y, threat, seed)
    assert torch.equal(again.x_adv, result.x_adv)


def misclassified_by(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    modes = {m: m.training for m in model.modules()}
    model.eval()
    with torch.no_grad():
        wrong = misclassified(model(x), y)
    for module, training in modes.items():
        module.training = training
    return wrong


@pytest.mark.parametrize("threat_name", BOUNDED)
@pytest.mark.parametrize("attack_name", SMALL)
@FEW
@given(
    places=st.tuples(*[st.integers(0, 59)] * 3),
    seed=st.integers(0, 1000),
)
def test_zero_radius_gives_exactly_the_clean_result(attack_name, threat_name, places, seed):
    shape, dtype, classes = turned(places, attack_name + threat_name, SHAPES, FLOATS, (1, 2, 3))
    threat = THREATS[threat_name](shape, 0.1)
    if threat is None:
        return
    threat = threat.scaled(0.0)
    if not defined(attack_name, threat):
        return
    model, x = Net(shape, classes, dtype, seed), inputs(shape, 5, dtype, seed)
    y = targets(model, x, classes, seed)
    result = run(SMALL[attack_name](), model, x, y, threat, seed)
    assert torch.equal(result.x_adv, x)
    assert torch.equal(result.success, misclassified_by(model, x, y))


def fingerprint(model: nn.Module) -> list:
    return [
        [m.training for m in model.modules()],
        [p.requires_grad for p in model.parameters()],
        {k: v.clone() for k, v in model.state_dict().items()},
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
    ]


def same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return a == b


@pytest.mark.parametrize("threat_name", BALLS)
@pytest.mark.parametrize("attack_name", SMALL)
@pytest.mark.parametrize("mode", ["call", "perturb", "raises"])
def test_nothing_else_changes(attack_name, threat_name, mode):
    shape = (1, 4, 5)
    threat = THREATS[threat_name](shape, 0.3)
    assert threat is not None
    if not defined(attack_name, threat):
        return
    model, x = Net(shape, 3, torch.float32, 1), inputs(shape, 5, torch.float32, 1)
    y = targets(model, x, 3, 1)
    x.requires_grad_(True)
    x_before, y_before, before = x.detach().clone(), y.clone(), fingerprint(model)
    randomness = [torch.random.get_rng_state(), np.random.get_state(), random.getstate()]
    generator = torch.Generator().manual_seed(0)
    attack = SMALL[attack_name]()
    if mode == "call":
        attack(model, (x, y), threat, generator=generator)
    elif mode == "perturb":
        attack.perturb(model, (x, y), threat, generator=generator)
    else:
        handle = model.head.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            attack(model, (x, y), threat, generator=generator)
        handle.remove()
    assert torch.equal(x.detach(), x_before)
    assert torch.equal(y, y_before)
    assert x.requires_grad
    assert x.grad is None
    assert same(fingerprint(model), before)
    assert same([torch.random.get_rng_state(), np.random.get_state(), random.getstate()], randomness)


@pytest.mark.parametrize("attack_name", SMALL)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_input_is_named(attack_name, value):
    model, x = Net((7,), 3, torch.float32, 0), inputs((7,), 5, torch.float32, 0)
    y = targets(model, x, 3, 0)
    x[2, 3] = value
    with pytest.raises(NonFinite, match=r"non-finite input: 1 of 5 samples, first at index 2"):
        run(SMALL[attack_name](), model, x, y, LInf(0.3))


@pytest.mark.parametrize("attack_name", SMALL)
@pytest.mark.parametrize("threat", [LInf(0.3), L2(1.0), L1(1.0)], ids=["linf", "l2", "l1"])
def test_a_bad_output_is_named(attack_name, threat):
    class Broken(Net):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return torch.where(flat(x)[:, :1] == marker, torch.nan, out)

    model, x = Broken((7,), 3, torch.float32, 0), inputs((7,), 5, torch.float32, 0)
    marker = torch.inf
    y = targets(model, x, 3, 1)
    marker = x[3, 0]
    if not defined(attack_name, threat):
        return
    with pytest.raises(NonFinite, match="non-finite model output"):
        run(SMALL[attack_name](), model, x, y, threat)


class RootAtZero(torch.autograd.Function):
    """Finite values, and a gradient that is NaN."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad * torch.nan


@pytest.mark.parametrize("attack_name", [n for n in SMALL if n not in (*NO_GRADIENT, "ConstrainedSearch")])
def test_a_bad_gradient_is_named(attack_name):
    net, x = Net((7,), 3, torch.float32, 0), inputs((7,), 5, torch.float32, 0)
    y = targets(net, x, 3, 0)
    net.eval()
    threat = LInf(0.3) if defined(attack_name, LInf(0.3)) else L2(0.3)
    with pytest.raises(NonFinite, match="non-finite input gradient"):
        run(SMALL[attack_name](), lambda x: net(RootAtZero.apply(x)), x, y, threat)


@pytest.mark.parametrize("attack_name", SMALL)
def test_inputs_outside_the_declared_range_are_refused(attack_name):
    model, x = Net((7,), 3, torch.float32, 0), inputs((7,), 5, torch.float32, 0)
    y = targets(model, x, 3, 0)
    with pytest.raises(ValueError, match="outside the threat's own range"):
        run(SMALL[attack_name](), model, x + 1, y, LInf(0.3, 0.0, 1.0))
