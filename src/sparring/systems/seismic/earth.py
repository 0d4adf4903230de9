"""The ground: a velocity model with its units, and what may be wrong with one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import BadInput
from sparring.typed import first

SLOWEST, FASTEST = 50.0, 12_000.0
"""Speeds in m/s outside of which nothing on earth carries a pressure wave (dry soil, the lower mantle)."""


@dataclass(frozen=True)
class Earth:
    """Sound speed in m/s, `(depth, x)`, on square cells of `spacing` metres.

    `origin` is the (x, depth) of the upper left corner in metres, so cell (i, j) has its centre at
    x = origin[0] + (j + 1/2) spacing and depth = origin[1] + (i + 1/2) spacing.
    """

    velocity: Tensor
    spacing: float
    origin: tuple[float, float] = (0.0, 0.0)
    name: str = "model"

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top in kilometres, as a figure wants them."""
        (nz, nx), (x, z) = self.velocity.shape, self.origin
        return x / 1e3, (x + nx * self.spacing) / 1e3, (z + nz * self.spacing) / 1e3, z / 1e3

    def with_velocity(self, velocity: Tensor, name: str | None = None) -> Earth:
        """Another velocity on the same cells."""
        if velocity.shape != self.velocity.shape:
            raise ValueError(f"velocity {tuple(velocity.shape)} on cells {tuple(self.velocity.shape)}")
        return replace(self, velocity=velocity, name=name or self.name)

    def coarser(self, factor: int, blur: float = 0.0) -> Earth:
        """Cells `factor` times as large, each with the mean slowness of the cells it covers: travel times stay.

        With `blur`, the slowness is seen through a Gaussian of so many coarse cells first.
        """
        nz, nx = (n // factor * factor for n in self.velocity.shape)
        slowness = 1.0 / self.velocity[:nz, :nx].double()
        slowness = blurred(slowness, blur * factor) if blur else slowness
        mean = F.avg_pool2d(slowness[None, None], factor)[0, 0]
        return replace(self, velocity=(1.0 / mean).to(self.velocity.dtype), spacing=self.spacing * factor)

    def cells(self, positions: Tensor) -> Tensor:
        """Positions `(..., 2)` of (x, depth) in metres as fractional cell indices (row, column)."""
        x = (positions[..., 0] - self.origin[0]) / self.spacing - 0.5
        z = (positions[..., 1] - self.origin[1]) / self.spacing - 0.5
        return torch.stack([z, x], -1)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """An image `(rows, columns)` under a Gaussian of `sigma` cells, mirrored at its edges."""
    reach = int(4 * sigma + 0.5)
    x = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-x.square() / (2 * sigma**2))
    bell = (bell / bell.sum()).to(image.dtype)
    for axis in (0, 1):
        n = image.shape[axis]
        k = torch.arange(-reach, n + reach) % (2 * n)  # F.pad mirrors no further than the image is wide
        image = image.index_select(axis, torch.where(k < n, k, 2 * n - 1 - k))
    return F.conv2d(F.conv2d(image[None, None], bell[None, None, :, None]), bell[None, None, None, :])[0, 0]


def check_earth(earth: Earth, source: str, *, low: float = SLOWEST, high: float = FASTEST) -> list[str]:
    """Warnings about a velocity model. Raises `BadInput` that names `source`, the cell and the mend.

    Refused: not two axes, cells without size, NaN, infinity, speeds <= 0, kilometres per second, speeds outside
    [low, high]. Warned of: axes that look swapped.
    """
    v = earth.velocity
    if v.ndim != 2 or min(v.shape) < 4:
        raise BadInput(f"{source}: a velocity model has two axes (depth, x) of at least 4 cells, not {tuple(v.shape)}")
    if not (math.isfinite(earth.spacing) and earth.spacing > 0):
        raise BadInput(f"{source}: spacing {earth.spacing:g}: give the cell size in metres, e.g. --spacing 25")
    if not bool(torch.isfinite(v).all()):
        i, j = _first(~torch.isfinite(v))
        raise BadInput(f"{source}: velocity at row {i}, column {j} is {float(v[i, j])}; replace it by a speed in m/s")
    if float(v.min()) <= 0:
        i, j = _first(v <= 0)
        raise BadInput(f"{source}: velocity at row {i}, column {j} is {float(v[i, j]):g} m/s; speeds are positive")
    if float(v.max()) < 20:
        raise BadInput(f"{source}: the fastest cell has {float(v.max()):g}: kilometres per second? multiply by 1000")
    outside = (v < low) | (v > high)
    if bool(outside.any()):
        i, j = _first(outside)
        raise BadInput(
            f"{source}: velocity at row {i}, column {j} is {float(v[i, j]):g} m/s, outside {low:g} to {high:g}; "
            "mend the cell or widen --bounds"
        )
    return [f"{source}: {text}" for text in _oddities(v)]


def _oddities(v: Tensor) -> list[str]:
    nz, nx = v.shape
    down = float((v[-1] - v[0]).mean().abs())
    across = float((v[:, -1] - v[:, 0]).mean().abs())
    if nz > nx and across > 2 * down:
        return [f"{nz} rows, {nx} columns, and the speed grows along the columns: transposed? rows must be depth"]
    return []


def _first(where: Tensor) -> tuple[int, int]:
    i, j = first(where)
    return i, j
