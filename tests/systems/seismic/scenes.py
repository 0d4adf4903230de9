# pyright: basic
"""Small scenes that the tests share."""

from __future__ import annotations

import torch

from sparring.systems.seismic.data import CLEAN, Case, Profile, Trouble, case, fine_model
from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.survey import Survey, line, ricker

TINY = Profile((20, 32), 40.0, 3, 160, 0.004, 4.0, accuracy=4)
THIN = {"every": 4, "each": 2}
"""Critic settings that leave TINY's gathers at least 16 x 16."""


def homogeneous(speed: float = 2000.0, shape: tuple[int, int] = (20, 32), spacing: float = 40.0) -> Earth:
    return Earth(torch.full(shape, speed), spacing)


def spread(earth: Earth, shots: int = 3, samples: int = 160, dt: float = 0.004, peak: float = 4.0) -> Survey:
    return line(earth, shots, wavelet=ricker(peak, dt, samples), dt=dt, peak=peak)


def tiny(start: str = "linear", trouble: Trouble = CLEAN, seed: int = 0) -> Case:
    return case(fine_model("faulted", TINY, seed=3), TINY, start, trouble, seed)
