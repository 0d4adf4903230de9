"""The methods that are compared, by name: gradient reversal in its variants, and its rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from sparring.game import Game, Strategy
from sparring.opponents.domains import DomainClassifier
from sparring.schedules import Linear, Ramp
from sparring.strategies.reversal import GradientReversal
from sparring.strategies.standard import Standard
from sparring.systems.audio.model import Members
from sparring.systems.audio.rivals import DomainIntercept, GroupDRO, Intercepts, Penalised, Penalty, coral, irm, vrex
from sparring.typed import unflatten


@dataclass(frozen=True)
class Shape:
    """What a strategy and an adversary must fit: members, quality axes, domains, representation, score bins."""

    members: int
    axes: int
    domains: int
    width: int
    bins: int


@dataclass(frozen=True, kw_only=True)
class Method:
    """How to train: the strategy, the adversary where there is one, and whether rows count by balancing weight.

    `speed` times the defender's learning rate is the adversary's; `decay` replaces the common weight decay.
    """

    strategy: Callable[[Shape], Strategy]
    adversary: Callable[[Shape, torch.Generator], nn.Module] | None = None
    weighted: bool = False
    speed: float = 2.0
    decay: float | None = None

    def optimizers(self, rate: float, decay: float) -> Callable[[Game], Mapping[str, Optimizer]]:
        """AdamW for the defender, and a faster one for the adversary."""

        def make(game: Game) -> dict[str, Optimizer]:
            own = decay if self.decay is None else self.decay
            made: dict[str, Optimizer] = {
                "defender": AdamW(game.defender.parameters(), rate, weight_decay=own, fused=True)
            }
            if self.adversary is not None:
                faster = rate * self.speed
                made["opponent"] = AdamW(game.adversary.parameters(), faster, weight_decay=decay, fused=True)
            return made

        return make


def erm(decay: float | None = None, *, weighted: bool = False) -> Method:
    """Empirical risk minimisation; `weighted`: on rows re-weighted until score bin and domain are independent."""
    return Method(strategy=lambda shape: Standard(), weighted=weighted, decay=decay)


def reversal(strength: float, *, conditional: bool = False, weighted: bool = False, hidden: int = 64) -> Method:
    """Domain-adversarial training, λ ramped to `strength` and applied once.

    `conditional`: the classifier is told the score bin, so that only what the features tell of the domain *beyond the
    score* is taken from them. `weighted`: both losses on re-weighted rows.
    """

    def strategy(shape: Shape) -> Strategy:
        return GradientReversal(
            layer="encoder",
            schedule=Ramp(strength),
            split=flat,
            condition=partial(score_bin, bins=shape.bins) if conditional else None,
            weights=balancing if weighted else None,
        )

    def adversary(shape: Shape, generator: torch.Generator) -> nn.Module:
        conditions = shape.bins if conditional else 0
        return DomainAdversary(
            [
                DomainClassifier(
                    shape.width, shape.domains, hidden=(hidden,), conditions=conditions, generator=generator
                )
                for _ in range(shape.members)
            ]
        )

    return Method(strategy=strategy, adversary=adversary)


def penalised(penalty: Penalty, strength: float, *, weighted: bool = False) -> Method:
    """Mean loss plus a penalty that grows to `strength` over the first fifth of the training."""
    schedule = Linear(strength, until=0.2)
    return Method(
        strategy=lambda s: Penalised(
            penalty=penalty, strength=schedule, axes=s.axes, domains=s.domains, weighted=weighted
        )
    )


def group_dro(rate: float, *, weighted: bool = False) -> Method:
    """Group distributionally robust optimisation with this step size of the group weights."""
    return Method(strategy=lambda s: GroupDRO(rate=rate, axes=s.axes, domains=s.domains, weighted=weighted))


def intercept(shrinkage: float, *, weighted: bool = False) -> Method:
    """A shrunk offset per domain beside the model, left out in use."""

    def adversary(shape: Shape, generator: torch.Generator) -> nn.Module:
        return Intercepts(shape.members, shape.domains, shape.axes)

    return Method(
        strategy=lambda s: DomainIntercept(shrinkage=shrinkage, axes=s.axes, domains=s.domains),
        adversary=adversary,
        weighted=weighted,
        speed=10.0,
    )


Tuned = tuple[Callable[[float], Method], tuple[float, ...]]
"""A method by its one tuned number, and the five values that are tried, the likeliest first."""

_DECAYS = (0.1, 1.0, 1e-4, 10.0, 30.0)  # from no effect at all to far too much
_STRENGTHS = (0.1, 0.4, 0.2, 0.8, 0.05)
_RIVALS: Mapping[str, tuple[Callable[..., Method], tuple[float, ...]]] = {
    "CORAL": (partial(penalised, coral), (10.0, 1.0, 100.0, 0.1, 1000.0)),
    "GroupDRO": (group_dro, (0.01, 0.1, 0.001, 1.0, 0.3)),
    "IRM": (partial(penalised, irm), (0.1, 0.01, 1.0, 0.001, 10.0)),
    "V-REx": (partial(penalised, vrex), (1.0, 0.1, 10.0, 100.0, 1000.0)),
    "domain intercept": (intercept, (0.01, 0.1, 0.001, 1.0, 10.0)),
}
METHODS: Mapping[str, Tuned] = {
    "ERM": (erm, _DECAYS),
    "re-weighted ERM": (partial(erm, weighted=True), _DECAYS),
    "GRL": (reversal, _STRENGTHS),
    "GRL conditional": (partial(reversal, conditional=True), _STRENGTHS),
    "GRL weighted": (partial(reversal, weighted=True), _STRENGTHS),
    "GRL conditional, weighted": (partial(reversal, conditional=True, weighted=True), _STRENGTHS),
    **_RIVALS,
    **{f"{name}, weighted": (partial(make, weighted=True), values) for name, (make, values) in _RIVALS.items()},
}
"""Every method by its name."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "ERM": ("ERM", "re-weighted ERM"),
    "GRL": tuple(name for name in METHODS if name.startswith("GRL")),
    **{name: (name, f"{name}, weighted") for name in _RIVALS},
}
"""What competes: a method's variants. A comparison grants every family the same number of tries."""


class DomainAdversary(nn.Module):
    """One domain classifier per member: `(n, S, width)`, conditions `(n S, c)`, to logits `(n S, domains)`."""

    def __init__(self, classifiers: list[DomainClassifier]) -> None:
        super().__init__()
        self.classifiers = Members(classifiers)

    def forward(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        parts = () if condition is None else (unflatten(condition, features.shape[:2]),)
        return self.classifiers(features, *parts).flatten(0, 1)


def flat(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Labels `(n, S, columns)` as target `(n S, columns - 1)` and domain `(n S,)`."""
    rows = labels.flatten(0, 1)
    return rows[:, :-1], rows[:, -1].long()


def score_bin(outputs: Tensor, target: Tensor, *, bins: int) -> Tensor:
    """The condition of a conditional adversary: the score's bin, one-hot `(n S, bins)`."""
    return F.one_hot(target[:, -1].long(), bins).to(target.dtype)


def balancing(target: Tensor, domain: Tensor) -> Tensor:
    """The rows' balancing weights, which the labels carry."""
    return target[:, -2]
