"""The report's pictures: velocities in km, gathers, depth profiles, illumination."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Figure
from sparring.files import write_bytes
from sparring.report.plots import COLOURS
from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.survey import Survey
from sparring.typed import rfft, rfftfreq


def velocities(earth: Earth, shown: Mapping[str, Tensor], path: Path, *, colours: str = "viridis") -> Figure:
    """Velocities in one colour scale, axes in km; `jet` is what papers show, viridis is even to the eye."""
    v = torch.stack(list(shown.values()))
    drawn, panels = _panels(len(shown), 3)
    image: Any = None
    for axes, (title, velocity) in zip(panels, shown.items(), strict=False):
        image = axes.imshow(
            velocity.numpy(), extent=earth.extent, cmap=colours, vmin=float(v.min()), vmax=float(v.max())
        )
        axes.set(title=title, xlabel="x (km)", ylabel="depth (km)")
    drawn.colorbar(image, ax=panels, label="m/s", shrink=0.8)
    return _kept(drawn, path, "Velocities: true, start and inverted", "One colour scale; axes in kilometres.")


def differences(earth: Earth, truth: Tensor, shown: Mapping[str, Tensor], path: Path, base: str = "true") -> Figure:
    """What is missing to the truth (or, for `base`, what was changed), in m/s."""
    off = {title: velocity - truth for title, velocity in shown.items()}
    most = max(float(torch.stack(list(off.values())).abs().quantile(0.99)), 1e-3)
    drawn, panels = _panels(len(off), 3)
    image: Any = None
    for axes, (title, values) in zip(panels, off.items(), strict=False):
        image = axes.imshow(values.numpy(), extent=earth.extent, cmap="RdBu_r", vmin=-most, vmax=most)
        axes.set(title=f"{title} - {base}", xlabel="x (km)", ylabel="depth (km)")
    drawn.colorbar(image, ax=panels, label="m/s", shrink=0.8)
    return _kept(drawn, path, f"Differences: model - {base}", "Red is faster, blue slower.")


def gathers(survey: Survey, shot: int, observed: Tensor, predicted: Mapping[str, Tensor], path: Path) -> Figure:
    """One shot observed, predicted by each model, what is left, and traces of both in turns."""
    shown: dict[str, Tensor] = {"observed": observed}
    for name, values in predicted.items():
        shown[f"predicted, {name}"] = values
        shown[f"residual, {name}"] = observed - values
    last = list(predicted.values())[-1]
    most = float(observed.abs().quantile(0.98))
    x = survey.receivers[shot, :, 0] / 1e3
    extent = (float(x[0]), float(x[-1]), survey.samples * survey.dt, 0.0)
    both = torch.stack([observed[k] if k % 16 < 8 else last[k] for k in range(len(observed))])
    shown["interleaved: 8 observed, 8 predicted"] = both
    drawn, panels = _panels(len(shown), 3)
    for axes, (title, values) in zip(panels, shown.items(), strict=False):
        axes.imshow(values.T.numpy(), extent=extent, cmap="gray", vmin=-most, vmax=most, aspect="auto")
        axes.set(title=title, xlabel="receiver (km)", ylabel="time (s)")
    return _kept(drawn, path, f"Gathers of shot {shot + 1}", "All in one grey scale.")


def profiles(earth: Earth, shown: Mapping[str, Tensor], path: Path) -> Figure:
    """Speed over depth in three columns."""
    nz, nx = earth.velocity.shape
    depth = earth.origin[1] / 1e3 + (torch.arange(nz) + 0.5) * earth.spacing / 1e3
    drawn, panels = _panels(3, 3)
    for axes, column in zip(panels, (nx // 4, nx // 2, 3 * nx // 4), strict=True):
        for k, (name, velocity) in enumerate(shown.items()):
            axes.plot(
                (velocity[:, column] / 1e3).numpy(),
                depth.numpy(),
                label=name,
                color=COLOURS[k % len(COLOURS)],
                linewidth=1.3,
            )
        x = earth.origin[0] / 1e3 + (column + 0.5) * earth.spacing / 1e3
        axes.set(title=f"x = {x:.2f} km", xlabel="km/s", ylabel="depth (km)")
        axes.invert_yaxis()
    panels[-1].legend(frameon=False, fontsize=7)
    return _kept(drawn, path, "Depth profiles", "At a quarter, the middle and three quarters of the line.")


def light(earth: Earth, survey: Survey, illumination: Tensor, path: Path) -> Figure:
    """Where the data feel the model: log scale, with sources and receivers."""
    drawn, (axes,) = _panels(1, 1)
    image = axes.imshow(
        (20 * illumination.clamp_min(1e-4).log10()).numpy(), extent=earth.extent, cmap="magma", vmin=-60, vmax=0
    )
    axes.scatter(*(survey.sources.T / 1e3).numpy(), marker="*", color=COLOURS[2], s=30)
    axes.set(xlabel="x (km)", ylabel="depth (km)")
    drawn.colorbar(image, ax=[axes], label="dB", shrink=0.8)
    return _kept(drawn, path, "Illumination", "How strongly all shots' data feel each cell; stars are the sources.")


def wavelet(survey: Survey, path: Path) -> Figure:
    """The source's wavelet and its amplitude spectrum."""
    drawn, (left, right) = _panels(2, 2)
    few = min(survey.samples, round(4 / survey.peak / survey.dt))
    left.plot((torch.arange(few) * survey.dt).numpy(), survey.wavelet[:few].numpy(), color=COLOURS[1])
    left.set(title="wavelet", xlabel="time (s)", ylabel="pressure")
    spectrum = rfft(survey.wavelet.double()).abs()
    f = rfftfreq(survey.samples, survey.dt, spectrum)
    shown = f <= 2 * survey.highest
    right.plot(f[shown].numpy(), (spectrum / spectrum.max())[shown].numpy(), color=COLOURS[1])
    right.set(title="spectrum", xlabel="frequency (Hz)", ylabel="amplitude")
    return _kept(drawn, path, "Wavelet and spectrum", "What every source fires.")


def _panels(count: int, columns: int) -> tuple[Any, list[Any]]:
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise BadInput("figures need matplotlib; pip install 'sparring[seismic]'") from None
    columns = min(columns, count)
    rows = -(-count // columns)
    drawn: Any = Canvas(figsize=(3.6 * columns + 0.8, 2.7 * rows), layout="constrained")
    return drawn, [drawn.add_subplot(rows, columns, k + 1) for k in range(count)]


def _kept(drawn: Any, path: Path, title: str, caption: str) -> Figure:
    stream = BytesIO()
    drawn.savefig(stream, format="png", dpi=130)
    write_bytes(path, stream.getvalue())
    return Figure(title=title, path=f"figures/{path.name}", caption=caption)
