"""Two scorecards row by row: the difference of each figure they share, with its interval."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from sparring.evaluation.scorecard import Row, Scorecard, Table
from sparring.evaluation.statistics import Estimate, paired_difference, unpaired_difference


class Comparison(BaseModel):
    """One figure of two scorecards. `first` or `second` is None where a card does not have it.

    `difference` is second minus first; `paired` says that both were measured on the same samples, one seed each.
    `better` is the side that wins by more than chance (95 %), None where neither does.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    metric: str
    condition: Literal["clean", "adversary"]
    adversary: str | None
    kind: str
    budget: float | None
    first: float | None
    second: float | None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    paired: bool = False
    better: Literal["first", "second"] | None = None
    reliable: bool = True


def compare(first: Scorecard, second: Scorecard, *, seed: int = 0) -> list[Comparison]:
    """Match the rows of two scorecards by model, metric, condition, adversary, access and budget.

    Rows on the same samples are compared by the paired bootstrap, seeded by `seed`; others from their
    intervals alone. A row whose model's verdict is unreliable on either side is marked, and no side wins it.
    """
    mine, theirs = _by_key(first), _by_key(second)
    doubtful = {v.model for card in (first, second) for v in card.verdicts if v.status == "unreliable"}
    return [
        _compared(mine.get(key), theirs.get(key), doubtful, np.random.default_rng(seed))
        for key in dict.fromkeys([*mine, *theirs])
    ]


def warnings(first: Scorecard, second: Scorecard) -> list[str]:
    """What forbids to read the difference of two cards as one of their models: other systems, or other test data."""
    found: list[str] = []
    if first.system != second.system:
        found.append(f"the systems differ: {first.system} and {second.system}")
    mine, theirs = _tested(first), _tested(second)
    for name in mine.keys() & theirs.keys():
        if not mine[name] & theirs[name]:
            found.append(f"the test data {name} differ: their checksums are not the same")
    if mine and theirs and not mine.keys() & theirs.keys():
        found.append(f"the test data differ: {', '.join(sorted(mine))} and {', '.join(sorted(theirs))}")
    return found


def _tested(card: Scorecard) -> dict[str, set[str]]:
    """The checksums of the data a card was measured on, by name."""
    used = [d for d in card.data if "test" in d.role.lower()] or list(card.data)
    found: dict[str, set[str]] = {}
    for data in used:
        found.setdefault(data.name, set()).add(data.sha256)
    return found


def comparison_table(rows: list[Comparison], first: str = "first", second: str = "second") -> Table:
    """The comparison as a scorecard table, figures to three places."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        condition = row.adversary or "clean"
        if row.budget is not None:
            condition += f" at {row.budget:g}"
        gap = "" if row.interval is None else f"{row.difference:+.3f} [{row.interval[0]:+.3f}, {row.interval[1]:+.3f}]"
        winner = {"first": first, "second": second, None: "" if row.interval is None else "no difference shown"}
        note = winner[row.better] if row.reliable else "unreliable"
        lines.append((row.model, row.metric, condition, row.kind, _shown(row.first), _shown(row.second), gap, note))
    columns = ("model", "metric", "condition", "kind", first, second, "difference [95 %]", "better")
    return Table(title=f"{first} and {second}", columns=columns, rows=tuple(lines))


def _by_key(card: Scorecard) -> dict[tuple[object, ...], Row]:
    return {(r.model, r.metric, r.condition, r.adversary, r.access, r.kind, r.budget): r for r in card.rows}


def _compared(first: Row | None, second: Row | None, doubtful: set[str], generator: np.random.Generator) -> Comparison:
    known = first or second
    assert known is not None
    said = {name: getattr(known, name) for name in ("model", "metric", "condition", "adversary", "kind", "budget")}
    said |= {"reliable": known.model not in doubtful or known.condition == "clean"}
    said |= {"first": first and first.value, "second": second and second.value}
    if first is None or second is None:
        return Comparison.model_validate(said)
    paired = first.outcomes is not None and second.outcomes is not None and first.samples == second.samples
    paired = paired and first.samples is not None and len(first.outcomes or "") > 0
    if paired:
        found = paired_difference(_digits(first), _digits(second), generator=generator)
    else:
        found = unpaired_difference(_estimate(first), _estimate(second))
    return Comparison.model_validate(
        {
            **said,
            "difference": found.value,
            "interval": found.interval,
            "paired": paired,
            "better": _winner(found, known.higher_is_better) if said["reliable"] else None,
        }
    )


def _winner(found: Estimate, higher_is_better: bool) -> str | None:
    low, high = found.interval
    if low <= 0 <= high:
        return None
    return "second" if (low > 0) == higher_is_better else "first"


def _digits(row: Row) -> np.ndarray:
    return np.frombuffer((row.outcomes or "").encode(), dtype=np.uint8) - ord("0")


def _estimate(row: Row) -> Estimate:
    return Estimate(row.value, row.interval, row.n, "as printed")


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
