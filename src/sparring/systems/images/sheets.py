"""The report's picture: what every model draws for the same prompts, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Figure
from sparring.files import write_bytes

ACROSS = 8


def sheet(drawn: Mapping[str, Tensor], path: Path, title: str, caption: str) -> Figure:
    """Panels of pictures `(n, c, h, w)` uint8, eight a line, one panel a model; the same places, the same prompts."""
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise BadInput('pictures need matplotlib; install it with `pip install "sparring[images]"`') from None
    across = min(len(drawn), 3)
    down = -(-len(drawn) // across)
    canvas: Any = Canvas(figsize=(3.0 * across, 3.3 * down), layout="constrained")
    panels: list[Any] = list(canvas.subplots(down, across, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, (name, images) in zip(panels, drawn.items(), strict=False):
        tiled = tiles(images)
        look = {"cmap": "gray", "vmin": 0, "vmax": 255} if tiled.shape[2] == 1 else {}
        axes.imshow((tiled[:, :, 0] if tiled.shape[2] == 1 else tiled).numpy(), interpolation="nearest", **look)
        axes.set_title(name, fontsize=9)
    out = BytesIO()
    canvas.savefig(out, format="png", dpi=130, metadata={"Software": None})
    write_bytes(path, out.getvalue())
    return Figure(title=title, path=f"figures/{path.name}", caption=caption)


def tiles(images: Tensor, across: int = ACROSS) -> Tensor:
    """One picture `(rows * (h + 1), across * (w + 1), c)` of `n` uint8 pictures with a light line between them."""
    n, channels, height, width = images.shape
    down = -(-n // across)
    out = images.new_full((down * across, channels, height + 1, width + 1), 200)
    out[:n, :, :height, :width] = images
    out = out.reshape(down, across, channels, height + 1, width + 1).permute(0, 3, 1, 4, 2)
    return out.reshape(down * (height + 1), across * (width + 1), channels)


def evenly(n: int, shown: int) -> Sequence[int]:
    """Up to `shown` places spread over `n`."""
    return range(0, n, max(n // shown, 1))[:shown]
