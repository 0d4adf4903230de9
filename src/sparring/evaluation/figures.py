"""An evaluation's figures as the scorecard holds them: rows with intervals, and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sparring.attacks.base import Model
from sparring.evaluation import statistics
from sparring.evaluation.protocol import Adversary, Evaluation, Outcome, describe, evaluate
from sparring.evaluation.scorecard import Curve, Row, Series
from sparring.game import Batch
from sparring.typed import integers, numbers

_MOST_OUTCOMES = 20_000


def evaluation_rows(
    evaluations: Evaluation | Sequence[Evaluation], *, model: str, metric: str = "accuracy", seeds: Sequence[int]
) -> list[Row]:
    """Rows of one model: clean, each adversary, and the worst of the seen, the held-out and all adversaries.

    Several evaluations are one per seed, of the same adversaries; intervals are Wilson's for one seed, and over
    seeds and samples (`statistics.seeds_and_samples`) for several. Adversary figures are upper bounds; the
    proofs' are "certified".
    """
    runs = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    if len(runs) != len(seeds) or not runs:
        raise ValueError(f"{len(runs)} evaluations for {len(seeds)} seeds")
    if any([o.adversary.name for o in run.outcomes] != [o.adversary.name for o in runs[0].outcomes] for run in runs):
        raise ValueError("every seed must be evaluated against the same adversaries")

    def row(parts: Sequence[Tensor], **more: object) -> Row:
        return _row(parts, runs, model=model, metric=metric, seeds=tuple(seeds), **more)

    rows = [row([run.clean for run in runs], condition="clean")]
    for i, first in enumerate(runs[0].outcomes):
        if not first.cascade:
            found = [run.outcomes[i] for run in runs]
            rows.append(row([o.right for o in found], queries=_mean_queries(found), **_described(first.adversary)))
    rows += [row(parts, **more) for parts, more in _worst_cases(runs)]
    for j, proof in enumerate(runs[0].proofs):
        parts = [run.proofs[j].certified for run in runs]
        bound = {"kind": "certified", "budget": proof.threat.radius, "threat": describe(proof.threat)}
        rows.append(row(parts, condition="adversary", adversary=f"any ({proof.method})", **bound))
    return rows


def radius_curve(
    models: dict[str, Model],
    batch: Batch,
    adversary: Adversary,
    factors: Sequence[float],
    *,
    generator: torch.Generator,
    attackable: Callable[[Tensor], Tensor] | None = None,
    metric: str = "accuracy",
    title: str | None = None,
    batch_size: int = 512,
) -> Curve:
    """The figure against the radius, `factors` of the adversary's own, one series per model.

    Larger sets hold the smaller ones, so a sample that fell at one radius counts as fallen at every larger one.
    """
    order = sorted(factors)
    radii = tuple(adversary.threat.scaled(f).radius for f in order)
    series: list[Series] = []
    for label, model in models.items():
        ladder = [replace(adversary, name=f"x{f:g}", threat=adversary.threat.scaled(f)) for f in order]
        found = evaluate(
            model,
            batch,
            ladder,
            generator=generator,
            attackable=attackable,
            batch_size=batch_size,
            criterion=adversary.attack.criterion,
            cascade=True,
        )
        series.append(_band(label, radii, [statistics.proportion(o.right.cpu().numpy()) for o in found.outcomes]))
    name = title or f"{metric} against the radius of {adversary.name}"
    return Curve(title=name, x_label="radius", y_label=metric, series=tuple(series))


def query_curve(
    outcomes: dict[str, Outcome], *, metric: str = "accuracy", title: str | None = None, points: int = 40
) -> Curve:
    """The figure against the forward passes an attack has spent per sample, one series per labelled outcome.

    It reads the queries at which each sample fell, so it needs no further run; the attack must have had its
    active set on, since otherwise every sample pays the whole budget.
    """
    series: list[Series] = []
    for label, outcome in outcomes.items():
        if not outcome.adversary.attack.active_set:
            raise ValueError(f"{outcome.adversary.name}: a query curve needs an attack with active_set=True")
        spent = outcome.queries.forward[outcome.attacked].double()
        most = max(float(spent.max()) if len(spent) else 1.0, 1.0)
        grid = sorted({0.0, *numbers(torch.logspace(0, torch.tensor(most).log10().item(), points).round())})
        fell = outcome.attacked & ~outcome.right
        at = torch.where(fell, outcome.queries.forward.double(), torch.inf)
        start = outcome.right | outcome.attacked
        found = [statistics.proportion((start & (at > q)).cpu().numpy()) for q in grid]
        series.append(_band(label, tuple(grid), found))
    name = title or f"{metric} against queries"
    return Curve(title=name, x_label="forward passes per sample", y_label=metric, series=tuple(series))


def _row(parts: Sequence[Tensor], runs: Sequence[Evaluation], **given: object) -> Row:
    same = len({run.samples for run in runs}) == 1
    outcomes = None
    if len(parts) == 1:
        found = statistics.proportion(parts[0].cpu().numpy())
        if found.n <= _MOST_OUTCOMES:
            outcomes = "".join("1" if right else "0" for right in integers(parts[0]))
    elif same and len(parts[0]) > 1:
        found = statistics.seeds_and_samples(torch.stack(list(parts)).cpu().numpy())
    else:
        found = statistics.seed_mean([float(part.double().mean()) for part in parts])
    samples = runs[0].samples if same else None
    within = (max(0.0, found.interval[0]), min(1.0, found.interval[1]))
    data = {"value": found.value, "interval": within, "n": len(parts[0]), "samples": samples}
    return Row.model_validate({**data, "outcomes": outcomes, **given})


def _described(adversary: Adversary) -> dict[str, object]:
    return {
        "condition": "adversary",
        "adversary": adversary.name,
        "seen": adversary.seen,
        "access": adversary.access,
        "kind": "upper bound",
        "budget": adversary.threat.radius,
        "threat": describe(adversary.threat),
    }


def _worst_cases(runs: Sequence[Evaluation]) -> list[tuple[list[Tensor], dict[str, object]]]:
    outcomes = runs[0].outcomes
    groups: list[tuple[str, bool | None]] = [("worst of all", None)]
    kinds = {o.adversary.seen for o in outcomes}
    if len(kinds) == 2 and not any(o.cascade for o in outcomes):
        groups = [("worst of seen", True), ("worst of held-out", False), *groups]
    found: list[tuple[list[Tensor], dict[str, object]]] = []
    for name, seen in groups if outcomes else []:
        members = [o.adversary for o in outcomes if seen is None or o.adversary.seen == seen]
        if len(members) == 1 and not outcomes[0].cascade:
            continue
        threats = {describe(a.threat) for a in members}
        shared = {"threat": threats.pop(), "budget": members[0].threat.radius} if len(threats) == 1 else {}
        flag = seen if seen is not None or len(kinds) == 2 else next(iter(kinds))
        more: dict[str, object] = {
            "condition": "adversary",
            "adversary": name,
            "seen": flag,
            "kind": "upper bound",
            **shared,
        }
        found.append(([run.worst(seen=seen) for run in runs], more))
    return found


def _mean_queries(outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    attacked = sum(int(o.attacked.sum()) for o in outcomes)
    if not attacked:
        return None
    return (
        sum(int(o.queries.forward.sum()) for o in outcomes) / attacked,
        sum(int(o.queries.backward.sum()) for o in outcomes) / attacked,
    )


def _band(label: str, x: tuple[float, ...], found: Sequence[statistics.Estimate]) -> Series:
    return Series(
        label=label,
        x=x,
        y=tuple(e.value for e in found),
        low=tuple(e.interval[0] for e in found),
        high=tuple(e.interval[1] for e in found),
    )
