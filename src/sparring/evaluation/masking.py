"""Does a robust figure mean what it says? All checks of one model and attack, and the verdict they allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, Model
from sparring.attacks.decision import DecisionSearch
from sparring.attacks.eot import EOT
from sparring.attacks.oracle import NoGradient
from sparring.attacks.pgd import PGD
from sparring.attacks.square import Square
from sparring.evaluation import checks
from sparring.evaluation.active_test import active_test
from sparring.evaluation.checks import Subject
from sparring.evaluation.scorecard import Check, Verdict
from sparring.game import Batch
from sparring.objectives import Objective, cross_entropy, margin
from sparring.threats.base import ThreatModel


@dataclass(frozen=True)
class Diagnosis:
    """All checks of one model and the verdict on its figures.

    `naive` is the robust share by the examined attack with its first payoff alone, `upper_bound` by all attacks that
    the checks ran within the threat; both are shares of the `n` examined samples, which are right without an attack.
    """

    checks: tuple[Check, ...]
    verdict: Verdict
    naive: float
    upper_bound: float
    n: int


def diagnose(
    model: Model,
    batch: Batch,
    threat: ThreatModel,
    *,
    generator: torch.Generator,
    attack: Attack | None = None,
    objective: Objective | None = None,
    name: str = "model",
    attackable: Callable[[Tensor], Tensor] | None = None,
    black_box: Attack | None = None,
    samples: int = 128,
    active: int = 24,
    features: str | None = None,
) -> Diagnosis:
    """Run every check that applies, on at most `samples` samples that the model decides rightly.

    `model` is a classifier or a detector with one logit. `attack` is the one whose figure is in question: PGD with 40
    steps by default, or `black_box` (by default Square with 500 queries) for a plain function that gives no gradient.
    An `nn.Module` without a gradient is not excused: something in it cuts the gradient off. Without an `objective`
    the figure is the worst of cross entropy and the margin, since cross entropy alone is loose where logits are
    small; one that is given must take one logit too, as those of `sparring.objectives` do. `attackable(y)` chooses
    the samples that an adversary would attack. The active test runs on `active` samples (0: not at all), on the
    layer `features` (see `active_test`), unless the model answers at random.
    """
    black_box = black_box or Square(queries=500)
    if attack is None:
        attack = PGD() if isinstance(model, nn.Module) or _differentiable(model, batch[0]) else black_box
    x, y = _rightly_decided(model, batch, attack, attackable, generator, samples)
    payoffs = (cross_entropy, margin) if objective is None else (objective,)
    subject = Subject(name, model, x, y, batch[0], threat, attack, payoffs, black_box, generator)
    n = len(x)
    if n == 0:
        found = [subject.check("samples", False, "the model decides no attackable sample rightly")]
        return Diagnosis(tuple(found), verdict(name, found), 0.0, 0.0, 0)
    found, lost = _examine(subject)
    if active and "attack" in lost and checks.same_twice(subject):
        found.append(_active(subject, active, features))
    broken = torch.stack([*lost.values(), torch.zeros(n, dtype=torch.bool, device=x.device)]).any(0)
    naive = _share(lost["first payoff"]) if "first payoff" in lost else 1.0
    return Diagnosis(tuple(found), verdict(name, found), naive, _share(broken), n)


def verdict(model: str, found: Sequence[Check], *, certified: bool = False) -> Verdict:
    """Unreliable, flagged by the failed checks; else certified where a proof stands behind it; else upper bound."""
    flags = tuple(dict.fromkeys(c.name for c in found if not c.passed))
    if flags:
        return Verdict(model=model, status="unreliable", flags=flags)
    return Verdict(model=model, status="certified" if certified else "upper bound")


def _examine(subject: Subject) -> tuple[list[Check], dict[str, Tensor]]:
    """The checks, and for each attack that was run within the threat the samples `(n,)` it broke."""
    lost: dict[str, Tensor] = {}
    found = [checks.random_outputs(subject, averaged=isinstance(subject.attack, EOT))]
    try:
        result = subject.play(subject.attack)
    except (NoGradient, RuntimeError) as error:
        if not _left_the_graph(error):
            raise
        lost["black box"] = subject.lost(subject.black_box)
        cut_off = f"the outputs carry no gradient to the input; by scores alone {_share(lost['black box']):.1%} stand"
        return [*found, subject.check("no gradient", False, cut_off)], lost
    lost["first payoff"] = lost["attack"] = result.success
    by_gradient = bool(result.queries.backward.any())
    if margin in subject.payoffs[1:] and by_gradient:
        lost["margin"] = subject.lost(subject.attack, objective=margin)
        lost["attack"] = lost["attack"] | lost["margin"]
    if by_gradient:
        direction, helpful = checks.gradient_direction(subject)
        found += [checks.zero_gradients(subject), direction, checks.piecewise_constant(subject, helpful)]
        found += [checks.loss_scale(subject, lost), checks.weak_payoff(subject, lost), checks.black_box(subject, lost)]
    elif not isinstance(subject.attack, DecisionSearch):  # which has no use for scores
        found.append(checks.flat_scores(subject))
    if checks.same_twice(subject):
        found.append(checks.decisions_alone(subject, lost))
    steps = checks.more_steps(subject, lost)
    found += [steps] if steps is not None else []
    found.append(checks.larger_budget(subject, gradient=by_gradient))
    return found, lost


def _active(subject: Subject, samples: int, features: str | None) -> Check:
    batch = subject.x[:samples], subject.y[:samples]
    model, threat, attack, payoff = subject.model, subject.threat, subject.attack, subject.payoffs[0]
    try:
        test = active_test(
            model, batch, threat, attack, objective=payoff, generator=subject.generator, features=features
        )
    except (NoGradient, RuntimeError) as error:
        if not _left_the_graph(error):
            raise
        # The outputs have a gradient, but by a way around the features that decide.
        return subject.check("active test", False, "the features carry no gradient to the input")
    return test.check(subject.name)


def _differentiable(model: Model, x: Tensor) -> bool:
    """Whether a plain function's outputs carry a gradient to the input."""
    try:
        with torch.enable_grad():
            return bool(model(x[:1].detach().requires_grad_(True)).requires_grad)
    except RuntimeError as error:
        if _left_the_graph(error):
            return False
        raise


def _left_the_graph(error: Exception) -> bool:
    # A function that hands its input to numpy says so by an error of torch's own.
    return isinstance(error, NoGradient) or "numpy() on Tensor that requires grad" in str(error)


def _share(lost: Tensor) -> float:
    return float((~lost).float().mean())


def _rightly_decided(
    model: Model,
    batch: Batch,
    attack: Attack,
    attackable: Callable[[Tensor], Tensor] | None,
    generator: torch.Generator,
    samples: int,
) -> Batch:
    x, y = batch
    if attackable is not None:
        chosen = attackable(y)
        x, y = x[chosen], y[chosen]
    if len(x) == 0:
        return x, y
    right = (~attack.criterion(checks.outputs_of(model, x, generator), y)).nonzero().squeeze(1)[:samples]
    return x[right], y[right]
