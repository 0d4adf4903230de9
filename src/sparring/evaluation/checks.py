"""The single checks of a robust figure. `masking.diagnose` runs them; each tells its measured figures.

Every check compares what was measured with what holds of a sound attack on any model, so none needs to know how a
defence works (Athalye, Carlini & Wagner, "Obfuscated Gradients ...", ICML 2018; Carlini et al., "On Evaluating
Adversarial Robustness", 2019; Pintor et al., "Indicators of Attack Failure", NeurIPS 2022).

Two thresholds serve all of them. A figure may be off by `TOLERANCE`, five points, which is more than sound attacks of
one kind differ by on one model. And a direction that beats the mean of random ones on fewer than `HELPFUL` of the
samples, half way between a coin and certainty, is no gradient to follow.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, AttackResult, Model, frozen
from sparring.attacks.decision import DecisionSearch
from sparring.attacks.oracle import own_randomness
from sparring.attacks.pgd import PGD
from sparring.evaluation.scorecard import Check
from sparring.evaluation.statistics import sign_test
from sparring.objectives import Criterion, Objective, margin
from sparring.threats.base import ThreatModel, flat

TOLERANCE = 0.05
HELPFUL = 0.75
FLAT = 0.5
"""A score that a whole threat does not move, on more than half of the samples, is none to search by."""
_SURE = 0.01
_MEMBERS = 16
_DECISIONS = 300
_DOUBLINGS = 7
_DIRECTIONS = 8


@dataclass(frozen=True)
class Subject:
    """What is examined: a model, samples `(n, *sample)` that it decides rightly, and the attack in question.

    The figure in question is the worst case of the attack over all its `payoffs`; the first one is looked at
    closely. `pool` are further real inputs, of any class, among which reachable wrong decisions are looked for.
    """

    name: str
    model: Model
    x: Tensor
    y: Tensor
    pool: Tensor
    threat: ThreatModel
    attack: Attack
    payoffs: tuple[Objective, ...]
    black_box: Attack
    generator: torch.Generator

    @property
    def criterion(self) -> Criterion:
        """When the adversary has won."""
        return self.attack.criterion

    def play(self, attack: Attack, *, objective: Objective | None = None, model: Model | None = None) -> AttackResult:
        """One attack on all samples within the threat."""
        batch, payoff = (self.x, self.y), objective or self.payoffs[0]
        return attack(model or self.model, batch, self.threat, objective=payoff, generator=self.generator)

    def lost(self, attack: Attack, *, objective: Objective | None = None, model: Model | None = None) -> Tensor:
        """`(n,)` bool: the samples that an attack breaks within the threat."""
        return self.play(attack, objective=objective, model=model).success

    def outputs(self, x: Tensor) -> Tensor:
        """The model's outputs, as an attack sees them."""
        return outputs_of(self.model, x, self.generator)

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of the attack's payoff with respect to the input."""
        with torch.enable_grad(), frozen(self.model), own_randomness(self.generator, x.device):
            x = x.detach().requires_grad_(True)
            value = self.payoffs[0](self.model(x), self.y)
            return torch.autograd.grad(value.sum(), x)[0]

    def check(self, name: str, passed: bool, detail: str) -> Check:
        """One finding on this model."""
        return Check(model=self.name, name=name, passed=passed, detail=detail)


class _Divided(nn.Module):
    """The same decisions with logits over a constant; a module, so that the model inside it is frozen too."""

    def __init__(self, model: Model, scale: float) -> None:
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) / self.scale


def outputs_of(model: Model, x: Tensor, generator: torch.Generator) -> Tensor:
    """Outputs without gradient, in evaluation mode; the model's own draws follow the generator."""
    with torch.no_grad(), frozen(model), own_randomness(generator, x.device):
        return model(x)


def same_twice(subject: Subject) -> bool:
    """Whether two passes over the same inputs agree, up to the last places of a GPU's sums."""
    return _differing(subject) == 0


def random_outputs(subject: Subject, *, averaged: bool) -> Check:
    """Two passes over the same input agree, unless the attack averages over the model's draws (EOT)."""
    differ = _differing(subject)
    if differ == 0:
        return subject.check("random model", True, "two passes over the same inputs gave the same outputs")
    answer = "the attack averages over the draws" if averaged else "attack it through expectation over transformation"
    return subject.check("random model", averaged, f"two passes differ on {differ:.0%} of the inputs: {answer}")


def _differing(subject: Subject) -> float:
    first, second = (subject.outputs(subject.x).double() for _ in range(2))
    allowed = 1e-4 * first.abs().amax() if subject.x.is_cuda else 0.0
    return float(((first - second).abs() > allowed).reshape(len(first), -1).any(1).double().mean())


def zero_gradients(subject: Subject) -> Check:
    """The payoff's gradient is not exactly zero, at the inputs and at random members of the threat."""
    points = (subject.x, subject.threat.sample(subject.x, generator=subject.generator))
    zero = torch.stack([(flat(subject.gradient(p)) == 0).all(1) for p in points]).float().mean(1)
    worst = float(zero.max())
    detail = f"the gradient is exactly zero on {zero[0]:.0%} of the inputs and {zero[1]:.0%} of random points near them"
    return subject.check("zero gradients", worst <= TOLERANCE, detail)


def gradient_direction(subject: Subject) -> tuple[Check, float]:
    """A step along the gradient raises the margin more than the mean random step of the same length.

    A quarter of the radius: long enough to step over the pieces of a quantised model and the ripples of a shattered
    gradient, short enough for the first order to tell the direction. Also returns the share of samples it helps.
    """
    x, threat, step = subject.x, subject.threat, subject.threat.radius / 4
    grad = subject.gradient(x)

    def reached(direction: Tensor) -> Tensor:
        moved = threat.project(x + step * threat.steepest(direction, x, x), x)
        return margin(subject.outputs(moved), subject.y)

    noise = [torch.randn(x.shape, generator=subject.generator, device=x.device) for _ in range(_DIRECTIONS)]
    guessed = torch.stack([reached(n.to(x.dtype)) for n in noise]).mean(0)
    share = float((reached(grad) > guessed).float().mean())
    detail = f"a step along the gradient beats the mean of {_DIRECTIONS} random steps on {share:.0%} of the inputs"
    return subject.check("gradient direction", share >= HELPFUL, detail), share


def piecewise_constant(subject: Subject, helpful: float) -> Check:
    """Outputs move when the input does; where they do not, only a straight-through gradient (BPDA) can help.

    The step is a thousandth of the radius, or what the precision of the input can resolve if that is more.
    """
    x, threat = subject.x, subject.threat
    resolution = 64 * torch.finfo(x.dtype).eps * float(x.abs().amax().clamp_min(1.0)) / max(threat.radius, 1e-30)
    nearby = threat.scaled(min(1.0, max(1e-3, resolution))).sample(x, generator=subject.generator)
    moved = (flat(nearby) != flat(x)).any(1)
    if not bool(moved.any()):
        return subject.check(
            "piecewise constant", True, "the threat allows no small step, so there is nothing to compare"
        )
    same = flat(subject.outputs(nearby)) == flat(subject.outputs(x))
    share = float(same.all(1)[moved].float().mean())
    passed = share <= TOLERANCE or helpful >= HELPFUL
    detail = f"a tiny step leaves the outputs exactly unchanged on {share:.0%} of the inputs"
    if share > TOLERANCE and passed:
        detail += f", but the gradient given for it helps on {helpful:.0%}"
    return subject.check("piecewise constant", passed, detail)


def loss_scale(subject: Subject, lost: dict[str, Tensor]) -> Check:
    """Logits divided by their scale, which changes no decision, do not make the attack stronger.

    Floating point loses the gradient of large logits and never of small ones, so the logits are divided by their
    median margin where that is above 1.
    """
    scale = max(1.0, float(margin(subject.outputs(subject.x), subject.y).abs().median()))
    lost["rescaled"] = subject.lost(subject.attack, model=_Divided(subject.model, scale))
    detail = (
        f"robust {_robust(lost['first payoff'])}, and {_robust(lost['rescaled'])} with the logits divided by "
        f"their scale, {scale:.3g}"
    )
    gap = _gap(lost["rescaled"], lost["first payoff"])
    return subject.check("loss scale", _sound(*gap, len(subject.x)), detail)


def weak_payoff(subject: Subject, lost: dict[str, Tensor]) -> Check:
    """The same attack does not find more when it climbs the margin: the payoff is not the weak part."""
    if "margin" not in lost:
        lost["margin"] = subject.lost(subject.attack, objective=margin)
    gap = _gap(lost["margin"], lost["attack"])
    detail = f"robust {_robust(lost['attack'])}, and {_robust(lost['margin'])} with the margin as payoff"
    return subject.check("weak payoff", _sound(*gap, len(subject.x)), detail)


def black_box(subject: Subject, lost: dict[str, Tensor]) -> Check:
    """An attack that knows the gradient is not beaten by one that knows the scores alone."""
    lost["black box"] = subject.lost(subject.black_box)
    only = int((lost["black box"] & ~lost["attack"]).sum())
    detail = (
        f"robust {_robust(lost['attack'])} by the gradient attack, {_robust(lost['black box'])} by scores alone; "
        f"{only} of {len(subject.x)} samples fell to the scores alone"
    )
    gap = _gap(lost["black box"], lost["attack"])
    return subject.check("black box beats white box", _sound(*gap, len(subject.x)), detail)


def decisions_alone(subject: Subject, lost: dict[str, Tensor]) -> Check:
    """An attack that knows scores or gradients is not beaten by one that reads the decisions alone.

    Its search has nothing in common with the others: it comes from wrong decisions far away, real inputs of the pool
    among them, and walks along the boundary. Whatever was done to the scores, it does not see it. It asks no more
    often than the attack may.
    """
    queries = min(_DECISIONS, getattr(subject.attack, "queries", _DECISIONS))
    search = DecisionSearch(queries=queries, starts=subject.pool, criterion=subject.criterion)
    lost["decisions"] = subject.lost(search)
    only = int((lost["decisions"] & ~lost["attack"]).sum())
    detail = (
        f"robust {_robust(lost['attack'])} by the attack, {_robust(lost['decisions'])} by decisions alone; {only} of "
        f"{len(subject.x)} samples fell to the decisions alone"
    )
    gap = _gap(lost["decisions"], lost["attack"])
    return subject.check("decisions beat the attack", _sound(*gap, len(subject.x)), detail)


def flat_scores(subject: Subject) -> Check:
    """Random members of the threat have another score than the input: there is something to search by.

    A detector that answers by the sign of its score, a clamped one or a saturated sigmoid gives a search by scores
    nothing to compare, so its failure says nothing. Only samples that the threat can move count.
    """
    clean, flat_so_far = subject.outputs(subject.x), torch.ones_like(subject.y, dtype=torch.bool).reshape(-1)
    moved = torch.zeros_like(flat_so_far)
    for _ in range(_MEMBERS):
        member = subject.threat.sample(subject.x, generator=subject.generator)
        moved |= (flat(member) != flat(subject.x)).any(1)
        flat_so_far &= (flat(subject.outputs(member)) == flat(clean)).all(1)
    n = int(moved.sum())
    share = float((flat_so_far & moved).sum()) / max(n, 1)
    detail = (
        f"all of {_MEMBERS} random members of the threat leave the score exactly as it is on {share:.0%} of {n} inputs"
    )
    return subject.check("flat scores", share <= FLAT, detail)


def more_steps(subject: Subject, lost: dict[str, Tensor]) -> Check | None:
    """A quarter of the budget does not find more; None for an attack without a budget to cut."""
    for name in ("steps", "queries"):
        if name in {f.name for f in fields(subject.attack)} and getattr(subject.attack, name) >= 4:
            few = getattr(subject.attack, name) // 4
            lost["fewer"] = subject.lost(replace(subject.attack, **{name: few}))
            whole = lost["first payoff"]
            detail = f"robust {_robust(lost['fewer'])} with {few} {name}, {_robust(whole)} with all"
            gap = _gap(lost["fewer"], whole)
            return subject.check("more steps not stronger", _sound(*gap, len(subject.x)), detail)
    return None


def larger_budget(subject: Subject, *, gradient: bool) -> Check:
    """With a radius large enough that wrong decisions certainly lie within reach, the attack finds them.

    The radius is doubled up to 128 times; larger sets hold the smaller ones, so a sample once broken stays broken.
    What lies within reach is shown by real inputs of the pool projected into the largest set: samples for which
    one of them is a wrong decision must fall. The gradient attack starts at the input, since a random start in
    a large set would win without any gradient.
    """
    attack = PGD(random_start=False, criterion=subject.criterion) if gradient else subject.attack
    standing = _reachable(subject, subject.threat.scaled(2.0**_DOUBLINGS)).nonzero().squeeze(1)
    n = len(standing)
    for doubling in range(_DOUBLINGS + 1):
        threat = subject.threat.scaled(2.0**doubling)
        if len(standing) == 0:
            break
        batch = subject.x[standing], subject.y[standing]
        result = attack(subject.model, batch, threat, objective=subject.payoffs[0], generator=subject.generator)
        standing = standing[~result.success]
    missed = len(standing)
    detail = f"at up to {2**_DOUBLINGS} times the radius, {missed} of {n} samples with a wrong decision in reach stand"
    return subject.check("larger budget not stronger", missed <= TOLERANCE * n, detail)


def _reachable(subject: Subject, threat: ThreatModel, tries: int = 4) -> Tensor:
    """`(n,)` bool: a real input of the pool, projected into the threat, is decided wrongly."""
    found = torch.zeros(len(subject.x), dtype=torch.bool, device=subject.x.device)
    for _ in range(tries):
        pick = torch.randint(len(subject.pool), (len(subject.x),), generator=subject.generator, device=subject.x.device)
        member = threat.project(subject.pool[pick], subject.x)
        found |= subject.criterion(subject.outputs(member), subject.y)
    return found


def _gap(weaker: Tensor, stronger: Tensor) -> tuple[int, int]:
    """Samples that only the attack meant to be weaker breaks, and that only the stronger one breaks."""
    return int((weaker & ~stronger).sum()), int((stronger & ~weaker).sum())


def _sound(wins: int, losses: int, n: int) -> bool:
    """Whether the weaker attack's lead is within the tolerance or within chance."""
    return (wins - losses) / n <= TOLERANCE or sign_test(wins, losses) > _SURE


def _robust(lost: Tensor) -> str:
    return f"{float((~lost).float().mean()):.1%}"
