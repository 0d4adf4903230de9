"""The wave equation, solved by deepwave: this file alone talks to it.

    (1 / v²) ∂²u/∂t² = Δu - f(t) δ(x - x_s),   d_s(r, t) = u(x_r, t)

The source's sign is deepwave's. Constant density, two dimensions, absorbing borders (or a free surface on top).
Gradients come from deepwave's adjoint; wavefields are kept at every `interval`-th sample, which leaves the gradient
the same as long as `interval * dt < 1 / (2.5 highest frequency)`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.survey import Survey
from sparring.typed import on_gradient, split

BORDER = 10
"""Cells of the absorbing border on each side."""


@dataclass
class Solves:
    """How many wave equations were solved: one a shot forward, one a shot backward."""

    forward: int = 0
    adjoint: int = 0

    @property
    def total(self) -> int:
        """Both."""
        return self.forward + self.adjoint


@dataclass(frozen=True)
class Waves:
    """Gathers from a velocity: `waves(velocity (nz, nx), shots (n,)) -> (n, receivers, samples)`.

    `fastest` (m/s) fixes the solver's time step, so that it does not change while the velocity does. `accuracy` is
    the order in space. Shots are solved `together` at a time: less is slower and needs less memory.
    """

    earth: Earth
    survey: Survey
    fastest: float
    accuracy: int = 4
    interval: int = 1
    together: int = 64
    border: int = BORDER
    solves: Solves = field(default_factory=Solves, compare=False)

    def __call__(self, velocity: Tensor, shots: Tensor) -> Tensor:
        parts = [self._some(velocity, part) for part in split(shots, self.together)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _some(self, velocity: Tensor, shots: Tensor) -> Tensor:
        deepwave = library()
        survey, n = self.survey, len(shots)
        interval = self.interval if velocity.requires_grad else 1
        # deepwave wants whole intervals: some silence after the end, which is cut off again.
        wavelet = F.pad(survey.wavelet.to(velocity), (0, -len(survey.wavelet) % interval)).expand(n, 1, -1)
        # Of a wave injected at one cell the amplitude grows with the cell; this makes it the same on every grid.
        wavelet = wavelet * (REFERENCE / self.earth.spacing) ** 2
        sides = [0 if survey.free_surface else self.border, *[self.border] * 3]
        at, heard, velocity = _placed(self.earth, survey, shots, velocity)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a coarse grid and a free surface are told by our own checks
            found: Any = deepwave.scalar(
                velocity,
                self.earth.spacing,
                survey.dt,
                source_amplitudes=wavelet,
                source_locations=at,
                receiver_locations=heard,
                accuracy=self.accuracy,
                pml_width=sides,
                pml_freq=survey.peak,
                max_vel=self.fastest,
                model_gradient_sampling_interval=interval,
                check_output_finite=False,
            )
        gathers: Tensor = found[-1][..., : len(survey.wavelet)]
        self.solves.forward += n
        if gathers.requires_grad:
            on_gradient(gathers, lambda grad: self._backward(grad, n))
        return gathers

    def _backward(self, grad: Tensor, n: int) -> Tensor:
        self.solves.adjoint += n
        return grad


REFERENCE = 40.0
"""Cell size in metres at which a source cell has the wavelet's own amplitude."""


def sampling_interval(survey: Survey, most: int = 4) -> int:
    """The largest admissible `interval` up to `most` samples."""
    return max(1, min(most, int(1 / (2.5 * survey.highest) / survey.dt)))


def courant_limit(spacing: float, fastest: float) -> float:
    """The largest stable time step in seconds, second order in time; deepwave sub-steps above it."""
    return 0.6 * spacing / fastest


def illumination(waves: Waves, velocity: Tensor) -> Tensor:
    """How strongly the data of all shots feel each cell, `(nz, nx)`: the norm of their adjoint for unit noise.

    One backward solve a shot, of white noise from a generator of its own: an estimate of the Gauss-Newton
    Hessian's diagonal (its root), scaled to a largest value of 1.
    """
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(velocity)
    for shot in range(waves.survey.shots):
        v = velocity.detach().clone().requires_grad_(True)
        gathers = waves(v, torch.tensor([shot]))
        noise = torch.randn(gathers.shape, generator=generator)
        (grad,) = torch.autograd.grad((gathers * noise).sum(), v)
        total += grad.square()
    return (total.sqrt() / total.sqrt().max()).detach()


def library() -> Any:
    """deepwave. Raises `BadInput` if it is not installed."""
    try:
        import deepwave
    except ImportError:
        raise BadInput("waves need deepwave; install it with `pip install 'sparring[seismic]'`") from None
    return deepwave


REACH = 4
"""Half the width, in cells, of the window that spreads a source or receiver between cells (Hicks, Geophysics 2002)."""


def _placed(earth: Earth, survey: Survey, shots: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sources `(n, 1, 2)` and receivers `(n, receivers, 2)` in cells, and the velocity, wider where windows need it.

    Whole numbers where all lie on cells. Under a free surface depths go to the nearest cell: no window may cross it.
    """
    places = [earth.cells(survey.sources[shots])[:, None], earth.cells(survey.receivers[shots])]
    if survey.free_surface:
        places = [torch.stack([p[..., 0].round().clamp(min=0), p[..., 1]], -1) for p in places]
    if all(bool(((p - p.round()).abs() < 1e-3).all()) for p in places):
        return places[0].round().long(), places[1].round().long(), velocity
    top = 0 if survey.free_surface else REACH
    wider = F.pad(velocity[None, None], (REACH, REACH, top, REACH), mode="replicate")[0, 0]
    shift = torch.tensor([top, REACH], dtype=torch.float64)
    at, heard = ((p + shift).to(velocity.dtype) for p in places)
    return at, heard, wider
