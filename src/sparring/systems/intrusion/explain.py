"""One flow in depth, and a whole file against its format's rules."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparring.errors import BadInput
from sparring.network.readers import FlowRows
from sparring.network.schema import Schema, Table
from sparring.network.sniff import CAPTURE, named, sniff
from sparring.network.threats import controlled, sender
from sparring.systems.intrusion.detect import (
    CAPTURED,
    Cause,
    address,
    causes,
    flows,
    groups,
    judged,
    layer_logits,
    natural,
)
from sparring.systems.intrusion.store import Stored
from sparring.typed import numbers


@dataclass(frozen=True)
class Opinion:
    """One layer on one flow: its logit (positive: it alone would alarm) and what carries it."""

    layer: str
    logit: float
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Reach:
    """A field that the sender controls: its value, and the values the sender can give it (`low` to `high`).

    `follows` marks a field that is not set but computed from others the sender sets; it has no range of its own.
    """

    feature: str
    value: float | str
    low: float | None = None
    high: float | None = None
    follows: bool = False


@dataclass(frozen=True)
class Told:
    """A flow, explained.

    `logit` is the largest of the layers'. `certified` is the logit that no change of the fields in `reach` can lower
    it below (None: no layer is blind to them all); above 0 the alarm is certain.
    """

    line: int
    address: dict[str, str]
    name: str
    logit: float
    certified: float | None
    layers: tuple[Opinion, ...]
    reach: tuple[Reach, ...]
    features: dict[str, float | str]

    @property
    def alert(self) -> bool:
        """Whether the detector calls the flow an attack."""
        return self.logit > 0

    def record(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {"alert": self.alert, **asdict(self)}


@dataclass(frozen=True)
class Broken:
    """A rule, how many flows of the file break it, and the first one's line; `known` is what reference files show."""

    rule: str
    flows: int
    first_line: int | None
    known: str


@dataclass(frozen=True)
class RuleCheck:
    """A file against its format: all rules, the flows that break any, the categories the format does not know."""

    form: str
    flows: int
    breaking: int
    rules: tuple[Broken, ...]
    unknown: dict[str, int]

    def record(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {"format": self.form, **{k: v for k, v in asdict(self).items() if k != "form"}}


def explain(stored: Stored, path: Path, line: int, *, form: str | None = None, top: int = 5) -> Told:
    """The flow at `line` of the file. Raises `BadInput` where no flow stands there."""
    rows = _at(stored, path, line, form)
    schema, labels = stored.schema, stored.schema.labels(rows.table)
    x = torch.as_tensor(schema.encode(rows.table))
    logits = numbers(layer_logits(stored, x)[0])
    names = stored.detector.names
    opinions = [
        Opinion(name, logit, causes(stored.detector.only(name).explain(x, groups(schema), top)[0], labels, 0))
        for name, logit in zip(names, logits, strict=True)
    ]
    moving = set(controlled(schema))
    fixed = torch.as_tensor(schema.indices(n for n in schema.names if n not in moving))
    with torch.no_grad():
        bound = float(stored.detector.certified(x, fixed)[0])
    name = "normal" if max(logits) <= 0 else "attack" if stored.families is None else stored.families.name(x)[0]
    return Told(
        line=line,
        address=address(rows, labels, 0),
        name=name,
        logit=max(logits),
        certified=bound if math.isfinite(bound) else None,
        layers=tuple(opinions),
        reach=_reach(schema, rows.table, labels),
        features={n: natural(labels[n][0]) for n in schema.names},
    )


def check_rules(path: Path, form: str | None = None) -> RuleCheck:
    """The file against its format's relations, block by block. Raises `BadInput` for what is no file of flows."""
    kind = form or sniff(path)
    name = CAPTURED if kind == CAPTURE else kind
    known = named(name)
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    first: dict[str, int] = {}
    total = breaking = 0
    for rows in flows(path, kind, known):
        broken = known.schema.broken(rows.table)
        total += len(rows)
        breaking += int(np.any([*broken.values()], axis=0).sum()) if broken else 0
        unknown.update(rows.unknown)
        for rule, bad in broken.items():
            if bad.any():
                counts[rule] += int(bad.sum())
                first.setdefault(rule, int(rows.line[bad.argmax()]))
    rules = (Broken(r.name, counts[r.name], first.get(r.name), r.observed) for r in known.schema.relations)
    return RuleCheck(name, total, breaking, tuple(rules), dict(unknown))


def _at(stored: Stored, path: Path, line: int, form: str | None) -> FlowRows:
    for rows in judged(stored, path, form):
        here = np.flatnonzero(rows.line == line)
        if len(here):
            return rows.take(here)
        if len(rows) and rows.line[-1] > line:
            break
    raise BadInput(f"{path}: line {line} holds no flow; give --row a line that does (a header is line 1)")


def _reach(schema: Schema, table: Table, labels: Table) -> tuple[Reach, ...]:
    """What a sender could change of the one flow in `table`, in the schema's order."""
    try:
        when = {lever.feature: lever.when for lever in sender(schema).levers}
    except BadInput:  # no box describes this format's attacker; the fields' own control still holds
        when = {}
    out: list[Reach] = []
    for name in controlled(schema):
        f, value, condition = schema[name], natural(labels[name][0]), when.get(name)
        if f.control == "none":
            out.append(Reach(name, value, follows=True))
        elif condition is None or bool(condition(table)[0]):
            now = float(table[name][0])
            low = now if f.control == "increase" else min(f.low, now)
            high = now if f.control == "decrease" else max(f.high, now)
            out.append(Reach(name, value, natural(low), natural(high)))  # type: ignore[arg-type]
    return tuple(out)
