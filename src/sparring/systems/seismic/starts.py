"""Starting models, from the best to the poorest. All but `constant` and `gradient` need to know something true."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.systems.seismic.earth import blurred

KNOWN_ROWS = 2
"""Rows near the surface that every start knows, as a survey would from its direct waves."""


def smoothed(truth: Tensor, cells: float = 4.0) -> Tensor:
    """The truth blurred by a Gaussian of `cells` cells, edges repeated."""
    return blurred(truth, cells)


def linear(truth: Tensor) -> Tensor:
    """Linear in depth, from the middle column's top value to its bottom value; nothing known across."""
    nx = truth.shape[1]
    top, bottom = float(truth[0, nx // 2]), float(truth[-1, nx // 2])
    return gradient(truth.shape, top, bottom).to(truth)


def layered(truth: Tensor, cells: float = 2.0) -> Tensor:
    """1-D: the mean over each row, smoothed in depth, the same in every column (a well log, or a stacking velocity)."""
    profile = smoothed(truth.mean(1, keepdim=True).expand(-1, 8), cells)[:, :1]
    return profile.expand_as(truth).clone()


def constant(truth: Tensor, speed: float = 2500.0) -> Tensor:
    """One speed in m/s everywhere: nothing is known."""
    return torch.full_like(truth, speed)


def gradient(shape: torch.Size | tuple[int, int], top: float, bottom: float) -> Tensor:
    """Linear in depth between two given speeds in m/s, `(nz, nx)`."""
    nz, nx = shape
    return torch.linspace(top, bottom, nz)[:, None].expand(nz, nx).clone()


STARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "smoothed": smoothed,
    "linear": linear,
    "1-D": layered,
    "constant": constant,
}


def start_from(truth: Tensor, kind: str, rows: int = KNOWN_ROWS) -> Tensor:
    """A start of that kind with the true speeds in the upper `rows` rows."""
    made = STARTS[kind](truth).clone()
    made[:rows] = truth[:rows]
    return made
