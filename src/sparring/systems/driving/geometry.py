"""Plane geometry on batches: exact overlap of oriented boxes, paths from their curvature, places beside a path.

Lengths are metres, angles radians (counter-clockwise), time seconds. A path is a row of points one metre apart,
`(..., points, 4)`: x, y, heading, curvature.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SPACING = 1.0
"""Metres between two points of a path."""


def overlap(dx: Tensor, dy: Tensor, turn: Tensor, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Tensor:
    """Whether two oriented boxes share a point, by the separating-axis theorem (exact for rectangles).

    `dx`, `dy`: the centre of b in a's own frame; `turn`: b's heading less a's; `a`, `b`: (length, width). All
    tensors broadcast against each other; the answer is a bool tensor of their common shape.
    """
    cos, sin = turn.cos(), turn.sin()
    c, s = cos.abs(), sin.abs()
    (la, wa), (lb, wb) = a, b
    along = dx.abs() * 2 < la + lb * c + wb * s
    across = dy.abs() * 2 < wa + lb * s + wb * c
    ahead = (dx * cos + dy * sin).abs() * 2 < lb + la * c + wa * s
    aside = (dy * cos - dx * sin).abs() * 2 < wb + la * s + wa * c
    return along & across & ahead & aside


def boxes_overlap(first: Tensor, second: Tensor, size_a: Tensor, size_b: Tensor) -> Tensor:
    """`overlap` of poses `(..., 3 or more)` (x, y, heading) with sizes `(..., 2)` (length, width)."""
    away = second[..., :2] - first[..., :2]
    cos, sin = first[..., 2].cos(), first[..., 2].sin()
    dx, dy = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
    turn = second[..., 2] - first[..., 2]
    return overlap(dx, dy, turn, (size_a[..., 0], size_a[..., 1]), (size_b[..., 0], size_b[..., 1]))


def from_curvature(start: Tensor, curvature: Tensor) -> Tensor:
    """The path `(n, points, 4)` with this curvature `(n, points)` (1/m) at its points, from poses `(n, 3)`."""
    heading = start[:, 2:3] + SPACING * (curvature.cumsum(1) - curvature)
    middle = heading + SPACING / 2 * curvature
    steps = torch.stack([middle.cos(), middle.sin()], dim=2) * SPACING
    places = start[:, None, :2] + steps.cumsum(1) - steps
    return torch.cat([places, heading.unsqueeze(2), curvature.unsqueeze(2)], dim=2)


def from_points(points: Tensor, count: int) -> Tensor:
    """A path of `count` points through `(m, 2)` places, m ≥ 2, straight on where they end."""
    steps = points[1:] - points[:-1]
    lengths = steps.square().sum(1).sqrt()
    keep = lengths > 1e-3
    points = torch.cat([points[:1], points[1:][keep]])
    steps, lengths = steps[keep], lengths[keep]
    if len(steps) == 0:
        raise ValueError("a path needs two places that differ")
    along = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    at = torch.arange(count, dtype=points.dtype) * SPACING
    segment = (torch.searchsorted(along, at, right=True) - 1).clamp(0, len(steps) - 1)
    share = (at - along[segment]) / lengths[segment]
    places = points[segment] + share.unsqueeze(1) * steps[segment]
    heading = unwrap(torch.atan2(steps[:, 1], steps[:, 0]).unsqueeze(0))[0][segment]
    curvature = torch.cat([heading[1:] - heading[:-1], heading.new_zeros(1)]) / SPACING
    return torch.cat([places, heading.unsqueeze(1), curvature.clamp(-0.3, 0.3).unsqueeze(1)], dim=1)


def beside(path: Tensor, along: Tensor, aside: Tensor) -> Tensor:
    """Poses `(n, t, 3)` at `along` `(n, t)` metres of paths `(n, points, 4)`, `aside` metres to their left."""
    scaled = (along / SPACING).clamp(0, path.shape[1] - 1.001)
    before = scaled.floor().long()
    rows = torch.arange(len(path)).unsqueeze(1)
    low, high = path[rows, before], path[rows, before + 1]
    point = low + (scaled - before).unsqueeze(2) * (high - low)
    heading = point[..., 2]
    beyond = along - SPACING * scaled  # off either end the path goes straight on
    x = point[..., 0] - aside * heading.sin() + beyond * heading.cos()
    y = point[..., 1] + aside * heading.cos() + beyond * heading.sin()
    return torch.stack([x, y, heading], dim=2)


def project(path: Tensor, place: Tensor, near: Tensor, window: tuple[int, int] = (-1, 4)) -> tuple[Tensor, ...]:
    """Where places `(n, 2)` lie on paths `(n, points, 4)`, searched in a window of points around index `near` `(n,)`.

    Returns the index `(n,)`, metres along, metres to the left, and the path's point `(n, 4)` there.
    """
    offsets = torch.arange(window[0], window[1] + 1)
    candidates = (near.unsqueeze(1) + offsets).clamp_(0, path.shape[1] - 1)
    first = torch.arange(len(path)).unsqueeze(1) * path.shape[1]
    flat = path.reshape(-1, 4)
    points = flat.index_select(0, (first + candidates).flatten()).reshape(*candidates.shape, 4)
    dx, dy = place[:, 0:1] - points[..., 0], place[:, 1:2] - points[..., 1]
    best = (dx * dx + dy * dy).argmin(1, keepdim=True)
    index = candidates.gather(1, best).squeeze(1)
    point = flat.index_select(0, first.squeeze(1) + index)
    dx, dy = dx.gather(1, best).squeeze(1), dy.gather(1, best).squeeze(1)
    cos, sin = point[:, 2].cos(), point[:, 2].sin()
    return index, index * SPACING + dx * cos + dy * sin, dy * cos - dx * sin, point


def unwrap(angle: Tensor) -> Tensor:
    """Angles along the last axis without jumps of a full turn."""
    step = angle[..., 1:] - angle[..., :-1]
    jump = torch.round(step / (2 * math.pi)).cumsum(-1) * 2 * math.pi
    return torch.cat([angle[..., :1], angle[..., 1:] - jump], dim=-1)


def wrap(angle: Tensor) -> Tensor:
    """The same angle between -pi and pi."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
