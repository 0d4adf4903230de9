"""The smallest step onto a hyperplane within bounds, in L∞, L2 and L1, exact and vectorised."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sparring.typed import norm as vector_norm

Norm = Literal["linf", "l2", "l1"]

_TINY = 1e-12
_NEWTON = 50


def length(d: Tensor, norm: Norm) -> Tensor:
    """The norm of each row of `d` `(n, d)`."""
    if norm == "linf":
        return d.abs().amax(1)
    return vector_norm(d, dim=1) if norm == "l2" else d.abs().sum(1)


def dual_length(w: Tensor, norm: Norm) -> Tensor:
    """The dual norm along the last dimension: L1 for L∞, L2 for L2, L∞ for L1."""
    if norm == "linf":
        return w.abs().sum(-1)
    return vector_norm(w, dim=-1) if norm == "l2" else w.abs().amax(-1)


def step_to_hyperplane(x: Tensor, w: Tensor, gap: Tensor, low: float, high: float, norm: Norm) -> Tensor:
    """The shortest d with `<w, d> = gap` and `low <= x + d <= high`, row by row; shapes `(n, d)`, `gap` `(n,)`.

    Where no such d exists, the bounded step that comes nearest. With s the sign of gap and c_i the room of entry
    i in the direction s·w_i, every solution moves entry i by some m_i in [0, c_i], and Σ|w_i| m_i = |gap|:
    m = min(r, c) for L∞ and m = min(r|w|, c) for L2, where r solves a concave piecewise linear equation; for L1 the
    entries of largest |w| are filled first. (The problem of Croce & Hein, ICML 2020, equation 3, in a box.)
    """
    direction = torch.where(gap.unsqueeze(1) < 0, -w, w).sign()
    weight, goal = w.abs(), gap.abs()
    room = torch.where(direction > 0, high - x, x - low).clamp_min(0)
    room = torch.where(direction == 0, torch.zeros_like(room), room)
    if norm == "l1":
        return direction * _fill(weight, room, goal)
    speed = torch.ones_like(weight) if norm == "linf" else weight
    return direction * _grow(weight, speed, room, goal)


def _grow(weight: Tensor, speed: Tensor, room: Tensor, goal: Tensor) -> Tensor:
    """`min(r * speed, room)` with `Σ weight * min(r * speed, room) = goal`.

    Newton's method from r = 0 on a concave increasing piecewise linear function: r rises monotonically and is
    exact after finitely many steps. Rows that cannot reach the goal end with all room used.
    """
    pace = weight * speed
    r = torch.zeros_like(goal)
    for _ in range(_NEWTON):
        free = r.unsqueeze(1) * speed < room
        slope = torch.where(free, pace, torch.zeros_like(pace)).sum(1)
        used = torch.where(free, torch.zeros_like(pace), weight * room.nan_to_num(posinf=0.0)).sum(1)
        target = torch.where(slope > _TINY, (goal - used) / slope.clamp_min(_TINY), torch.inf)
        risen = torch.maximum(target, r)
        settled = (slope <= _TINY) | (risen - r <= 4 * torch.finfo(r.dtype).eps * risen)
        r = risen
        if bool(settled.all()):
            break
    wanted = torch.where(speed > 0, r.unsqueeze(1) * speed, torch.zeros_like(speed))
    step = torch.minimum(wanted, room)
    return torch.where(torch.isfinite(step), step, torch.zeros_like(step))


def _fill(weight: Tensor, room: Tensor, goal: Tensor) -> Tensor:
    """The fractional filling: entries in order of weight take their room until `Σ weight * step = goal`."""
    ordered, order = weight.sort(dim=1, descending=True)
    gain = ordered * room.gather(1, order)
    gain = torch.where(ordered > 0, gain, torch.zeros_like(gain))
    before = torch.cat([torch.zeros_like(gain[:, :1]), gain.cumsum(1)[:, :-1]], dim=1)
    left = torch.minimum((goal.unsqueeze(1) - before).clamp_min(0), gain)
    step = torch.where(ordered > _TINY, left / ordered.clamp_min(_TINY), torch.zeros_like(left))
    return torch.zeros_like(weight).scatter(1, order, step)
