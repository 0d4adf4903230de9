"""The report's pictures: scores against ratings by domain, what a domain is granted, probes, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Figure
from sparring.files import write_bytes
from sparring.report.plots import COLOURS

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]
_MARKERS = "os^Dvp*X"


def scatter(
    predicted: Mapping[str, Floats], rated: Floats, domain: Indices, names: Sequence[str], path: Path, note: str
) -> Figure:
    """Predicted against rated score, one panel a model, one colour and mark a domain."""
    drawn, panels = _panels(len(predicted), 3.4)
    for axes, (model, scores) in zip(panels, predicted.items(), strict=True):
        for k, name in enumerate(names):
            rows = domain == k
            look = {"color": COLOURS[k % len(COLOURS)], "marker": _MARKERS[k % len(_MARKERS)], "label": name}
            axes.scatter(rated[rows], scores[rows], s=9, alpha=0.7, linewidths=0, **look)
        ends = [min(rated.min(), scores.min()), max(rated.max(), scores.max())]
        axes.plot(ends, ends, color="#77808c", linewidth=0.8)
        axes.set(title=model, xlabel="rated", ylabel="predicted")
    panels[-1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, markerscale=1.6)
    return _kept(drawn, path, "Predicted and rated scores, by domain", note)


def biases(residuals: Mapping[str, Mapping[int, float]], names: Sequence[str], path: Path, note: str) -> Figure:
    """Mean residual of every domain, one bar a model."""
    drawn, (axes,) = _panels(1, 6.4)
    width = 0.8 / len(residuals)
    for i, (model, means) in enumerate(residuals.items()):
        at = np.arange(len(names)) + (i - (len(residuals) - 1) / 2) * width
        axes.bar(at, [means.get(k, 0.0) for k in range(len(names))], width, label=model, color=COLOURS[i])
    axes.axhline(0, color="#77808c", linewidth=0.8)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axes.set(ylabel="predicted - rated, mean")
    drawn.legend(loc="outside upper center", ncols=len(residuals), frameon=False, fontsize=8)
    return _kept(drawn, path, "What each domain is granted beyond its quality", note)


def probes(found: Mapping[str, Mapping[str, float]], chance: float, path: Path, note: str) -> Figure:
    """Balanced accuracy of fresh probes on each model's representation."""
    drawn, (axes,) = _panels(1, 6.4)
    kinds = list(next(iter(found.values())))
    width = 0.8 / len(found)
    for i, (model, values) in enumerate(found.items()):
        at = np.arange(len(kinds)) + (i - (len(found) - 1) / 2) * width
        axes.bar(at, [values[kind] for kind in kinds], width, label=model, color=COLOURS[i])
    axes.axhline(chance, color="#77808c", linewidth=0.8, linestyle="--", label="chance")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set(ylabel="balanced accuracy", ylim=(0, 1))
    drawn.legend(loc="outside upper center", ncols=len(found) + 1, frameon=False, fontsize=8)
    return _kept(drawn, path, "Fresh probes for the domain on frozen representations", note)


def calibration(levels: Sequence[float], coverage: Mapping[str, Sequence[float]], path: Path, note: str) -> Figure:
    """Share of clips inside their interval against the share that was promised, one line a model and test."""
    drawn, (axes,) = _panels(1, 4.6)
    axes.plot([0, 1], [0, 1], color="#77808c", linewidth=0.8)
    for i, (name, shares) in enumerate(coverage.items()):
        look = {"color": COLOURS[1 + i % (len(COLOURS) - 1)], "marker": _MARKERS[i % len(_MARKERS)]}
        axes.plot(levels, shares, label=name, markersize=4, linewidth=1.2, **look)
    axes.set(xlabel="promised", ylabel="found", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8)
    return _kept(drawn, path, "Calibration of the intervals", note)


def _panels(count: int, width: float) -> tuple[Any, list[Any]]:
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise BadInput("figures need matplotlib; pip install 'sparring[audio]'") from None
    drawn = Canvas(figsize=(width * count + 0.9 * (count > 1), 3.5), layout="constrained")
    panels = [drawn.add_subplot(1, count, i + 1) for i in range(count)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)
    return drawn, panels


def _kept(drawn: Any, path: Path, title: str, caption: str) -> Figure:
    stream = BytesIO()
    drawn.savefig(stream, format="png", dpi=150)
    write_bytes(path, stream.getvalue())
    return Figure(title=title, path=f"figures/{path.name}", caption=caption)
