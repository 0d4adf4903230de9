"""What every page shares: the template environment, the styles and scripts set inline, and the policy that
forbids the browser any request.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import sparring
from sparring.evaluation.scorecard import Change, Row, Scorecard, Table
from sparring.report import charts, summary
from sparring.report.summary import Line, Results

_LINK = re.compile(r"https?://[^\s<>\"'()\[\]]*[^\s<>\"'()\[\].,;:]|arXiv:? ?(\d{4}\.\d{4,5}(?:v\d+)?)")
_FIGURES = re.compile(r"^\s*[≤≥<>]?\s*[+\-−]?[\d.,]+\s*(%|[a-zA-Zµ/]{1,4})?\s*(\[[^\]]*\])?\s*$")


def render(template: str, scripts: tuple[str, ...], **values: Any) -> str:
    """A template of this package as one self-contained page. `scripts` are template files set inline.

    The page's Content-Security-Policy admits the very scripts and styles set here (by their SHA-256) and
    pictures as data URIs; everything else, any request included, is refused by the browser.
    """
    script = "".join(_file(name) for name in ("theme.js", *scripts))
    style = _file("style.css")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704  (files of this package)
    return page.render(policy=policy, version=sparring.__version__, **own, **values)


def link(text: str) -> Markup:
    """Text with its web addresses and arXiv numbers as links; everything else escaped."""
    out, end = Markup(), 0
    for found in _LINK.finditer(text):
        target = f"https://arxiv.org/abs/{found[1]}" if found[1] else found[0]
        out += escape(text[end : found.start()]) + Markup('<a href="{}" rel="noreferrer">{}</a>').format(
            target, found[0]
        )
        end = found.end()
    return out + escape(text[end:])


@cache
def _file(name: str) -> str:
    return resources.files("sparring.report").joinpath("templates", name).read_text("utf-8")


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sparring.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "plain": _plain,
        "linked": _linked,
        "number": summary.number,
        "interval": summary.interval,
        "quantity": summary.quantity,
        "count": summary.count,
        "bound": summary.bound,
        "describe": summary.describe,
        "short": summary.short,
        "worst": summary.worst,
        "clean": summary.clean,
        "certified": summary.certified,
        "verdict": summary.verdict,
        "bar_axis": charts.bar_axis,
        "duration": duration,
        "moment": moment,
        "capital": _capital,
        "trusted": _trusted,
        "distrusted": summary.distrusted,
        "shown": _shown,
        "worst_rows": _worst_rows,
        "places": _places,
        "sources": summary.sources,
        "moved": _moved,
        "unmoved": _unmoved,
        "numeric": _numeric,
    }
    environment.filters.update(cast(dict[str, Any], filters))
    return environment


def _plain(text: object) -> str:
    return summary.plain(str(text))


def _linked(text: str) -> Markup:
    return link(summary.plain(text))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _trusted(row: Row, card: Scorecard) -> bool:
    return summary.trusted(card, row)


def _places(row: Row, card: Scorecard) -> int:
    return summary.places(card, row.metric)


def _moved(changes: Sequence[Change]) -> list[Change]:
    return [c for c in changes if c.before != c.after]


def _unmoved(changes: Sequence[Change]) -> list[Change]:
    return [c for c in changes if c.before == c.after]


def duration(seconds: float) -> str:
    """'42 s', '3 min 20 s' or '2 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(created: str) -> str:
    """'23 November 2026, 21:40 UTC' of an ISO 8601 time; any other text as it is."""
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return created
    utc = when.astimezone(UTC) if when.tzinfo else when
    return f"{utc.day} {calendar.month_name[utc.month]} {utc.year}, {utc:%H:%M} UTC"


def _shown(line: Line, card: Scorecard, models: tuple[str, ...]) -> list[Row]:
    return [row for m in models if (row := line.cells.get(m)) is not None and summary.trusted(card, row)]


def _worst_rows(result: Results, card: Scorecard) -> list[Row]:
    found = (summary.worst(card, model, result.metric) for model in result.models)
    return [row for row in found if row is not None]


def _numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if column < len(row)]
    return bool(cells) and all(_FIGURES.match(cell) or cell in {"", "-", "–"} for cell in cells)
