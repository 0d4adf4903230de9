"""The live table of a matrix: a line a cell on a terminal, a line per ended cell elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sparring.evaluation.scorecard import Scorecard
from sparring.report import summary

Tell = Callable[[str, str, Scorecard | None], None]
"""Tell the table that the cell of this name is in this state, with its scorecard where it has one."""


@contextmanager
def live(names: Sequence[str], *, quiet: bool = False) -> Generator[Tell]:
    """A table of all cells on standard error that follows what it is told."""
    states: dict[str, tuple[str, Scorecard | None]] = dict.fromkeys(names, ("waiting", None))
    console = Console(stderr=True)
    if quiet or not sys.stderr.isatty():

        def line(name: str, state: str, card: Scorecard | None) -> None:
            states[name] = (state, card)
            ended = sum(s not in ("waiting", "running") for s, _ in states.values())
            if not quiet and state != "running":
                print(
                    f"[{ended}/{len(states)}] {name}: {state}  {_finding(card)}".rstrip(), file=sys.stderr, flush=True
                )

        yield line
        return
    with Live(table(states), console=console, refresh_per_second=4) as shown:

        def tell(name: str, state: str, card: Scorecard | None) -> None:
            states[name] = (state, card)
            shown.update(table(states))

        yield tell


def table(states: dict[str, tuple[str, Scorecard | None]]) -> Table:
    """Every cell with its state, its verdict and what was found."""
    out = Table(box=None, pad_edge=False)
    for column in ("run", "state", "verdict", "robust", "clean"):
        out.add_column(column, overflow="fold")
    for name, (state, card) in states.items():
        out.add_row(name, state, *(_cells(card) if card is not None else ("", "", "")))
    return out


def _cells(card: Scorecard) -> tuple[str, str, str]:
    model = summary.defended(card)
    if model is None:
        return "", "", ""
    metric = next(r.metric for r in card.rows if r.model == model)
    robust, clean = summary.worst(card, model, metric), summary.clean(card, model, metric)
    hidden = "unreliable" if summary.distrusted(card, model) else ""
    return (
        summary.verdict_text(card, model),
        hidden or (summary.figure(robust, card) if robust else ""),
        f"{metric} {summary.figure(clean, card)}" if clean else "",
    )


def _finding(card: Scorecard | None) -> str:
    return "" if card is None else summary.finding(card)
