"""Who shoots and who listens: positions in metres, a wavelet, a time axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.seismic.earth import Earth
from sparring.typed import first, irfft, rfft, unique_rows


@dataclass(frozen=True)
class Survey:
    """`sources (shots, 2)` and `receivers (shots, receivers, 2)` as (x, depth) in metres; `wavelet (samples,)`.

    `dt` is in seconds, `peak` the wavelet's peak frequency in hertz. All sources fire the same wavelet. With
    `free_surface` the upper edge reflects (pressure 0), otherwise it absorbs like the others.
    """

    sources: Tensor
    receivers: Tensor
    wavelet: Tensor
    dt: float
    peak: float
    free_surface: bool = False

    @property
    def shots(self) -> int:
        """How many shots."""
        return len(self.sources)

    @property
    def samples(self) -> int:
        """How many time samples."""
        return len(self.wavelet)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(shots, receivers, samples): the shape of the gathers."""
        return self.shots, self.receivers.shape[1], self.samples

    @property
    def highest(self) -> float:
        """The highest frequency in Hz whose amplitude reaches a twentieth of the spectrum's peak."""
        spectrum = rfft(self.wavelet.double(), n=4 * self.samples).abs()
        level = spectrum >= 0.05 * spectrum.max()
        last = int(level.nonzero().max())
        return last / (4 * self.samples * self.dt)

    def with_wavelet(self, wavelet: Tensor) -> Survey:
        """The same positions, another wavelet."""
        return replace(self, wavelet=wavelet)


def ricker(peak: float, dt: float, samples: int, delay: float | None = None) -> Tensor:
    """The second derivative of a Gaussian, 1 at its `delay` (default 1.5 / peak seconds); `peak` in Hz."""
    t = torch.arange(samples, dtype=torch.float64) * dt - (1.5 / peak if delay is None else delay)
    a = (math.pi * peak * t).square()
    return ((1 - 2 * a) * torch.exp(-a)).float()


def rotated(wavelet: Tensor, degrees: float) -> Tensor:
    """The wavelet with every frequency's phase turned by so many degrees."""
    n = 2 * len(wavelet)
    spectrum = rfft(wavelet.double(), n=n)
    turned = spectrum * torch.exp(torch.tensor(1j * math.radians(degrees), dtype=torch.complex128))
    return irfft(turned, n=n)[: len(wavelet)].float()


def line(earth: Earth, shots: int, *, wavelet: Tensor, dt: float, peak: float, depth: float | None = None,
         free_surface: bool = False) -> Survey:  # fmt: skip
    """A fixed spread: `shots` sources over the width, a receiver in every column, all at `depth` metres.

    The default depth is the centre of the second row of cells. Sources keep two columns away from the sides.
    """
    _, nx = earth.velocity.shape
    x0, z0 = earth.origin
    z = z0 + 1.5 * earth.spacing if depth is None else z0 + depth
    columns = torch.arange(nx, dtype=torch.float64)
    places = torch.linspace(2, nx - 3, shots, dtype=torch.float64).round()
    sources = torch.stack([x0 + (places + 0.5) * earth.spacing, torch.full_like(places, z)], -1)
    spread = torch.stack([x0 + (columns + 0.5) * earth.spacing, torch.full_like(columns, z)], -1)
    return Survey(sources, spread.expand(shots, -1, -1).clone(), wavelet, dt, peak, free_surface)


def check_survey(survey: Survey, earth: Earth, source: str) -> list[str]:
    """Warnings about a survey over a model. Raises `BadInput` that names `source`, the shot and the mend.

    Refused: positions outside the model, sources at one place, receivers of a shot at one place, a wavelet that is
    not finite or silent, fewer than 3 points on the shortest wavelength. Warned of: fewer than 4.
    """
    if not (math.isfinite(survey.dt) and survey.dt > 0):
        raise BadInput(f"{source}: dt {survey.dt:g}: give the sampling interval in seconds, e.g. 0.004")
    if not bool(torch.isfinite(survey.wavelet).all()) or not bool(survey.wavelet.any()):
        raise BadInput(f"{source}: the wavelet is silent or not finite; give samples of the source's pressure")
    _inside(survey.sources[:, None], earth, source, "source")
    _inside(survey.receivers, earth, source, "receiver")
    if len(unique_rows(survey.sources)) < survey.shots:
        raise BadInput(f"{source}: two shots have one source position; merge or remove one")
    for shot, spread in enumerate(survey.receivers):
        if len(unique_rows(spread)) < len(spread):
            raise BadInput(f"{source}: shot {shot + 1} has two receivers at one place; keep one of them")
    return [f"{source}: {text}" for text in _sampling(survey, earth, source)]


def _sampling(survey: Survey, earth: Earth, source: str) -> list[str]:
    slowest = float(earth.velocity.min())
    points = slowest / survey.highest / earth.spacing
    if points < 3:
        finest = slowest / survey.highest / 4
        raise BadInput(
            f"{source}: {points:.1f} cells on the shortest wavelength ({slowest:g} m/s at {survey.highest:.1f} Hz); "
            f"use cells of at most {finest:.3g} m or a lower frequency"
        )
    if points < 4:
        return [f"{points:.1f} cells on the shortest wavelength; waves will disperse, 4 or more are better"]
    return []


def _inside(positions: Tensor, earth: Earth, source: str, what: str) -> None:
    (nz, nx), (x0, z0) = earth.velocity.shape, earth.origin
    x, z = positions[..., 0], positions[..., 1]
    outside = (x < x0) | (x > x0 + nx * earth.spacing) | (z < z0) | (z > z0 + nz * earth.spacing)
    if not bool(outside.any()):
        return
    shot, place = first(outside)
    far = float((x - x0).abs().max()) > 100 * nx * earth.spacing
    mend = "is the coordinate scalar or --origin right?" if far else "move it, or give a larger model or --origin"
    raise BadInput(
        f"{source}: {what} {place + 1 if what == 'receiver' else shot + 1} of shot {shot + 1} at "
        f"x {float(x[shot, place]):g} m, depth {float(z[shot, place]):g} m lies outside the model "
        f"(x {x0:g} to {x0 + nx * earth.spacing:g}, depth {z0:g} to {z0 + nz * earth.spacing:g}); {mend}"
    )
