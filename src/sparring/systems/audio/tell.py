"""From trained models to what people read: rows, checks, pictures, tables, limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.engine.run import Run
from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Check, Curve, Figure, Row, Series, Table
from sparring.systems.audio import figures as draw
from sparring.systems.audio import measures
from sparring.systems.audio.compare import CRITERION, Arena, Outcome
from sparring.systems.audio.data import Part
from sparring.systems.audio.fit import Fitted
from sparring.systems.audio.pool import Pool
from sparring.systems.audio.probes import balanced, probe, within_bins
from sparring.systems.audio.store import Scorer

TITLE = "Audio quality assessment that listens to quality, not to the generator"
PAPERS = (
    "Robust Generative Audio Quality Assessment: Disentangling Quality from Spurious Correlations, ICME 2026, "
    "arXiv 2603.16201",
    "Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016, arXiv 1505.07818",
    "Gulrajani, Lopez-Paz, In Search of Lost Domain Generalization, ICLR 2021, arXiv 2007.01434",
)
SHIFTS = {
    "balanced": "shortcut removed",
    "flipped": "shortcut turned round",
    "unseen generators": "generators held out",
}
"""Test to the adversary's name in the scorecard: what is done to the tie between generator and quality."""
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Findings:
    """All that is told of: outcomes and networks over all seeds by model, the control, and the two kept scorers."""

    arena: Arena
    outcomes: Mapping[str, Outcome]
    fitted: Mapping[str, Fitted]
    control: Outcome
    shortcut: Outcome
    scorers: Mapping[str, Scorer]
    generators: tuple[str, ...]
    level: float


def rows(found: Findings, seeds: tuple[int, ...]) -> tuple[Row, ...]:
    """SRCC where the shortcut holds, is gone and is turned round; and the bias per domain where it is gone."""
    out: list[Row] = []
    everyone = {**found.outcomes, "random domains": found.control}
    for model, outcome in everyone.items():
        out.append(_row(model, "SRCC", outcome.tests["same"]["SRCC"], seeds))
        out += [_row(model, "SRCC", outcome.tests[t]["SRCC"], seeds, adversary=SHIFTS[t]) for t in _shifted(outcome)]
    for model, outcome in everyone.items():
        for test in _shifted(outcome):
            values = outcome.tests[test]["bias"]
            out.append(_row(model, "bias per domain", values, seeds, adversary=SHIFTS[test], higher=False))
    return tuple(out)


def checks(found: Findings) -> tuple[Check, ...]:
    """Does the benchmark measure something, does chance change nothing, did the adversary live?"""
    baseline = found.outcomes["baseline"]
    gap = baseline.mean("same") - baseline.mean("flipped")
    shift = max(abs(found.control.mean(t) - baseline.mean(t)) for t in ("same", "balanced", "flipped"))
    return (
        Check(
            model="baseline",
            name="the shortcut matters",
            passed=gap >= 0.2,
            detail=f"SRCC falls by {gap:.3f} when the shortcut is turned round (at least 0.2 is asked for)",
        ),
        Check(
            model="random domains",
            name="random domains change nothing",
            passed=shift <= 0.05,
            detail=f"the same game on domains by chance differs from the baseline by at most {shift:.3f} SRCC",
        ),
    )


def probed(found: Findings, seeds: int = 3) -> dict[str, dict[str, float]]:
    """Fresh probes on the frozen representation of unseen sentences, mean over the first seeds."""
    out: dict[str, dict[str, float]] = {}
    for model, fitted in found.fitted.items():
        table: dict[str, list[float]] = {}
        for i, trial in enumerate(found.arena.trials[:seeds]):
            part = trial.tests["balanced"]
            z = fitted.model.represent(part.x)[:, i].numpy()
            for name, value in probe_figures(z, part).items():
                table.setdefault(name, []).append(value)
        out[model] = {name: float(np.mean(values)) for name, values in table.items()}
    return out


def probe_figures(z: NDArray[np.floating], part: Part, *, mlp: bool = True) -> dict[str, float]:
    """Balanced accuracy of a linear and an MLP probe, and of the linear one within score bins."""
    domain, group = part.domain.numpy(), part.sentence
    right = probe(z, domain, group)
    out = {"linear": balanced(right, domain), "linear, within score bins": within_bins(right, domain, part.y.numpy())}
    if mlp:
        out["MLP"] = balanced(probe(z, domain, group, kind="mlp"), domain)
    return out


def drawn(found: Findings, run: Run) -> tuple[Figure, ...]:
    """Scatter, bias, probes and calibration, all of clips of unseen sentences."""
    trial = found.arena.trials[0]
    part = trial.tests["balanced"]
    rated, domain = part.y.numpy(), part.domain.numpy()
    predicted = {name: scorer.judge(part.x)[0][:, 0] for name, scorer in found.scorers.items()}
    seed = "The kept scorers on the first seed's balanced test: every clip of its unseen sentences."
    residuals = {name: measures.residuals(p, rated, domain) for name, p in predicted.items()}
    names = [found.generators[k] for k in trial.generators[: trial.domains]]
    probes = run.recorded("probes", lambda: probed(found))
    return (
        draw.scatter(predicted, rated, domain, names, run.figure("scatter.png"), seed),
        draw.biases(residuals, names, run.figure("bias.png"), seed),
        draw.probes(
            probes, 1 / trial.domains, run.figure("probes.png"),
            "Mean over three seeds, clips of unseen sentences. The game stops the quality head from using the domain; "
            "it need not remove it from the representation, and the adversary's own accuracy would prove neither.",
        ),
        draw.calibration(
            LEVELS, _coverage(found), run.figure("calibration.png"),
            "Intervals are calibrated on clips drawn as in training and rated by simulated listeners; where the "
            "shortcut breaks, their promise may fail.",
        ),
    )  # fmt: skip


def curves(run: Run, arena: Arena, hardened: Outcome) -> tuple[Curve, ...]:
    """The adversary during the training of the hardened model: none of these figures proves invariance."""
    from sparring.systems.audio.compare import slug

    name = slug(f"{arena.name} {hardened.method} {hardened.value:g}")
    lines = [json.loads(line) for line in run.journal.path.read_text("utf-8").splitlines()]
    epochs = [line for line in lines if line["name"] == name and "epoch" in line and "domain_ce" in line]
    if not epochs:
        return ()
    x = tuple(float(line["epoch"]) for line in epochs)
    shown = {
        "cross entropy / log K": "domain_ce",
        "entropy / log K": "domain_entropy",
        "balanced accuracy": "domain_balanced",
        "gradient ratio, domain to task": "gradient_ratio",
    }
    series = tuple(Series(label=k, x=x, y=tuple(float(line[v]) for line in epochs)) for k, v in shown.items())
    return (
        Curve(
            title="The adversary during training",
            x_label="epoch (five passes)",
            y_label="share",
            series=series,
            note="Means over an epoch and all seeds. A cross entropy near 1 may also mean a collapsed classifier: "
            "read it with the probes.",
        ),
    )


def tables(found: Findings, tried: Mapping[str, Sequence[Outcome]]) -> tuple[Table, ...]:
    """What every value of every method's number gave, the chosen one marked; and the further measures."""
    lines: list[tuple[str, ...]] = []
    for model, outcomes in tried.items():
        for one in outcomes:
            mark = "chosen" if one.value == found.outcomes[model].value else ""
            plain = float(np.mean(one.validation["SRCC"]))
            tests = tuple(f"{one.mean(t):.3f}" for t in ("same", "balanced", "flipped"))
            lines.append((one.method, f"{one.value:g}", mark, f"{one.valid:.3f}", f"{plain:.3f}", *tests))
    further = [
        (model, *(f"{outcome.mean('balanced', m):.3f}" for m in _FURTHER))
        for model, outcome in {**found.outcomes, "domain means": found.shortcut}.items()
    ]
    return (
        Table(
            title="Tuning",
            columns=("method", "number", "", CRITERION, "SRCC, plain", "same", "balanced", "flipped"),
            rows=tuple(lines),
            note="Chosen by in-domain validation alone, re-weighted until score and generator are independent; the "
            "last three columns were not looked at. Plain in-domain SRCC rewards the shortcut.",
        ),
        Table(title="Further measures, balanced test", columns=("model", *_FURTHER), rows=tuple(further)),
    )


def notes(found: Findings, pool: Pool) -> tuple[str, ...]:
    """Limits that a reader of the figures needs."""
    means = found.shortcut.mean("same")
    return (
        f"The label is PESQ against each engine's own clean clip, no listener's opinion; listeners are simulated, all "
        f"{len(pool):,} clips are synthetic voices.",
        f"The shift is a selection made by us: knowing the generator alone gives SRCC {means:.2f} where it holds.",
        "λ is chosen on in-domain validation that is re-weighted with the known domains; without domain labels there "
        "is nothing to re-weight or to reverse.",
        "Nothing here says that unseen generators are judged better: the benchmark publishes that test without a bar.",
        "A scorer from this run is for trying the tools: train on your own ratings with `sparring audio train`.",
        "An independent implementation: the paper's tables were not at hand, and no figure here is the paper's.",
    )


_FURTHER = ("SRCC", "LCC", "KTAU", "MSE", "SRCC within domains", "SRCC of domains", "bias")


def _shifted(outcome: Outcome) -> list[str]:
    return [test for test in SHIFTS if test in outcome.tests]


def _coverage(found: Findings) -> dict[str, list[float]]:
    tests = found.arena.trials[0].tests
    out: dict[str, list[float]] = {}
    for model, scorer in found.scorers.items():
        for test in ("same", "flipped"):
            predicted, spread = scorer.judge(tests[test].x)
            rated = tests[test].y.numpy()[:, None]
            out[f"{model}, {test}"] = scorer.calibration.coverage(predicted, spread, rated, LEVELS)
    return out


def _row(
    model: str,
    metric: str,
    values: Sequence[float],
    seeds: tuple[int, ...],
    *,
    adversary: str | None = None,
    higher: bool = True,
) -> Row:
    mean = statistics.seed_mean(values)
    return Row(
        model=model,
        metric=metric,
        condition="clean" if adversary is None else "adversary",
        adversary=adversary,
        seen=None if adversary is None else False,
        value=mean.value,
        interval=mean.interval,
        n=mean.n,
        seeds=seeds,
        higher_is_better=higher,
    )
