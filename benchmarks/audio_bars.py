"""From what was measured to bars, for benchmarks/audio.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from form import Bar

from sparring.evaluation.statistics import Estimate, seed_mean
from sparring.systems.audio.compare import Outcome, best

TESTS = ("same", "balanced", "flipped")


@dataclass(frozen=True)
class Found:
    """All that was measured; outcomes by method.

    `tuned` is the best try of every variant on the tuning draws; `chosen` what won, on the tested draws; `zero` the
    chosen variant of gradient reversal with λ = 0.
    """

    tuned: Mapping[str, Outcome]
    chosen: Mapping[str, Outcome]
    tried: Mapping[str, Sequence[Outcome]]
    variant: Outcome
    zero: Outcome
    controls: Mapping[str, Outcome]
    further: Mapping[str, Outcome]
    clean: Mapping[str, Outcome]
    unseen: Mapping[str, Outcome]
    probes: Mapping[str, Mapping[str, Sequence[float]]]
    people: Mapping[str, Mapping[str, Sequence[float]]]
    seconds: float
    speed: float
    seeds: int

    def everything(self) -> dict[str, Any]:
        """Means over seeds of every try, every test and every measure."""
        return {
            "tuning": {name: [_figures(o) for o in outcomes] for name, outcomes in self.tried.items()},
            "chosen": {name: _figures(o) for name, o in self._all.items()},
            "clean labels": {name: _figures(o) for name, o in self.clean.items()},
            "unseen generators": {name: _figures(o) for name, o in self.unseen.items()},
            "probes": {n: {k: _round(v) for k, v in kinds.items()} for n, kinds in self.probes.items()},
            "human clips": {s: {n: _round(v) for n, v in methods.items()} for s, methods in self.people.items()},
        }

    @property
    def _all(self) -> dict[str, Outcome]:
        return {**self.chosen, self.zero.method: self.zero, **self.controls, **self.further}


def bars(found: Found) -> list[Bar]:
    return [*_measures(found), *_gains(found), *_rivals(found), *_published(found), *_people(found), *_costs(found)]


def _measures(found: Found) -> list[Bar]:
    erm = found.chosen["ERM"]
    gap = seed_mean(np.subtract(erm.tests["same"]["SRCC"], erm.tests["flipped"]["SRCC"]).tolist())
    means = {t: erm.mean(t) for t in TESTS} | {"domain means, same": found.further["domain means"].mean("same")}
    out = [Bar("1", "ERM, SRCC same minus flipped", ">= .20", gap.value, gap.interval, gap.value >= 0.2, means)]
    for name, control in found.controls.items():
        off = {t: control.mean(t) - erm.mean(t) for t in TESTS}
        worst = max(off.values(), key=abs)
        at = next(t for t in TESTS if off[t] == worst)
        interval = paired(control, erm, at).interval
        out.append(
            Bar("1", f"{name} minus ERM, the worst test", "within .02", worst, interval, abs(worst) <= 0.02, off)
        )
    return out


def _gains(found: Found) -> list[Bar]:
    erm, variant = found.chosen["ERM"], found.variant
    out: list[Bar] = []
    for test, target in (("balanced", 0.06), ("flipped", 0.2)):
        gain = paired(variant, erm, test)
        beside = {"λ": variant.value, **{t: variant.mean(t) for t in TESTS}}
        beside["over ERM with λ = 0"] = paired(found.zero, erm, test).value
        holds = gain.value >= target and gain.interval[0] > 0
        text = f">= +{target:.2f}, interval above 0"
        out.append(Bar("2", f"{variant.method}, SRCC {test} over ERM", text, gain.value, gain.interval, holds, beside))
    marginal = found.chosen["GRL"]
    lost = paired(erm, marginal, "same")
    figures = {"λ": marginal.value, **{t: marginal.mean(t) for t in TESTS}}
    out.append(
        Bar("2", "marginal GRL, SRCC lost in domain", "<= .05", lost.value, lost.interval, lost.value <= 0.05, figures)
    )
    drop = seed_mean((1 - np.divide(variant.tests["balanced"]["bias"], erm.tests["balanced"]["bias"])).tolist())
    means = {"ERM": erm.mean("balanced", "bias"), variant.method: variant.mean("balanced", "bias")}
    ratio = 1 - means[variant.method] / means["ERM"]
    inside = (min(drop.interval[0], ratio), max(drop.interval[1], ratio))
    out.append(Bar("2", "bias per domain, balanced, down by", ">= 40 %", ratio, inside, ratio >= 0.4, means))
    return out


def _rivals(found: Found) -> list[Bar]:
    rivals = {n: o for n, o in found.chosen.items() if n not in ("ERM", "GRL", found.variant.method)}
    out: list[Bar] = []
    for test in ("balanced", "flipped"):
        for name, rival in rivals.items():
            gain = paired(found.variant, rival, test)
            beside = {"its number": rival.value, "its SRCC": rival.mean(test), "its same": rival.mean("same")}
            metric = f"{found.variant.method} over {name}, SRCC {test}"
            holds = gain.interval[0] > 0
            out.append(Bar("3", metric, "> 0, interval above 0", gain.value, gain.interval, holds, beside))
    for test in ("balanced", "flipped"):
        gain = paired(found.variant, found.zero, test)
        beside = {"its SRCC": found.zero.mean(test), "its same": found.zero.mean("same")}
        metric = f"what λ adds: {found.variant.method} over itself with λ = 0, SRCC {test}"
        out.append(Bar("published", metric, "no bar", gain.value, gain.interval, True, beside))
    return out


def _published(found: Found) -> list[Bar]:
    erm = found.clean["ERM"]
    ours = best(o for n, o in found.clean.items() if n.startswith("GRL"))
    out: list[Bar] = []
    for test in TESTS:
        lead = paired(erm, ours, test)
        beside = {f"{n}": o.mean(test) for n, o in found.clean.items()}
        text, holds = "> 0 (ERM ahead)", lead.value > 0
        out.append(
            Bar(
                "4",
                f"clean labels: ERM over {ours.method}, SRCC {test}",
                text,
                lead.value,
                lead.interval,
                holds,
                beside,
            )
        )
    test = "unseen generators"
    gain = paired(found.unseen[found.variant.method], found.unseen["ERM"], test)
    beside = {name: outcome.mean(test) for name, outcome in found.unseen.items()}
    metric = f"unseen generators: {found.variant.method} over ERM, SRCC"
    out.append(Bar("published", metric, "no bar", gain.value, gain.interval, True, beside))
    chance = 1 / 8
    for kind in ("linear", "linear, within score bins", "MLP"):
        values = {name: float(np.mean(kinds[kind])) for name, kinds in found.probes.items()}
        mean = seed_mean(list(found.probes[found.variant.method][kind]))
        metric = f"fresh {kind} probe, balanced accuracy, {found.variant.method}"
        out.append(Bar("published", metric, f"no bar (chance {chance:.3f})", mean.value, mean.interval, True, values))
    return out


def _people(found: Found) -> list[Bar]:
    out: list[Bar] = []
    for away, methods in found.people.items():
        beside = {name: float(np.mean(values)) for name, values in methods.items()}
        gain = seed_mean(np.subtract(methods[found.variant.method], methods["ERM"]).tolist())
        metric = f"human clips, {away} held out: {found.variant.method} over ERM, SRCC"
        out.append(Bar("5", metric, ">= 0", gain.value, gain.interval, gain.value >= 0, beside))
    return out


def _costs(found: Found) -> list[Bar]:
    spent, speed = found.seconds, found.speed
    return [
        Bar("6", "the table with all tries and controls, CPU-seconds", "<= 360", spent, None, spent <= 360),
        Bar("6", "scoring with log-mel features, times real time", ">= 50", speed, None, speed >= 50),
    ]


def paired(one: Outcome, other: Outcome, test: str, measure: str = "SRCC") -> Estimate:
    """Mean over seeds of `one - other` on the same draws."""
    return seed_mean(np.subtract(one.tests[test][measure], other.tests[test][measure]).tolist())


def _figures(outcome: Outcome) -> dict[str, Any]:
    tests = {
        name: {measure: round(float(np.mean(values)), 4) for measure, values in figures.items()}
        for name, figures in outcome.tests.items()
    }
    validation = {name: round(float(np.mean(values)), 4) for name, values in outcome.validation.items()}
    number = {} if np.isnan(outcome.value) else {"number": outcome.value}
    return {**number, "validation": validation, "tests": tests}


def _round(values: Sequence[float]) -> list[float]:
    return [round(float(v), 4) for v in values]
