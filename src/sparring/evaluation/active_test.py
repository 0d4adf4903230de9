"""The active test: an attack must find adversarial examples where they certainly exist.

Zimmermann, Brendel, Tramèr & Carlini, "Increasing Confidence in Adversarial Robustness Evaluations", NeurIPS 2022.
For each sample the last layer is replaced by a linear two-class head on the model's own features that calls the
sample and random members of the threat one class, and one chosen member, on the rim, the other. Only the head
changes; if the attack does not find what is known to be there, its failure on the real model says nothing either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, Model, frozen
from sparring.attacks.oracle import own_randomness
from sparring.evaluation.scorecard import Check
from sparring.evaluation.statistics import wilson
from sparring.game import Batch
from sparring.objectives import Objective, cross_entropy, margin, misclassified
from sparring.threats.base import ThreatModel, flat
from sparring.typed import modules, solve

_INNER_SHARE = 0.95
_RIM_POINTS = 32
# Ten times the mean variance: a weak ridge would plant the example along directions in which the features hardly
# move, behind maxima that no first-order attack is expected to leave, and fail sound attacks too.
_RIDGE = 10.0
_CLOSENESS = 0.5
_FEWEST = 4
"""With fewer heads than this one miss decides: too little to call an evaluation unreliable."""


@dataclass(frozen=True)
class ActiveTest:
    """What the test found.

    `score` is the attack strength: the share of the `built` heads, of `n` samples tried, whose adversarial example
    the attack found. `random` is the same for random members, as many as were used to build the head: a score is only
    telling where this is low.
    """

    score: float
    random: float
    built: int
    n: int
    layer: str

    def check(self, model: str, bar: float = 0.95) -> Check:
        """Fails where the score is below `bar` by more than chance; passes, and says so, where too few heads stand."""
        if self.built == 0:
            detail = f"no head on {self.layer} could be built that separates one rim point from the inner ones"
            return Check(model=model, name="active test", passed=True, detail=detail)
        found = round(self.score * self.built)
        detail = (
            f"the attack found {found} of {self.built} planted adversarial examples (heads on {self.layer}), "
            f"random points {round(self.random * self.built)}"
        )
        if self.built < _FEWEST:
            return Check(model=model, name="active test", passed=True, detail=f"{detail}: too few to judge")
        passed = wilson(found, self.built)[1] >= bar
        return Check(model=model, name="active test", passed=passed, detail=detail)


def active_test(
    model: Model,
    batch: Batch,
    threat: ThreatModel,
    attack: Attack,
    *,
    generator: torch.Generator,
    objective: Objective = cross_entropy,
    features: str | None = None,
    inner_points: int = 200,
) -> ActiveTest:
    """Plant one adversarial example per sample and let the attack look for it.

    `features` names the submodule whose *input* the head reads; by default the last `nn.Linear` of a module, and
    the outputs themselves for any other model. The head keeps the model's own loss scale: at the sample its logit is
    the median margin of the real outputs, so that what saturates the model's loss saturates the test's too.
    """
    x, y = batch
    name, layer = _feature_layer(model, features)
    read = _Reader(model, layer)
    found, hits, built = 0, 0, 0
    with torch.no_grad(), frozen(read), own_randomness(generator, x.device):
        scale = float(margin(model(x), y).abs().median()) if len(x) else 1.0
    for i in range(len(x)):
        with torch.no_grad(), frozen(read), own_randomness(generator, x.device):
            head = _plant(read, x[i : i + 1], threat, inner_points, scale, generator)
        if head is None:
            continue
        built += 1
        fresh = threat.sample(_repeat(x[i : i + 1], inner_points), generator=generator)
        with torch.no_grad(), frozen(head), own_randomness(generator, x.device):
            hits += int(bool((head(fresh) > 0).any()))
        goal = torch.zeros(1, dtype=torch.long, device=x.device)
        planted = replace(attack, criterion=misclassified)
        # A plain function stays one: some attacks look for a gradient in a module only.
        target = head if isinstance(model, nn.Module) else head.forward
        result = planted(target, (x[i : i + 1], goal), threat, objective=objective, generator=generator)
        found += int(bool(result.success[0]))
    return ActiveTest(found / max(built, 1), hits / max(built, 1), built, len(x), name)


class _Reader(nn.Module):
    """The features `(n, d)` of a model: the flattened input of one of its layers, or its outputs."""

    def __init__(self, model: Model, layer: nn.Module | None) -> None:
        super().__init__()
        self.model: Callable[[Tensor], Tensor] = model
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        if self.layer is None:
            return flat(self.model(x))
        seen: list[Tensor] = []
        hook = self.layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            self.model(x)
        finally:
            hook.remove()
        return flat(seen[-1])


class _Headed(nn.Module):
    """The model with a planted head: one logit `(n,)`, positive for the planted class."""

    def __init__(self, read: _Reader, weight: Tensor, threshold: Tensor, scale: float) -> None:
        super().__init__()
        self.read, self.scale = read, scale
        self.weight, self.threshold = weight, threshold

    def forward(self, x: Tensor) -> Tensor:
        features = self.read(x).to(self.weight.dtype)
        return (self.scale * (features @ self.weight - self.threshold)).to(x.dtype)


def _feature_layer(model: Model, features: str | None) -> tuple[str, nn.Module | None]:
    if not isinstance(model, nn.Module):
        if features is not None:
            raise ValueError(f"features={features!r} names a submodule, but the model is a plain function")
        return "the outputs", None
    if features is not None:
        return features, model.get_submodule(features)
    linear = [(name, m) for name, m in modules(model) if isinstance(m, nn.Linear)]
    return (f"the input of {linear[-1][0] or 'the model'}", linear[-1][1]) if linear else ("the outputs", None)


def _plant(
    read: _Reader, x: Tensor, threat: ThreatModel, points: int, scale: float, generator: torch.Generator
) -> _Headed | None:
    """A head under which one rim point is positive, and the sample and all inner points are negative.

    The direction is Fisher's linear discriminant between the inner points and each candidate on the rim; the
    candidate that stands out the most is planted. None where none stands out. The threshold lies half way between
    the planted point's score and the highest inner one.
    """
    inner = torch.cat([x, threat.scaled(_INNER_SHARE).sample(_repeat(x, points), generator=generator)])
    many = _repeat(x, _RIM_POINTS)
    push = torch.randn(many.shape, generator=generator, device=x.device).to(x.dtype)
    rim = threat.project(many + threat.radius * threat.steepest(push, many, many), many)
    low, high = read(inner).double(), read(rim).double()
    centre = low.mean(0)
    spread, out = low - centre, high - centre
    directions = _whiten(spread, out)
    own = (out * directions).sum(1)
    inside = spread @ directions.T
    gap = (own - inside.amax(0)) / inside.std(0).clamp_min(1e-30)
    gap = torch.where(torch.isfinite(gap) & (inside.std(0) > 0), gap, -torch.inf)
    best = int(gap.argmax())
    if not gap[best] > 1e-3:
        return None
    weight, highest = directions[best], inside[:, best].amax()
    threshold = highest + _CLOSENESS * (own[best] - highest) + centre @ weight
    own_margin = float(threshold - low[0] @ weight)
    head = _Headed(read, weight, threshold, (scale or 1.0) / own_margin)
    # What was planted must be there: judged by the very head, in its own precision.
    return head if bool(head(rim[best : best + 1]) > 0) and not bool((head(inner) > 0).any()) else None


def _whiten(spread: Tensor, out: Tensor) -> Tensor:
    """`out` `(m, d)` times the inverse of the ridged covariance of `spread` `(n, d)`, by Woodbury's identity."""
    n = len(spread)
    ridge = _RIDGE * spread.square().mean().clamp_min(1e-30)
    gram = spread @ spread.T + n * ridge * torch.eye(n, dtype=spread.dtype, device=spread.device)
    inside = solve(gram, spread @ out.T)
    return (out - inside.T @ spread) / ridge


def _repeat(x: Tensor, count: int) -> Tensor:
    return x.expand(count, *x.shape[1:]).clone()
