"""Models and their observed data: generated or the field's own, always on a finer grid than the inversion's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.data.sources import locate
from sparring.engine.streams import generator_for
from sparring.errors import BadInput
from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.filters import highpass, refined
from sparring.systems.seismic.generate import KINDS, generated
from sparring.systems.seismic.inversion import Problem
from sparring.systems.seismic.starts import KNOWN_ROWS, start_from
from sparring.systems.seismic.survey import Survey, line, ricker, rotated
from sparring.systems.seismic.waves import Solves, Waves, sampling_interval
from sparring.typed import from_numpy, norm

REAL = {"marmousi": ("marmousi", 30.0), "marmousi2": ("marmousi2", 30.0), "overthrust": ("overthrust", 50.0)}
"""Data set and the cell size in metres at which it is stored."""


@dataclass(frozen=True)
class Profile:
    """The size of an experiment: cells of the inversion, shots, and the time axis."""

    shape: tuple[int, int]
    spacing: float
    shots: int
    samples: int
    dt: float
    peak: float
    free_surface: bool = False
    accuracy: int = 8


PROFILES = {
    "ci": Profile((32, 48), 40.0, 3, 400, 0.004, 4.0),
    "small": Profile((50, 78), 40.0, 6, 600, 0.004, 4.0),
    "medium": Profile((50, 155), 40.0, 8, 700, 0.004, 4.0),
    "full": Profile((100, 310), 30.0, 30, 2000, 0.003, 5.0, free_surface=True),
}


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the observed data: `noise` in dB (signal over white noise, per shot), `cut` in Hz.

    `cut` takes everything below it out of the source, on both sides: the field's missing low frequencies.
    `phase` turns the true wavelet by so many degrees against the one that the inversion believes in.
    """

    noise: float | None = None
    cut: float | None = None
    phase: float = 0.0


CLEAN = Trouble()


@dataclass(frozen=True)
class HeldOut:
    """Shots between those of the inversion, noise-free, which no method sees: `heard (shots, receivers, samples)`."""

    waves: Waves
    heard: Tensor

    def residual(self, velocity: Tensor) -> float:
        """||simulated - heard|| / ||heard||."""
        with torch.no_grad():
            made = self.waves(velocity, torch.arange(len(self.heard)))
        return float(norm(made - self.heard) / norm(self.heard))


@dataclass(frozen=True)
class Case:
    """A problem whose truth is known: for experiments."""

    problem: Problem
    truth: Tensor
    earth: Earth
    floor: float
    """Relative residual of the data at the coarse truth: no fit below it means anything."""
    fine: Earth

    def held_out(self, shots: int = 2) -> HeldOut:
        """So many shots between the problem's own, over the fine model."""
        own = self.problem.waves.survey
        between = (own.sources[:-1] + own.sources[1:]) / 2
        at = torch.linspace(0, len(between) - 1, shots).round().long()
        survey = replace(own, sources=between[at], receivers=own.receivers[at])
        waves = replace(self.problem.waves, survey=survey, solves=Solves())
        return HeldOut(waves, observe(self.fine, survey, accuracy=waves.accuracy))


def case(
    fine: Earth, profile: Profile, start: str, trouble: Trouble = CLEAN, seed: int = 0, blur: float = 0.0
) -> Case:  # fmt: skip
    """Observed data from `fine` (cells half the size of the profile's), a start, and the problem to solve.

    Observations come from half the cell size and half the time step; the coarse truth averages slowness (with `blur` as
    in `Earth.coarser`; without, it fits the data of generated models best). The noise is drawn from a stream of its
    own, which nothing in the inversion shares.
    """
    earth = fine.coarser(2, blur)
    wavelet = ricker(profile.peak, profile.dt, profile.samples)
    if trouble.cut is not None:
        wavelet = highpass(wavelet, trouble.cut, profile.dt)
    survey = line(
        earth, profile.shots, wavelet=wavelet, dt=profile.dt, peak=profile.peak, free_surface=profile.free_surface
    )
    true_survey = survey.with_wavelet(rotated(wavelet, trouble.phase)) if trouble.phase else survey
    waves = Waves(
        earth, survey, fastest=float(max(6200.0, fine.velocity.max())), accuracy=profile.accuracy,
        interval=sampling_interval(survey),
    )  # fmt: skip
    clean = observe(fine, true_survey, accuracy=profile.accuracy)
    floor = HeldOut(replace(waves, solves=Solves()), clean).residual(earth.velocity)
    observed = with_noise(clean, trouble.noise, seed) if trouble.noise is not None else clean
    known = torch.zeros_like(earth.velocity, dtype=torch.bool)
    known[:KNOWN_ROWS] = True
    problem = Problem(waves, observed, start_from(earth.velocity, start), known)
    return Case(problem, earth.velocity, earth, floor, fine)


def observe(fine: Earth, survey: Survey, *, accuracy: int = 8) -> Tensor:
    """Gathers of `survey` over `fine` with half its time step, thinned back, `(shots, receivers, samples)`."""
    quick = replace(survey, wavelet=refined(survey.wavelet, 2), dt=survey.dt / 2)
    waves = Waves(fine, quick, fastest=float(fine.velocity.max()), accuracy=accuracy, border=20, together=4)
    with torch.no_grad():
        return waves(fine.velocity, torch.arange(survey.shots))[..., ::2].contiguous()


def with_noise(gathers: Tensor, decibel: float, seed: int) -> Tensor:
    """White Gaussian noise added, so that each shot's signal-to-noise ratio of energies is `decibel` dB."""
    draws = generator_for(seed, "seismic/noise")
    white = torch.randn(gathers.shape, generator=draws)
    power = gathers.square().mean((1, 2), keepdim=True)
    return gathers + white * (power / 10 ** (decibel / 10)).sqrt()


def fine_model(name: str, profile: Profile, data: Path | None = None, seed: int = 0, place: float = 0.5) -> Earth:
    """A model at half the profile's cell size, cut to its shape.

    `name` is a kind of `generated` ("faulted", ...) or a data set ("marmousi", ...). A data set's cells are taken as
    if they had the size wanted (the geometry is scaled); `place` says where along the line it is cut, 0 to 1.
    """
    nz, nx = 2 * profile.shape[0], 2 * profile.shape[1]
    spacing = profile.spacing / 2
    for kind in KINDS:
        if kind == name:
            return generated(kind, seed, (nz, nx), spacing)
    if name not in REAL:
        raise BadInput(f"model {name!r}: choose one of {', '.join((*KINDS, *REAL))}")
    whole = real_model(name, data).velocity
    if whole.shape[0] < nz:  # repeat the lowest row: half-space below
        whole = torch.cat([whole, whole[-1:].expand(nz - whole.shape[0], -1)])
    if whole.shape[1] < nx:
        raise BadInput(f"{name}: {whole.shape[1]} columns, the profile wants {nx}; choose a smaller one")
    left = int(place * (whole.shape[1] - nx))
    return Earth(whole[:nz, left : left + nx].contiguous(), spacing, name=name)


def real_model(name: str, data: Path | None = None) -> Earth:
    """A stored model as it is."""
    known, spacing = REAL[name]
    path = locate(known, None, data)
    return Earth(from_numpy(np.load(path, allow_pickle=False).astype(np.float32)), spacing, name=name)
