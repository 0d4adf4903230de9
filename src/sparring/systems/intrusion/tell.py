"""From evaluations to what people read: rows, curves, attacks in the domain's own terms, a table of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from sparring.attacks.search import ConstrainedSearch
from sparring.engine.run import Run
from sparring.evaluation import statistics
from sparring.evaluation.figures import query_curve, radius_curve
from sparring.evaluation.masking import Diagnosis, diagnose
from sparring.evaluation.protocol import Adversary, Evaluation
from sparring.evaluation.scorecard import Change, Curve, Example, Row, Table
from sparring.network import Schema, controlled
from sparring.network.detector.layered import Detector
from sparring.systems.intrusion.adversary import ALL_ACTIONS, strongest, widest
from sparring.systems.intrusion.config import Config
from sparring.systems.intrusion.data import Part, Traffic
from sparring.typed import integers

_FIELDS = 12
"""Changed fields that an example shows."""

TITLE = "Intrusion detection that withstands adversarial flows"
PAPERS = (
    "Soltani, Nejadshamsi, Abou El Houda, Khoury, Costa, Falk, Avila, Enhancing Network Intrusion Detection Systems: "
    "A Multi-Layer Ensemble Approach to Mitigate Adversarial Attacks, IEEE SMC 2025, arXiv 2603.10413",
    "Simonetto, Ghamizi, Cordy, Constrained Adaptive Attack, NeurIPS 2024, arXiv 2406.00775",
    "Lin, Shi, Xue, IDSGAN, arXiv 1809.02077",
)


def clean_rows(model: str, detectors: Sequence[Detector], tests: Sequence[Part], seeds: tuple[int, ...]) -> list[Row]:
    """Accuracy on all test rows and the share of benign rows that raise an alarm, over the seeds."""
    verdicts: list[tuple[Tensor, Tensor]] = []
    for detector, test in zip(detectors, tests, strict=True):
        with torch.no_grad():
            verdicts.append((detector(test.x) > 0, test.y == 1))
    accuracy = [(alarm == attack).numpy() for alarm, attack in verdicts]
    false_alarms = [alarm[~attack].numpy() for alarm, attack in verdicts]
    return [
        _clean_row(model, "accuracy", accuracy, seeds, True),
        _clean_row(model, "false alarm rate", false_alarms, seeds, False),
    ]


def diagnosis(name: str, detector: Detector, rows: Part, traffic: Traffic, config: Config, run: Run) -> Diagnosis:
    """The evaluation's own checks. Trees give no gradient, so the detector is examined as what it shows: a score."""
    moves = widest(traffic.schema)
    model = moves.model(detector)

    def score(x: Tensor) -> Tensor:
        with torch.no_grad():
            return model(x)

    return diagnose(
        score,
        (moves.inputs(rows.x), rows.y),
        moves.threat,
        attack=ConstrainedSearch(queries=config.queries),
        black_box=ConstrainedSearch(queries=config.queries),
        generator=run.generator(f"checks/{name}"),
        name=name,
        samples=64,
        active=12,
    )


def curves(
    models: Mapping[str, Detector],
    games: Mapping[str, Evaluation],
    rows: Part,
    traffic: Traffic,
    config: Config,
    run: Run,
) -> tuple[Curve, ...]:
    """Recall against how much the attacker may do, and against the queries that it costs."""
    moves = widest(traffic.schema)
    ladder = Adversary(name="search", attack=ConstrainedSearch(queries=config.queries // 2), threat=moves.threat)
    some = rows.take(torch.arange(min(len(rows), 150)))
    by_radius = radius_curve(
        {name: moves.model(model) for name, model in models.items()},
        (moves.inputs(some.x), some.y),
        ladder,
        config.curve_points,
        generator=run.generator("curve"),
        metric="recall",
        title="Recall against what the attacker may do (1 = everything it controls)",
    )
    spent = {name: games[name].outcome(strongest(traffic.schema)) for name in models}
    return by_radius, query_curve(spent, metric="recall", title="Recall against queries at the widest")


def examples(
    models: Mapping[str, Detector], games: Mapping[str, Evaluation], rows: Part, traffic: Traffic
) -> tuple[Example, ...]:
    """Up to four attacks that beat the baseline, of different families, told by the fields that changed."""
    outcome = games["baseline"].outcome(ALL_ACTIONS)
    fell = integers((outcome.attacked & ~outcome.right).nonzero().squeeze(1))
    chosen: dict[str, int] = {}
    for index in fell:
        chosen.setdefault(str(rows.family[index]), index)
    told: list[Example] = []
    for family, index in list(chosen.items())[:4]:
        before, after = rows.x[index : index + 1], outcome.x_adv[index : index + 1]
        verdicts = tuple((name, _verdict(m, before), _verdict(m, after)) for name, m in models.items())
        changes = _changes(traffic.schema, before, after)
        note = "Made against the baseline; the hardened detector sees the same flow."
        if len(changes) > _FIELDS:
            note += f" {len(changes)} fields changed; the first {_FIELDS} of them are shown."
        told.append(
            Example(
                title=f"{family}: what the attacker changed",
                adversary=ALL_ACTIONS,
                changes=changes[:_FIELDS],
                outcome=verdicts,
                note=note,
            )
        )
    return tuple(told)


def layer_table(detector: Detector, test: Part, evaluation: Evaluation, rows: Part) -> Table:
    """What each layer of the hardened detector contributes, on the whole test set and on the attacked rows."""
    with torch.no_grad():
        all_rows, clean = detector.layer_logits(test.x) > 0, detector.layer_logits(rows.x) > 0
        worst = clean.clone()
        for outcome in evaluation.outcomes:
            worst &= detector.layer_logits(outcome.x_adv) > 0
    lines: list[tuple[str, ...]] = []
    for i, name in enumerate(detector.names):
        false = float(all_rows[test.y == 0, i].float().mean())
        lines.append(
            (
                name,
                f"{float(detector.budget[i]):.1%}",
                f"{false:.1%}",
                f"{float(clean[:, i].float().mean()):.1%}",
                f"{float(worst[:, i].float().mean()):.1%}",
            )
        )
    return Table(
        title="The hardened detector's layers",
        columns=(
            "layer",
            "false-alarm budget",
            "false alarms on test",
            "attacks flagged",
            "flagged after every attack",
        ),
        rows=tuple(lines),
        note="The attacks were made on the whole detector; a layer that is attacked alone can fall further.",
    )


def notes(traffic: Traffic, rows: Sequence[Row], budget: float) -> tuple[str, ...]:
    """Limits that a reader of the figures needs; `budget` is the share of benign `rows` that may alarm."""
    fixed = len(traffic.schema.names) - len(controlled(traffic.schema))
    return (
        *_cautions(traffic, rows, budget),
        f"The certificate rests on the list of fields that a sender cannot move: {fixed} of "
        f"{len(traffic.schema.names)} fields of {traffic.schema.name}. If the list is wrong, so is the certificate.",
        "Recall is over attacks alone; a row that is missed without an attack counts as lost to every adversary.",
        "Records are attacked, not packets: that an edited record can be sent was checked by the schema's relations.",
        "This is an independent implementation of the design in the paper's abstract; base learners, sizes and "
        "thresholds are reconstructed.",
    )


def _cautions(traffic: Traffic, rows: Sequence[Row], budget: float) -> list[str]:
    """What the data and the measured false alarms of this run forbid to conclude."""
    told: list[str] = []
    if any(record.source == "embedded" for record in traffic.records):
        told.append(
            "A detector trained on generated traffic is for trying the tools, not for real captures: train on your "
            "own labelled flows."
        )
    over = [row for row in rows if row.metric == "false alarm rate" and row.interval and row.interval[0] > budget]
    if over:
        days = "days" if any(record.source == "embedded" for record in traffic.records) else "rows"
        figures = ", ".join(f"{row.model} {row.value:.1%}" for row in over)
        told.append(
            f"False alarms on the test {days} are above the {budget * 100:g} % budget ({figures}): "
            "traffic shifted after calibration."
        )
    return told


def _clean_row(model: str, metric: str, parts: Sequence[np.ndarray], seeds: tuple[int, ...], higher: bool) -> Row:
    if len(parts) == 1:
        found = statistics.proportion(parts[0])
    else:
        found = statistics.seed_mean([float(part.mean()) for part in parts])
    low, high = found.interval
    return Row(
        model=model,
        metric=metric,
        condition="clean",
        value=found.value,
        interval=(max(0.0, low), min(1.0, high)),
        n=len(parts[0]),
        seeds=seeds,
        higher_is_better=higher,
    )


def _verdict(detector: Detector, x: Tensor) -> str:
    with torch.no_grad():
        logit = float(detector(x)[0])
    return f"{'attack' if logit > 0 else 'benign'} ({logit:+.2f})"


def _changes(schema: Schema, before: Tensor, after: Tensor) -> tuple[Change, ...]:
    old, new = (schema.labels(schema.decode(x.numpy())) for x in (before, after))
    moved = [name for name in schema.names if old[name][0] != new[name][0]]
    return tuple(Change(name=name, before=_shown(old[name][0]), after=_shown(new[name][0])) for name in moved)


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:,.6g}"
