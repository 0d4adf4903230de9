"""Balls of the L∞, L2 and L1 norm around the input, cut by the input's valid range.

Projections onto ball ∩ range are exact. L∞ is one clamp. For L2 and L1 the nearest point is the change, shrunk by
one number per sample and clipped to the range; that number is the root of a piecewise smooth, monotone
function, found by Newton's method for all samples at once (in closed form where the range is infinite).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from sparring.threats.base import distance, flat, largest, precise, symmetric, wide
from sparring.threats.interval import Interval, free
from sparring.typed import norm

_ROUNDS = 100


@dataclass(frozen=True)
class _Ball:
    """A norm ball of radius `eps`, intersected with the valid range `[low, high]` of every entry."""

    eps: float
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.eps < math.inf:
            raise ValueError(f"eps must be a finite number of at least 0, got {self.eps}")
        if not self.low <= self.high:
            raise ValueError(f"the range [{self.low}, {self.high}] is empty")

    @property
    def radius(self) -> float:
        return float(self.eps)

    def scaled(self, factor: float) -> Self:
        return replace(self, eps=self.eps * factor)

    @property
    def _bounded(self) -> bool:
        return not (math.isinf(self.low) and math.isinf(self.high))


@dataclass(frozen=True)
class LInf(_Ball, Interval):
    """Every entry moves by at most `eps`. Steepest step: the gradient's sign."""

    def limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = x - self.eps, x + self.eps
        if not self._bounded:
            return lower, upper
        return lower.clamp_(self.low, self.high), upper.clamp_(self.low, self.high)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        near = torch.clamp(x_adv, x - self.eps, x + self.eps)
        return near.clamp_(self.low, self.high) if self._bounded else near

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        if x_adv is x and x.numel():  # the check of a clean batch: only the range can be left
            low, high = x.aminmax()
            if bool((low >= self.low) & (high <= self.high)):
                return x.new_zeros(len(x), dtype=torch.float32)
        return Interval.violation(self, x_adv, x)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        if x.dtype not in (torch.float32, torch.float64):
            return self.project(x + symmetric(x, generator) * self.eps, x)
        # |noise * eps| <= eps and rounding is monotone, so the sum can leave the range alone.
        points = symmetric(x, generator, self.eps).add_(x)
        return points.clamp_(self.low, self.high) if self._bounded else points

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return grad.sign()


class Shrinking(_Ball, ABC):
    """A ball whose nearest point shrinks every entry of the change towards 0, whatever intervals cut it."""

    order: ClassVar[int]

    @abstractmethod
    def within(self, x_adv: Tensor, x: Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor:
        """The nearest point of ball ∩ [lower, upper], for any intervals (broadcastable) that hold `x`."""

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.within(x_adv, x, self.low, self.high)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        beyond = beyond_ball(x_adv, x, self.eps, self.order)
        return torch.maximum(distance(beyond), distance(largest(x_adv - x_adv.clamp(self.low, self.high))))


@dataclass(frozen=True)
class L2(Shrinking):
    """The Euclidean length of the change is at most `eps`. Steepest step: the normalised gradient."""

    order: ClassVar[int] = 2

    def within(self, x_adv: Tensor, x: Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor:
        return within_l2(x_adv, x, self.eps, lower, upper)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.project((wide(x) + in_unit_ball(x, generator) * self.eps).to(x.dtype), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return unit_l2(grad)


@dataclass(frozen=True)
class L1(Shrinking):
    """The absolute changes sum to at most `eps`. Steepest step: the entries with the largest gradients.

    `share` of the entries that can still move share the step, which keeps iterates from being needlessly
    sparse (Croce & Hein, "Mind the box", ICML 2021, section 3).
    """

    share: float = 0.05
    order: ClassVar[int] = 1

    def within(self, x_adv: Tensor, x: Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor:
        # argmin ||z - x_adv|| over ball and range is x + clip(soft(x_adv - x, mu)) for the smallest mu >= 0 that
        # fits (Croce & Hein 2021, proposition 2.1); without a range, the projection onto the simplex.
        start, delta = wide(flat(x)), wide(flat(x_adv)) - wide(flat(x))
        room = _room(delta, x, lower, upper)
        size = delta.abs()
        clipped = size if room is None else torch.minimum(size, room)
        inside = clipped.sum(1, keepdim=True) <= self.eps
        if not bool(inside.all()):
            mu = _threshold(size, room, self.eps) if self.eps else 0.0
            clipped = (size - mu).clamp_min_(0)
            clipped = clipped if room is None else torch.minimum(clipped, room)
            total = clipped.sum(1, keepdim=True)
            clipped = clipped * (self.eps / total.clamp_min(1e-30)).clamp_max(1)
        return _land(x_adv, start + clipped.copysign(delta), inside, lower, upper)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        # Uniform in the L1 ball: exponential gaps with one extra, random signs.
        rows = flat(x)
        size = (len(rows), rows.shape[1] + 1)
        gaps = torch.empty(size, device=x.device, dtype=torch.float32).exponential_(generator=generator)
        gaps = gaps / gaps.sum(1, keepdim=True)
        signs = torch.randint(0, 2, rows.shape, generator=generator, device=x.device) * 2 - 1
        return self.project((wide(rows) + gaps[:, :-1] * signs * self.eps).to(x.dtype).reshape(x.shape), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        rows = flat(free(grad, x_adv, self.low, self.high))
        if rows.shape[1] == 0:
            return grad
        k = max(1, round(self.share * rows.shape[1]))
        chosen = rows.abs().topk(k, dim=1)
        direction = torch.zeros_like(rows).scatter(1, chosen.indices, rows.gather(1, chosen.indices).sign())
        count = direction.abs().sum(1, keepdim=True).clamp_min(1)
        return (direction / count).reshape(grad.shape)


def within_l2(x_adv: Tensor, x: Tensor, eps: float | Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor:
    """The nearest point of the ball of radius `eps` (one number, or `(n, 1)`) within the intervals."""
    # argmin ||z - x_adv|| over ball and range is x + clip(s (x_adv - x)) for the largest s <= 1 that fits.
    start, delta = wide(flat(x)), wide(flat(x_adv)) - wide(flat(x))
    size = largest(delta).clamp_min(torch.finfo(delta.dtype).tiny).unsqueeze(1)
    unit = delta / size
    share = (eps / size) / unit.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)
    room = _room(delta, x, lower, upper)
    if room is not None:
        share = _fill(unit.square(), (room / size).square(), (eps / size).square(), share.square()).sqrt()
    move = delta * share.clamp_max(1)
    return _land(x_adv, start + move, share >= 1, lower, upper)


def beyond_ball(x_adv: Tensor, x: Tensor, eps: float | Tensor, order: int) -> Tensor:
    """How far each sample lies outside its ball of radius `eps` (one number, or `(n,)`), 0 up to rounding."""
    # A point at distance eps cannot be stored exactly: each entry that moved may be off by half a unit in
    # its last place, and computing the norm costs a few more of eps.
    delta = precise(flat(x_adv)) - precise(flat(x))
    radius = torch.as_tensor(eps, dtype=delta.dtype, device=delta.device)
    unit = torch.finfo(x.dtype).eps
    stored = torch.minimum(precise(flat(x_adv)).abs() * unit, delta.abs())
    allowance = norm(stored, order, dim=1) + 16 * unit * radius
    beyond = norm(delta, order, dim=1) - radius
    return torch.where(beyond <= torch.where(radius > 0, allowance, 0), 0, beyond)


def in_unit_ball(x: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform draws from the Euclidean unit ball, of the shape of `x`."""
    rows = torch.randn(flat(x).shape, generator=generator, device=x.device)
    rows = rows / norm(rows, dim=1, keepdim=True).clamp_min(1e-12)
    share = torch.rand(len(rows), 1, generator=generator, device=x.device)
    return (rows * share.pow(1 / max(rows.shape[1], 1))).reshape(x.shape)


def unit_l2(grad: Tensor) -> Tensor:
    """Each sample's gradient at Euclidean length 1; 0 where it is 0."""
    # Divided by its largest entry first: the squares of a faint gradient would round to 0.
    rows = wide(flat(grad))
    rows = rows / largest(rows).clamp_min(torch.finfo(rows.dtype).tiny).unsqueeze(1)
    length = rows.square().sum(1, keepdim=True).sqrt()
    return (rows / length.clamp_min(0.5)).to(grad.dtype).reshape(grad.shape)


def _room(delta: Tensor, x: Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor | None:
    """How far each entry may go in its own direction, `(n, d)`; None where nothing limits any."""
    if not isinstance(lower, Tensor) and not isinstance(upper, Tensor) and math.isinf(lower) and math.isinf(upper):
        return None
    up, down = flat(upper - wide(x)), flat(wide(x) - lower)
    return torch.where(delta > 0, up, down).clamp_min_(0)


def _land(x_adv: Tensor, rows: Tensor, inside: Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor:
    """Back to the shape and dtype of `x_adv`, which stays as it is where it was inside, cut by the range."""
    near = rows.to(x_adv.dtype)
    near = torch.where(inside, flat(x_adv), near).reshape(x_adv.shape)
    if isinstance(lower, Tensor) or isinstance(upper, Tensor):
        return torch.clamp(near, torch.as_tensor(lower).to(near), torch.as_tensor(upper).to(near))
    return near if math.isinf(lower) and math.isinf(upper) else near.clamp_(lower, upper)


def _fill(q: Tensor, cap: Tensor, target: Tensor, r: Tensor) -> Tensor:
    """The largest r per row with `sum(min(r q, cap)) <= target`, from an r that is too small or just right.

    The sum is concave and piecewise linear in r, so Newton's method climbs to the root from below, never past
    it, in at most as many rounds as there are pieces. Rows that can never reach the target get inf.
    """
    for _ in range(_ROUNDS):
        full = r * q >= cap
        slope = q.masked_fill(full, 0).sum(1, keepdim=True)
        left = (target - cap.masked_fill(~full, 0).sum(1, keepdim=True)).clamp_min_(0)
        raised = torch.where(slope > 0, left / slope, torch.inf).maximum(r)
        done = raised <= r * (1 + 4 * torch.finfo(r.dtype).eps)
        r = raised
        if bool(done.all()):
            break
    return r


def _threshold(size: Tensor, room: Tensor | None, eps: float) -> Tensor:
    """The mu >= 0 per row with `sum(min((size - mu)+, room)) = eps`, by Newton's method kept inside a bracket."""
    low, high = size.new_zeros(len(size), 1), largest(size).unsqueeze(1)
    mu, tolerance = low, 8 * torch.finfo(size.dtype).eps
    for _ in range(_ROUNDS):
        soft = (size - mu).clamp_min_(0)
        moving = soft > 0 if room is None else (soft > 0) & (soft < room)
        soft = soft if room is None else torch.minimum(soft, room)
        excess = soft.sum(1, keepdim=True) - eps
        low, high = torch.where(excess > 0, mu, low), torch.where(excess > 0, high, mu)
        done = (excess.abs() <= tolerance * eps) | (high - low <= tolerance * high)
        if bool(done.all()):
            break
        newton = mu + excess / moving.sum(1, keepdim=True)
        middle = torch.where((newton > low) & (newton < high), newton, (low + high) / 2)
        mu = torch.where(done, mu, middle)
    return mu
