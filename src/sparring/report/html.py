"""One run's report as one HTML file that works offline, from its scorecard alone."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Figure, Scorecard
from sparring.files import write_text
from sparring.report import charts, page, summary

NAME = "report.html"
_SIGNS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/svg+xml": b"<svg"}


def write(scorecard: Scorecard, folder: Path) -> Path:
    """Write `report.html` into a run folder, atomically. Raises `BadInput` for a figure that is missing."""
    path = folder / NAME
    write_text(path, render(scorecard, folder))
    return path


def render(scorecard: Scorecard, folder: Path) -> str:
    """The report as text. `folder` is where the scorecard's figures (png, svg) are looked up.

    Everything from the scorecard is escaped, pictures are set inline, and the page's own policy refuses
    any request. Raises `BadInput` for a figure that is missing, outside the folder or no picture.
    """
    models = summary.models(scorecard)
    metric = summary.headline_metric(scorecard)
    return page.render(
        "report.html.j2",
        ("report.js",),
        card=scorecard,
        models=models,
        metric=metric or "",
        places=summary.places(scorecard, metric or ""),
        question=summary.question(scorecard),
        finding=summary.finding(scorecard),
        unreliable=[m for m in models if summary.distrusted(scorecard, m)],
        results=summary.results(scorecard),
        plots=[charts.plot(curve, models) for curve in scorecard.curves],
        pictures=[(figure, inline(figure, folder)) for figure in scorecard.figures],
        config=config_text(scorecard),
        contents=_contents(scorecard),
    )


def config_text(scorecard: Scorecard) -> str:
    """The configuration as YAML, '' where there is none."""
    config: dict[str, Any] = scorecard.model_dump(mode="json")["config"]
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100).rstrip() if config else ""


def inline(figure: Figure, folder: Path) -> str:
    """A figure's picture as a data URI. Raises `BadInput` if it is missing, outside `folder`, or no png or svg."""
    path = folder / figure.path
    where = f"{path}: figure {figure.title!r} of the scorecard"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{where} lies outside the run folder; put it inside")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{where} cannot be read ({error.strerror}); run again or restore it") from None
    if content.startswith(_SIGNS["image/png"]):
        kind = "image/png"
    elif _SIGNS["image/svg+xml"] in content[:4096]:
        kind = "image/svg+xml"
    else:
        raise BadInput(f"{where} is neither a PNG nor an SVG picture; draw it again as one of them")
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _contents(card: Scorecard) -> list[tuple[str, str]]:
    parts = [
        ("results", "Results", True),
        ("curves", "Curves", card.curves),
        ("attacks", "Attacks, one by one", card.examples),
        ("further", "Further findings", card.tables or card.figures),
        ("checks", "Checks", True),
        ("limits", "Limits", card.notes),
        ("data", "Data", True),
        ("repeat", "How to repeat it", True),
        ("papers", "Papers", card.papers),
    ]
    return [(anchor, name) for anchor, name, present in parts if present]
