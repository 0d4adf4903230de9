"""Score files of flows with a stored detector, in bounded memory, and say of every alert why it was raised."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparring.errors import BadInput
from sparring.network.captures import captured
from sparring.network.detector.layered import Explanation
from sparring.network.readers import FlowRows, Format, joined, stream
from sparring.network.schema import Schema, Table
from sparring.network.sniff import CAPTURE, FORMATS, sniff
from sparring.systems.intrusion.store import Stored
from sparring.typed import integers

Blocks = Iterator[FlowRows]
CAPTURED = "cicflowmeter"
"""The format that a capture's flows are records of."""

STEP = 1024
"""Rows scored at a time; fixed, so that a flow's score does not depend on how the file was cut into blocks."""

_ADDRESS = {
    "time": ("Timestamp",),
    "source": ("Source IP",),
    "source_port": ("Source Port",),
    "destination": ("Destination IP",),
    "destination_port": ("Destination Port",),
    "protocol": ("Protocol", "proto", "protocol_type"),
}
"""What an alert tells of where a flow came from, and the fields of the formats that hold it."""

_PROTOCOLS = {"6": "tcp", "17": "udp"}


@dataclass(frozen=True)
class Cause:
    """A feature that carries an alert: its value in the format's own units, and the logit lost without it."""

    feature: str
    value: float | str
    weight: float


@dataclass(frozen=True)
class Alert:
    """One flow that the detector calls an attack.

    `line` is the flow's line in its file; `address` holds what the format tells of time, source, source_port,
    destination, destination_port, protocol. `name` is the nearest known attack family, or "attack". `logit` is the
    deciding layer's, positive above the detector's own threshold; `false_alarm` in [0, 1] estimates the share of
    benign flows that score as high. `causes` are the features that carry the logit, heaviest first.
    """

    line: int
    address: dict[str, str]
    name: str
    logit: float
    false_alarm: float
    layer: str
    causes: tuple[Cause, ...] = ()

    def record(self) -> dict[str, Any]:
        """The alert as JSON data: one line of `alerts.jsonl`."""
        return {
            "line": self.line,
            **self.address,
            "class": self.name,
            "logit": self.logit,
            "false_alarm": self.false_alarm,
            "layer": self.layer,
            "features": [{"name": c.feature, "value": c.value, "weight": c.weight} for c in self.causes],
        }

    def cells(self) -> list[str]:
        """The alert as a line of `alerts.csv`, in the order of `COLUMNS`."""
        where = [self.address.get(key, "") for key in _ADDRESS]
        causes = "; ".join(f"{c.feature}={shown(c.value)}" for c in self.causes)
        return [str(self.line), *where, self.name, f"{self.logit:.6g}", f"{self.false_alarm:.6g}", self.layer, causes]


COLUMNS = ("line", *_ADDRESS, "class", "logit", "false_alarm", "layer", "features")
"""The header of `alerts.csv`."""


@dataclass
class Tally:
    """What a scan has seen so far; `unknown` counts the flows with a category the detector never learnt, per field.

    `undefined` counts flows of no duration, whose rates were not finite and read as 0; `skipped` a capture's packets
    that are part of no flow, by reason.
    """

    rows: int = 0
    alerts: int = 0
    classes: Counter[str] = field(default_factory=Counter[str])
    layers: Counter[str] = field(default_factory=Counter[str])
    unknown: Counter[str] = field(default_factory=Counter[str])
    undefined: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    started: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Flows per second of wall-clock time since the start."""
        return self.rows / max(time.monotonic() - self.started, 1e-9)

    def summary(self) -> dict[str, Any]:
        """The figures as JSON data."""
        return {
            "flows": self.rows,
            "alerts": self.alerts,
            "classes": dict(self.classes.most_common()),
            "layers": dict(self.layers.most_common()),
            "unknown_categories": dict(self.unknown),
            "undefined_rates": self.undefined,
            "skipped_packets": dict(self.skipped),
            "flows_per_second": round(self.rate, 1),
        }

    def saw(self, rows: FlowRows) -> None:
        """Count a block of the file."""
        self.unknown.update(rows.unknown)
        self.undefined += rows.undefined

    def raised(self, alert: Alert) -> None:
        """Count an alert."""
        self.alerts += 1
        self.classes[alert.name] += 1
        self.layers[alert.layer] += 1


def flows(path: Path, kind: str, form: Format, skipped: Counter[str] | None = None) -> Iterator[FlowRows]:
    """The flows of a file of this `kind` (a format's name, or "capture") in blocks, for detection: labels ignored.

    `skipped` counts a capture's packets that are part of no flow.
    """
    return captured(path, skipped) if kind == CAPTURE else stream(path, form, labelled=False)


def judged(stored: Stored, path: Path, kind: str | None = None, skipped: Counter[str] | None = None) -> Blocks:
    """The file's flows in blocks, as the detector wants them.

    `kind` as in `flows` (None: told from the file's first bytes). Raises `BadInput` if the detector was trained on
    another format.
    """
    found = kind or sniff(path)
    if found != CAPTURE and found not in FORMATS:
        raise BadInput(f"no format is called {found!r}; choose one of: {', '.join((*FORMATS, CAPTURE))}")
    if (CAPTURED if found == CAPTURE else found) != stored.schema.name:
        raise BadInput(
            f"{path}: is a file of {found}, and the detector was trained on {stored.schema.name}; "
            "give a detector for this format with --model, or correct --format"
        )
    return flows(path, found, stored.form, skipped)


def scan(
    stored: Stored,
    blocks: Iterable[FlowRows],
    tally: Tally,
    *,
    false_alarms: float | None = None,
    top: int = 3,
    explained: int = 1000,
) -> Iterator[Alert]:
    """The alerts of a stream of flows, in the file's order; `tally` counts along.

    `false_alarms` is the share of benign flows that may alarm (None: what the detector was calibrated for). The
    first `explained` alerts carry their `top` features; each costs as much as scoring one flow per feature.
    """
    allowed = stored.false_alarms if false_alarms is None else false_alarms
    if not 0 < allowed <= 1:
        raise BadInput(f"--false-alarms {allowed}: give a share of benign flows above 0 and at most 1")
    threshold = math.log(stored.false_alarms / allowed)
    for rows in _steps(blocks, tally):
        x = torch.as_tensor(stored.schema.encode(rows.table))
        logits = torch.cat([layer_logits(stored, part) for part in torch.split(x, STEP)])
        tally.rows += len(rows)
        best, layer = logits.max(1)
        hits = (best > threshold).nonzero().squeeze(1)
        told = _told(stored, x[hits[: max(explained - tally.alerts, 0)]], top)
        names = ["attack"] * len(hits) if stored.families is None else stored.families.name(x[hits])
        raised = rows.take(hits.numpy())
        labels = stored.schema.labels(raised.table)
        for i, hit in enumerate(integers(hits)):
            logit = float(best[hit])
            alert = Alert(
                line=int(raised.line[i]),
                address=address(raised, labels, i),
                name=names[i],
                logit=logit,
                false_alarm=false_alarm(stored, logit),
                layer=stored.detector.names[int(layer[hit])],
                causes=causes(told[i], labels, i) if i < len(told) else (),
            )
            tally.raised(alert)
            yield alert


def detect(
    stored: Stored, path: Path, tally: Tally | None = None, *, form: str | None = None, **options: Any
) -> Iterator[Alert]:
    """The alerts of a file: `scan` of its flows. Raises `BadInput` for a file that cannot be read as flows."""
    tally = tally or Tally()
    return scan(stored, judged(stored, path, form, tally.skipped), tally, **options)


@torch.no_grad()
def layer_logits(stored: Stored, x: torch.Tensor) -> torch.Tensor:
    """The layers' logits of encoded rows `(n, width)`, `(n, layers)`."""
    return stored.detector.layer_logits(x)


def false_alarm(stored: Stored, logit: float) -> float:
    """The share of benign flows that score `logit` or more: the calibrated rate at 0, falling with e^-logit."""
    return min(1.0, stored.false_alarms * math.exp(min(-logit, 700.0)))


def groups(schema: Schema) -> dict[str, list[int]]:
    """Feature name to its matrix columns."""
    return {name: list(range(at.start, at.stop)) for name, at in schema.slices.items()}


def address(rows: FlowRows, labels: Table, i: int) -> dict[str, str]:
    """What row `i` tells of its time and its ends; fields that the format lacks are left out."""
    out: dict[str, str] = {}
    for key, names in _ADDRESS.items():
        for name in names:
            if name in rows.keep or name in labels:
                value = shown(rows.keep[name][i] if name in rows.keep else labels[name][i])
                out[key] = _PROTOCOLS.get(value, value) if key == "protocol" else value
    return out


def causes(told: Explanation, labels: Table, i: int) -> tuple[Cause, ...]:
    """The features of an explanation with the values that row `i` has."""
    return tuple(Cause(name, natural(labels[name][i]), weight) for name, weight in told.features)


def natural(value: Any) -> float | str:
    """A cell as a JSON value: text, a whole number, or a real one."""
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def shown(value: Any) -> str:
    """A cell as short text: `tcp`, `491`, `0.17`."""
    value = natural(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _told(stored: Stored, x: torch.Tensor, top: int) -> list[Explanation]:
    return stored.detector.explain(x, groups(stored.schema), top) if top and len(x) else []


def _steps(blocks: Iterable[FlowRows], tally: Tally) -> Iterator[FlowRows]:
    """The same rows in parts of whole steps (the last one may be shorter)."""
    waiting: list[FlowRows] = []
    for block in blocks:
        tally.saw(block)
        waiting.append(block)
        have = sum(len(part) for part in waiting)
        if have >= STEP:
            rows, cut = joined(waiting), have - have % STEP
            yield rows.take(np.arange(cut))
            waiting = [rows.take(np.arange(cut, have))]
    if waiting and sum(len(part) for part in waiting):
        yield joined(waiting)
