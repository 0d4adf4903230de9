"""Several scorecards on one board, grouped by system, ranked by what the strongest adversary leaves of each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparring.evaluation.scorecard import Row, Scorecard
from sparring.files import write_text
from sparring.report import page, summary
from sparring.report.console import output

Labelled = tuple[str, Scorecard]
"""A scorecard with the name its run goes by, usually its folder's."""

_PLACE = {"certified": 0, "upper bound": 0, "not attacked": 1, "not judged": 2, "unreliable": 3}


@dataclass(frozen=True)
class Entry:
    """One model of one run. `rank` is None where no robust figure may be ranked; all figures are then None too
    if the evaluation is unreliable.
    """

    rank: int | None
    label: str
    title: str
    created: str
    preset: str
    model: str
    status: str
    """'certified', 'upper bound', 'not attacked', 'not judged' or 'unreliable'."""
    flags: tuple[str, ...]
    robust: Row | None
    clean: Row | None
    certified: Row | None
    adversaries: int
    held_out: int
    n: int


@dataclass(frozen=True)
class Board:
    """Entries that may be compared: one system, one metric, the same test data."""

    system: str
    metric: str
    higher_is_better: bool
    data: str
    entries: tuple[Entry, ...]

    @property
    def decimals(self) -> int:
        """Decimals that all figures of the board share."""
        rows = [row for e in self.entries for row in (e.robust, e.clean, e.certified) if row is not None]
        return summary.decimals(v for row in rows for v in (row.value, *row.interval))


def boards(cards: Sequence[Labelled]) -> list[Board]:
    """The boards of some runs, by system in order of appearance, each run by its headline metric.

    Within a board the ranked models come first, best first (equal values share a rank); then those that were
    not attacked, those that were not judged, and the unreliable ones.
    """
    groups: dict[tuple[str, str, bool, tuple[tuple[str, str], ...]], list[Labelled]] = {}
    for label, card in cards:
        metric = summary.headline_metric(card)
        if metric is not None:
            higher = next(row.higher_is_better for row in card.rows if row.metric == metric)
            groups.setdefault((card.system, metric, higher, _test_data(card)), []).append((label, card))
    order = {name: i for i, name in enumerate(dict.fromkeys(card.system for _, card in cards))}
    return [
        Board(system, metric, higher, summary.sources(runs[0][1]), _ranked(runs, metric, higher))
        for (system, metric, higher, _), runs in sorted(groups.items(), key=lambda item: order[item[0][0]])
    ]


def rows(cards: Sequence[Labelled]) -> list[dict[str, object]]:
    """The boards as plain values for JSON: one mapping per model, figures absent where they are not given out."""
    out: list[dict[str, object]] = []
    for board in boards(cards):
        for entry in board.entries:
            figures = {"robust": entry.robust, "clean": entry.clean, "certified": entry.certified}
            out.append(
                {
                    "system": board.system,
                    "metric": board.metric,
                    "data": board.data,
                    "rank": entry.rank,
                    "run": entry.label,
                    "model": entry.model,
                    "verdict": entry.status,
                    "flags": list(entry.flags),
                    "adversaries": entry.adversaries,
                    "held_out": entry.held_out,
                    "n": entry.n,
                    "adversary": entry.robust.adversary if entry.robust else None,
                    **{name: row.value if row else None for name, row in figures.items()},
                    **{f"{name}_interval": list(row.interval) if row else None for name, row in figures.items()},
                }
            )
    return out


def render(cards: Sequence[Labelled]) -> str:
    """The leaderboard as one self-contained page with sortable tables."""
    return page.render("leaderboard.html.j2", ("leaderboard.js",), boards=boards(cards), runs=len(cards))


def write(cards: Sequence[Labelled], path: Path) -> Path:
    """Write the page, atomically."""
    write_text(path, render(cards))
    return path


def table(board: Board) -> Table:
    """One board for the terminal."""
    heading = f"{board.system}: {board.metric}, on {board.data}"
    out = Table(
        title=Text(summary.plain(heading)), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for name, justify in (("", "right"), ("run", "left"), ("model", "left"), ("under attack", "left")):
        out.add_column(name, justify="right" if justify == "right" else "left")
    for name in ("clean", "certified", "adversaries", "verdict"):
        out.add_column(name)
    for entry in board.entries:
        out.add_row(*(Text(summary.plain(cell)) for cell in _cells(entry, board.decimals)))
    return out


def print_table(cards: Sequence[Labelled], console: Console | None = None) -> None:
    """Print every board; plain text where the output is no terminal."""
    found = boards(cards)
    output([table(board) for board in found] or [Text("No scorecard holds a row.")], console)


def _cells(entry: Entry, places: int) -> list[str]:
    def shown(row: Row | None, absent: str = "") -> str:
        if row is None:
            return absent
        return f"{summary.bound(row)}{summary.number(row.value, places)} {summary.interval(row, places)}"

    adversaries = f"{entry.adversaries} ({entry.held_out} held out)" if entry.adversaries else "none"
    head = [str(entry.rank or ""), entry.label, entry.model]
    if entry.status == "unreliable":
        return [*head, f"unreliable: {', '.join(entry.flags)}", "", "", adversaries, "unreliable"]
    figures = [shown(entry.robust, "not attacked"), shown(entry.clean), shown(entry.certified)]
    return [*head, *figures, adversaries, entry.status]


def _test_data(card: Scorecard) -> tuple[tuple[str, str], ...]:
    tested = [d for d in card.data if "test" in d.role.lower()] or list(card.data)
    return tuple(sorted({(d.name, d.sha256) for d in tested}))


def _ranked(runs: Sequence[Labelled], metric: str, higher: bool) -> tuple[Entry, ...]:
    sign = -1.0 if higher else 1.0

    def place(entry: Entry) -> tuple[int, float]:
        return _PLACE[entry.status], sign * entry.robust.value if entry.robust else 0.0

    entries = sorted(
        (_entry(label, card, m, metric) for label, card in runs for m in _measured(card, metric)), key=place
    )
    values = [place(e)[1] for e in entries if _PLACE[e.status] == 0]
    ranks = [values.index(v) + 1 for v in values] + [None] * (len(entries) - len(values))
    return tuple(replace(e, rank=rank) for e, rank in zip(entries, ranks, strict=True))


def _measured(card: Scorecard, metric: str) -> list[str]:
    return [m for m in summary.models(card) if any((r.model, r.metric) == (m, metric) for r in card.rows)]


def _entry(label: str, card: Scorecard, model: str, metric: str) -> Entry:
    given = summary.verdict(card, model)
    safe = summary.certified(card, model, metric)
    robust = summary.worst(card, model, metric) or safe
    tried = [r for r in card.rows if r.adversary is not None and (r.model, r.metric) == (model, metric)]
    if given is not None and given.status == "unreliable":
        status = "unreliable"
    elif robust is None:
        status = "not attacked"
    else:
        status = given.status if given else "not judged"
    clean = summary.clean(card, model, metric)
    return Entry(
        rank=None,
        label=label,
        title=card.title,
        created=card.created,
        preset=card.preset,
        model=model,
        status=status,
        flags=given.flags if given else (),
        robust=robust,
        clean=None if status == "unreliable" else clean,
        certified=safe,
        adversaries=len({r.adversary for r in tried}),
        held_out=len({r.adversary for r in tried if r.seen is False}),
        n=max((r.n for r in tried), default=clean.n if clean else 0),
    )
