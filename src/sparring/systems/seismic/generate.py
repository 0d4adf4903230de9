"""Seeded velocity models: layers, folds, faults, a round anomaly, a salt body. Our own recipe, no one's data."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from sparring.engine.streams import generator_for
from sparring.systems.seismic.earth import Earth

Kind = Literal["layered", "folded", "faulted", "anomaly", "salt"]
KINDS: tuple[Kind, ...] = ("layered", "folded", "faulted", "anomaly", "salt")


def generated(
    kind: Kind, seed: int, shape: tuple[int, int] = (64, 96), spacing: float = 20.0, *, top: float = 1600.0,
    bottom: float = 4200.0,
) -> Earth:  # fmt: skip
    """A model of that kind, the same for the same seed.

    Layers of uneven thickness get faster with depth, from about `top` to about `bottom` m/s, with a few slower ones
    between; folds bend them, faults shift them along inclined planes, an anomaly is a smooth round body faster or
    slower by up to 800 m/s, salt a body of 4,500 m/s with flanks that reaches up from below.
    """
    draws = generator_for(seed, f"seismic/{kind}")
    nz, nx = shape
    z, x = torch.meshgrid(torch.arange(nz, dtype=torch.float64), torch.arange(nx, dtype=torch.float64), indexing="ij")
    depth = z / nz
    if kind != "layered":
        depth = depth + _fold(x / nx, draws, 0.05)
    if kind == "faulted":
        for _ in range(int(torch.randint(2, 4, (), generator=draws))):
            depth = depth + _fault(x, z, shape, draws)
    velocity = _layers(depth, draws, top, bottom)
    if kind == "anomaly":
        velocity = velocity + _lens(x / nx, z / nz, draws)
    if kind == "salt":
        velocity = torch.where(_salt(x / nx, z / nz, draws), torch.tensor(4500.0, dtype=torch.float64), velocity)
    water = z < max(2, nz // 25)
    velocity = torch.where(water, torch.tensor(1500.0, dtype=torch.float64), velocity)
    return Earth(velocity.clamp(1500, 5500).float(), spacing, name=f"{kind}-{seed}")


def _uniform(draws: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=draws))


def _layers(depth: Tensor, draws: torch.Generator, top: float, bottom: float) -> Tensor:
    count = int(torch.randint(9, 15, (), generator=draws))
    thickness = torch.rand(count, generator=draws, dtype=torch.float64) + 0.4
    edges = (thickness.cumsum(0) / thickness.sum()).clamp(max=1.0)
    share = (edges - edges[0]) / (edges[-1] - edges[0])
    speeds = top + (bottom - top) * share + 260 * torch.randn(count, generator=draws, dtype=torch.float64)
    return speeds[torch.bucketize(depth.clamp(0, 1), edges[:-1])]


def _fold(x: Tensor, draws: torch.Generator, height: float) -> Tensor:
    bend = torch.zeros_like(x)
    for k in (1, 2, 3):
        size, phase = _uniform(draws, 0.3, 1.0) * height / k, _uniform(draws, 0, 2 * math.pi)
        bend = bend + size * torch.sin(2 * math.pi * k * 0.7 * x + phase)
    return bend


def _fault(x: Tensor, z: Tensor, shape: tuple[int, int], draws: torch.Generator) -> Tensor:
    at = _uniform(draws, 0.2, 0.8) * shape[1]
    slope = _uniform(draws, -0.6, 0.6)
    throw = _uniform(draws, 0.05, 0.14) * (1 if _uniform(draws, 0, 1) < 0.5 else -1)
    return throw * (x - at > slope * z).to(x.dtype)


def _lens(x: Tensor, z: Tensor, draws: torch.Generator) -> Tensor:
    at = _uniform(draws, 0.3, 0.7), _uniform(draws, 0.35, 0.7)
    wide, high = _uniform(draws, 0.08, 0.16), _uniform(draws, 0.08, 0.14)
    strength = _uniform(draws, 500, 800) * (1 if _uniform(draws, 0, 1) < 0.5 else -1)
    return strength * torch.exp(-(((x - at[0]) / wide) ** 2 + ((z - at[1]) / high) ** 2))


def _salt(x: Tensor, z: Tensor, draws: torch.Generator) -> Tensor:
    at, crest = _uniform(draws, 0.35, 0.65), _uniform(draws, 0.3, 0.45)
    flank, bulge = _uniform(draws, 0.12, 0.2), _uniform(draws, 0.03, 0.06)
    wide = flank * (1 + 0.6 * (z - crest)) + bulge * torch.sin(9 * z)
    roof = crest + 2.2 * ((x - at).abs() / wide).clamp(max=2) ** 2 * 0.08
    return (z > roof) & ((x - at).abs() < wide)
