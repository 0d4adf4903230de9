"""Attacks of torchattacks, foolbox, ART and adv-lib as adversaries of our evaluation.

What they return is checked like any attack's: a point outside the threat model raises `ThreatViolation`. Their passes
are counted, their random draws come from the evaluation's generator, and the model is left as it was.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack
from sparring.attacks.oracle import Oracle
from sparring.errors import BadInput
from sparring.threats.base import ThreatModel

Call = Callable[[nn.Module, Tensor, Tensor, ThreatModel], Tensor]
"""Another library's attack: `(model, x, y, threat) -> x_adv`, all of the batch's shape."""

ROUNDING = 1e-6
"""How far beyond the threat's radius, relative to it, a point is taken for rounded and projected back."""


@dataclass(frozen=True, kw_only=True)
class Foreign(Attack):
    """An attack of another library behind the interface of ours.

    `call` does the attack; `name` is what scorecards show. The library sees the model with its passes counted, in
    evaluation mode and without parameter gradients. `objective` is ignored: the attack brings its own loss.
    """

    call: Call
    name: str = "foreign"

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        numpy_state = np.random.get_state()
        np.random.seed(int(torch.randint(2**31, (), generator=generator, device=generator.device)))  # ART draws here
        try:
            with torch.enable_grad():
                found = self.call(_Counted(oracle), x.clone(), y.clone(), threat)
        finally:
            np.random.set_state(numpy_state)
        if found.shape != x.shape:
            raise ValueError(f"{self.name} returned shape {tuple(found.shape)} for inputs of {tuple(x.shape)}")
        found = found.detach().to(x)
        near = threat.violation(found, x) <= ROUNDING * max(threat.radius, 1e-3)
        return torch.where(near.reshape(-1, *[1] * (x.ndim - 1)), threat.project(found, x), found)

    def __str__(self) -> str:
        return self.name


def torchattacks(make: Callable[[nn.Module], Any], name: str = "torchattacks") -> Foreign:
    """`torchattacks(lambda model: torchattacks.PGD(model, eps=8/255, alpha=2/255, steps=10))`."""
    _need("torchattacks", "torchattacks")

    def call(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
        return make(model)(x, y)

    return Foreign(call=call, name=name)


def foolbox(attack: Any, bounds: tuple[float, float] = (0.0, 1.0), name: str = "foolbox") -> Foreign:
    """`foolbox(foolbox.attacks.LinfPGD(steps=40))`, at the threat's radius, within `bounds`."""
    library = _need("foolbox", "foolbox")

    def call(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
        wrapped = library.PyTorchModel(model.eval(), bounds=bounds, device=x.device)
        _, clipped, _ = attack(wrapped, x, y, epsilons=threat.radius)
        return clipped

    return Foreign(call=call, name=name)


def art(
    make: Callable[[Any], Any],
    classes: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    name: str = "ART",
) -> Foreign:
    """`art(lambda classifier: ProjectedGradientDescent(classifier, eps=0.1, eps_step=0.02, verbose=False), 10)`."""
    estimators = _need("art.estimators.classification", "adversarial-robustness-toolbox")

    def call(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
        classifier = estimators.PyTorchClassifier(
            model,
            nn.CrossEntropyLoss(),
            tuple(x.shape[1:]),
            classes,
            clip_values=bounds,
            device_type="gpu" if x.device.type == "cuda" else "cpu",
        )
        found = make(classifier).generate(x=x.detach().cpu().numpy(), y=y.detach().cpu().numpy())
        return torch.as_tensor(found)

    return Foreign(call=call, name=name)


def adv_lib(function: Callable[..., Tensor], name: str = "adv-lib", **options: Any) -> Foreign:
    """`adv_lib(adv_lib.attacks.pgd_linf, ε=0.1, steps=40)`: a function of (model, inputs, labels, ...)."""

    def call(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
        return function(model, x, y, **options)

    return Foreign(call=call, name=name)


class _Counted(nn.Module):
    """The oracle's model for a library that wants a module; rows of its passes are shared out over the samples.

    A library need not say which sample a row belongs to: a pass over k rows counts k / n for each of n samples,
    rounded up at the end of a batch, and a backward pass through it likewise.
    """

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        self._oracle = [oracle]  # in a list: a bare module would be registered as a part of this one
        self._rows = torch.arange(len(oracle.index), device=oracle.index.device)
        if isinstance(oracle.model, nn.Module):
            self.inner = oracle.model
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        oracle = self._oracle[0]
        passes = -(-len(x) // max(len(self._rows), 1))
        oracle.ledger.add(oracle.index, self._rows, forward=passes)
        out = oracle.model(x)
        if out.requires_grad:

            def seen(grad: Tensor) -> None:
                oracle.ledger.add(oracle.index, self._rows, backward=passes)

            cast(Any, out).register_hook(seen)
        return out


def _need(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise BadInput(f"{package} cannot be used: no module {missing!r}; pip install {package}") from None


def available(modules: Sequence[str]) -> list[str]:
    """Which of these modules can be imported here."""
    found: list[str] = []
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: S112 - whatever a broken installation raises, it is not available
            continue
        found.append(name)
    return found
