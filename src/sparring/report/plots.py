"""Static figures for papers: a scorecard's curves as PNG and SVG, drawn by matplotlib (extra `report`)."""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Curve, Scorecard
from sparring.files import write_bytes
from sparring.report import summary
from sparring.report.charts import styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#77808c", "#0b67b0", "#c4500a", "#12805c", "#a2458a", "#8a6d00", "#3b3f8f", "#7a3b1d")
"""The report's own colours: apart in lightness and hue, so that colour-blind readers can tell them."""
_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.8)), (0, (6, 2, 1.2, 2)))
_MARKERS = ("o", "s", "^", "D")
FORMATS = ("png", "svg")


def write(scorecard: Scorecard, folder: Path, formats: Sequence[str] = FORMATS) -> tuple[Path, ...]:
    """Draw every curve into `folder/figures/NAME.FORMAT`, the name made from the curve's title.

    The same scorecard gives the same bytes. Raises `BadInput` if matplotlib is not installed, or for a format
    other than png and svg.
    """
    unknown = [f for f in formats if f not in FORMATS]
    if unknown:
        raise BadInput(f"figure format {unknown[0]!r}: choose {' or '.join(FORMATS)}")
    models = summary.models(scorecard)
    paths: list[Path] = []
    for name, curve in zip(_names(scorecard.curves), scorecard.curves, strict=True):
        drawn = figure(curve, models)
        for kind in formats:
            path = folder / "figures" / f"{name}.{kind}"
            write_bytes(path, _bytes(drawn, kind))
            paths.append(path)
    return tuple(paths)


def figure(curve: Curve, models: Sequence[str] = ()) -> Figure:
    """One curve, 5.2 by 3.4 inches; bands are 95 % intervals. Raises `BadInput` if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BadInput('static figures need matplotlib; install it with `pip install "sparring[report]"`') from None
    out = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes: Any = out.add_subplot()
    looks = styles([s.label for s in curve.series], models)
    for series, (colour, dash, mark) in zip(curve.series, looks, strict=True):
        few = len(series.x) <= 40
        axes.plot(
            series.x, series.y, color=COLOURS[colour], linestyle=_DASHES[dash], label=_literal(series.label, 44),
            marker=_MARKERS[mark] if few else None, markersize=4, linewidth=1.5,
        )  # fmt: skip
        if series.low and series.high:
            axes.fill_between(series.x, series.low, series.high, color=COLOURS[colour], alpha=0.15, linewidth=0)
    if curve.log_x:
        positive = [v for s in curve.series for v in s.x if v > 0]
        axes.set_xscale("symlog", linthresh=min(positive, default=1.0))
    if all(0 <= v <= 1 for s in curve.series for v in (*s.y, *(s.low or ()), *(s.high or ()))):
        axes.set_ylim(0, 1.02)
    axes.set_xlabel(_literal(curve.x_label, 56))
    axes.set_ylabel(_literal(curve.y_label, 34))
    axes.grid(axis="y", color="#e0e4e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if curve.series:
        axes.legend(frameon=False, fontsize="small", handlelength=3.2)
    return out


def _bytes(drawn: Any, kind: str) -> bytes:
    matplotlib: Any = importlib.import_module("matplotlib")
    buffer = BytesIO()
    # No date and a fixed salt: the same scorecard gives the same file.
    with matplotlib.rc_context({"svg.hashsalt": "sparring", "svg.fonttype": "path"}):
        drawn.savefig(buffer, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def _literal(text: str, width: int) -> str:
    """Text that matplotlib shows as it stands, wrapped: no mathematics, no label hidden by a leading underscore."""
    shown = textwrap.fill(summary.plain(text).replace("\N{REPLACEMENT CHARACTER}", "?"), width).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown


def _names(curves: Sequence[Curve]) -> list[str]:
    names: list[str] = []
    for i, curve in enumerate(curves, 1):
        slug = re.sub(r"[^a-z0-9]+", "-", curve.title.lower()).strip("-")[:60] or f"curve-{i}"
        names.append(f"{slug}-{i}" if slug in names else slug)
    return names
