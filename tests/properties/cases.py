"""What the property tests run over: threats for every shape, and valid inputs for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from hypothesis import HealthCheck, settings
from torch import Tensor

from sparring.threats import (
    L1,
    L2,
    SNR,
    Box,
    Control,
    Corruptions,
    Integer,
    Intersection,
    LInf,
    Mask,
    OneHotGroups,
    Patch,
    Relations,
    Spatial,
    ThreatModel,
    Union,
)
from sparring.threats.base import flat

SHAPES: tuple[tuple[int, ...], ...] = ((), (7,), (3, 5), (1, 4, 5), (2, 1, 3, 4))
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

PROFILE = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
"""The same examples in every run."""


@dataclass(frozen=True)
class Bend:
    """A ball-shaped threat of somebody else's: known to be convex, and to nothing else of this package."""

    eps: float
    convex = True

    @property
    def radius(self) -> float:
        return self.eps

    def scaled(self, factor: float) -> Bend:
        return replace(self, eps=self.eps * factor)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return L2(self.eps).project(x_adv, x)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return L2(self.eps).sample(x, generator=generator)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return L2(self.eps).steepest(grad, x_adv, x)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return L2(self.eps).violation(x_adv, x)


def total(x: Tensor) -> Tensor:
    """A relation: the last column is half the sum of all others, capped at 1."""
    return (x[..., :-1].sum(-1) / 2).clamp_max(1)


def recompute(x_adv: Tensor, x: Tensor) -> Tensor:
    out = x_adv.clone()
    out[..., -1] = total(x_adv)
    return out


def broken(x_adv: Tensor) -> Tensor:
    return flat((x_adv[..., -1] - total(x_adv)).abs()).sum(1)


Builder = Callable[[tuple[int, ...], float], ThreatModel | None]


def _directions(width: int) -> tuple[str, ...]:
    return tuple(("both", "up", "fixed", "down")[i % 4] for i in range(width))


def _mask(shape: tuple[int, ...]) -> Tensor:
    size = int(torch.tensor(shape).prod()) if shape else 1
    return (torch.arange(size) % 3 != 1).reshape(shape)


def _box(shape: tuple[int, ...]) -> Box:
    size = int(torch.tensor(shape).prod()) if shape else 1
    return Box(-(torch.arange(size) % 3).reshape(shape).float(), 1 + (torch.arange(size) % 2).reshape(shape).float())


def _grid(shape: tuple[int, ...]) -> Integer:
    width = shape[-1] if shape else 1
    return Integer((0, width - 1) if width > 1 else (0,), unit=0.125)


def _tabular(shape: tuple[int, ...], *others: ThreatModel) -> Intersection | None:
    if not shape or shape[-1] < 4:
        return None
    control = Control(("both", "both", "both", "up", *["both"] * (shape[-1] - 4)))
    return Intersection(*others, control, OneHotGroups([(0, 1, 2)]), Integer((3,), unit=0.125))


THREATS: dict[str, Builder] = {
    "linf": lambda s, e: LInf(e),
    "linf in range": lambda s, e: LInf(e, 0.0, 1.0),
    "l2": lambda s, e: L2(e),
    "l2 in range": lambda s, e: L2(3 * e, 0.0, 1.0),
    "l1": lambda s, e: L1(e),
    "l1 in range": lambda s, e: L1(4 * e, 0.0, 1.0),
    "box": lambda s, e: Box(-0.5, 1.5),
    "box per entry": lambda s, e: _box(s),
    "box within reach": lambda s, e: replace(_box(s), reach=min(1.0, e)),
    "open box": lambda s, e: Box(0.0, torch.inf),
    "mask": lambda s, e: Mask(_mask(s)),
    "control": lambda s, e: Control(_directions(s[-1] if s else 1)),
    "one-hot": lambda s, e: OneHotGroups([(0, 1, 2)]) if s and s[-1] >= 3 else None,
    "integer": lambda s, e: _grid(s),
    "relations": lambda s, e: Relations(recompute, broken) if s and s[-1] >= 3 else None,
    "linf and mask": lambda s, e: Intersection(LInf(e), Mask(_mask(s)), Box(0.0, 1.0)),
    "l2 and box and control": lambda s, e: Intersection(L2(e), _box(s), Control(_directions(s[-1] if s else 1))),
    "l1 and l2 and box": lambda s, e: Intersection(L1(1.5 * e), L2(e), Box(0.0, 1.0)),
    "convex and l1": lambda s, e: Intersection(Bend(e), L1(1.5 * e), Mask(_mask(s))),
    "linf and integer": lambda s, e: Intersection(LInf(e, 0.0, 1.0), _grid(s)),
    "l2 and integer": lambda s, e: Intersection(_grid(s), L2(e)),
    "box and types": lambda s, e: _tabular(s, Box(0.0, 1.0)),
    "linf and types": lambda s, e: _tabular(s, LInf(e), Box(0.0, 1.0)),
    "box and relations": lambda s, e: (
        Intersection(Box(0.0, 1.0), Relations(recompute, broken)) if s and s[-1] >= 3 else None
    ),
    "spatial": lambda s, e: Spatial(angle=6.0, shift=1.0, reach=min(e, 1.0)) if len(s) >= 2 else None,
    "patch": lambda s, e: Patch(5 * e) if len(s) >= 2 else None,
    "corruptions": lambda s, e: Corruptions(("impulse noise",), 5 * e) if len(s) >= 2 else None,
    "snr": lambda s, e: SNR(20 - 20 * math.log10(e) if e else math.inf),
    "snr and box": lambda s, e: Intersection(SNR(20 - 20 * math.log10(e) if e else math.inf), Box(0.0, 1.0)),
    "union": lambda s, e: Union(LInf(e, 0.0, 1.0), L2(3 * e, 0.0, 1.0)),
    "union and mask": lambda s, e: Intersection(Union(LInf(e), L1(3 * e)), Mask(_mask(s))),
    "union of intersections": lambda s, e: Union(Intersection(L2(e), Mask(_mask(s))), L1(e)),
}


def inputs(shape: tuple[int, ...], n: int, dtype: torch.dtype, seed: int) -> Tensor:
    """Inputs in [0, 1]: every second one with a one-hot group, grid values and the relation kept."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((n, *shape), generator=generator)
    if shape and shape[-1] >= 4:
        tidy = x.clone()
        tidy[..., :3] = 0
        tidy[..., seed % 3] = 1
        tidy[..., 3] = (tidy[..., 3] * 8).round() / 8
        tidy = recompute(tidy.to(dtype), tidy).float()
        x[::2] = tidy[::2]
    return x.to(dtype)
