"""A scorecard for the terminal: clean, each adversary, the strongest one, verdicts; plain text when piped."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sparring.evaluation.compare import Comparison, comparison_table
from sparring.evaluation.scorecard import Row, Scorecard
from sparring.report import summary
from sparring.report.summary import Line, Results

WIDE = 112
"""Columns from which the numbers of samples and queries are shown too and intervals stand on the same line."""


def print_scorecard(card: Scorecard, console: Console | None = None) -> None:
    """Print the tables, the finding and the verdicts; plain text without colour where the output is no terminal."""
    console = console or Console()
    wide = not console.is_terminal or console.width >= WIDE
    parts: list[RenderableType] = [_text(card.title, "bold"), _text(f"on {summary.sources(card)}", "dim")]
    parts += [results_table(card, result, wide=wide) for result in summary.results(card)]
    parts += [_text(summary.finding(card)), *_verdicts(card)]
    output(parts, console)


def print_comparison(rows: Sequence[Comparison], console: Console | None = None) -> None:
    """Print two runs side by side, row by row."""
    content = comparison_table(list(rows))
    table = _table()
    for column in content.columns:
        table.add_column(_text(column))
    for cells in content.rows:
        table.add_row(*(_text(cell) for cell in cells))
    output([table], console)


def results_table(card: Scorecard, result: Results, *, wide: bool = True) -> Table:
    """One metric: a line per condition, a column per model, and the strongest adversary tried at the end."""
    direction = "higher" if result.higher_is_better else "lower"
    table = _table(_text(f"{result.metric} ({direction} is better)", "bold"))
    attacked = any(line.attacked for line in result.lines)
    table.add_column("condition", overflow="fold")
    if attacked:
        table.add_column("training")
        table.add_column("budget", justify="right")
    for model in result.models:
        table.add_column(_text(model), overflow="fold")
    if wide:
        table.add_column("n", justify="right")
        table.add_column("fwd + bwd" if attacked else "", justify="right")
    for line in result.lines:
        table.add_row(*_line(card, result, line, attacked, wide), end_section=line is result.lines[-1])
    if attacked:
        worst = [summary.worst(card, model, result.metric) for model in result.models]
        cells = [_cell(card, result, row, model, wide, "bold") for row, model in zip(worst, result.models, strict=True)]
        table.add_row(_text("strongest adversary tried", "bold"), "", "", *cells, *([""] * 2 if wide else []))
    return table


def output(parts: Sequence[RenderableType], console: Console | None = None) -> None:
    """Print parts with a blank line between; to no terminal as plain text that is never cut to a width."""
    console = console or Console()
    if console.is_terminal:
        for part in parts:
            console.print(part)
            if isinstance(part, Table):
                console.print()
        return
    stream = console.file
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text(parts).encode(encoding, "replace").decode(encoding))


def text(parts: Sequence[RenderableType], width: int = 400) -> str:
    """Parts as plain text without trailing blanks."""
    buffer = StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))
        if isinstance(part, Table):
            console.print()
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().rstrip("\n").split("\n"))


def _table(title: Text | None = None) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _text(content: str, style: str = "") -> Text:
    """Text as it stands: no markup is read from it, and no control character reaches the terminal."""
    return Text(summary.plain(content), style=style)


def _line(card: Scorecard, result: Results, line: Line, attacked: bool, wide: bool) -> list[Text]:
    name = line.condition + (" (certified)" if line.kind == "certified" else "")
    cells = [_text(name + (" (transfer)" if line.access == "transfer" else ""))]
    if attacked:
        cells.append(_text(line.standing, "bold" if line.standing == "held out" else ""))
        cells.append(_text("" if line.budget is None else summary.quantity(line.budget)))
    cells += [_cell(card, result, line.cells.get(model), model, wide) for model in result.models]
    return [*cells, _text(line.n), _text(line.queries)] if wide else cells


def _cell(card: Scorecard, result: Results, row: Row | None, model: str, wide: bool, style: str = "") -> Text:
    if row is None:
        return _text("unreliable", "red") if style and summary.distrusted(card, model) else _text("not run", "dim")
    if not summary.trusted(card, row):
        return _text("unreliable", "red")
    out = _text(f"{summary.bound(row)}{summary.number(row.value, result.decimals)}", style)
    return out.append(" " if wide else "\n").append(summary.interval(row, result.decimals), "dim")


def _verdicts(card: Scorecard) -> list[Text]:
    colours = {"unreliable": "bold red", "certified": "green", "upper bound": ""}
    out: list[Text] = []
    for model in summary.models(card):
        given = summary.verdict(card, model)
        style = colours[given.status] if given else "yellow"
        out.append(_text(f"{model}: {summary.verdict_text(card, model)}", style))
        failed = [check for check in card.checks if check.model == model and not check.passed]
        out += [_text(f"  {check.name}: {check.detail}", "dim") for check in failed]
    return out
