"""Where a block-wise random search changes a sample: squares of images, subsets of features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def share_at(iteration: int, first: float, queries: int | None = None) -> float:
    """The share p of a sample that changes: halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000 iterations.

    Andriushchenko et al., "Square Attack", ECCV 2020, section 5, for 10,000 queries; the schedule is stretched to
    another budget of `queries` where one is given.
    """
    iteration = iteration if queries is None else iteration * 10_000 // queries
    return first / 2 ** sum(iteration > h for h in _HALVINGS)


@dataclass(frozen=True)
class Change:
    """What a move writes into samples `(m, d)`: `values` `(m, e)` at `entries` `(m, e)`, or everywhere (None)."""

    entries: Tensor | None
    values: Tensor

    def make(self, samples: Tensor) -> Tensor:
        """Write in place; returns what stood there before."""
        if self.entries is None:
            before = samples.clone()
            samples.copy_(self.values)
            return before
        before = samples.gather(1, self.entries)
        samples.scatter_(1, self.entries, self.values)
        return before

    def settle(self, samples: Tensor, before: Tensor, kept: Tensor) -> None:
        """Take the change back, in place, wherever it is not `kept` `(m,)`."""
        settled = torch.where(kept.unsqueeze(1), self.values, before)
        if self.entries is None:
            samples.copy_(settled)
        else:
            samples.scatter_(1, self.entries, settled)


@dataclass(frozen=True)
class Layout:
    """A sample seen as `channels` planes of `height` × `width`; features without a plane are a `flat` list.

    The last two dimensions of a sample of two or more dimensions are its plane; 1-D samples have none, since
    features such as table columns have no neighbours.
    """

    channels: int
    height: int
    width: int
    flat: bool

    @classmethod
    def of(cls, x: Tensor) -> Layout:
        """The layout of samples `(n, *sample)`."""
        sample = x.shape[1:]
        if len(sample) < 2:
            return cls(math.prod(sample), 1, 1, True)
        return cls(math.prod(sample[:-2]), sample[-2], sample[-1], False)

    @property
    def size(self) -> int:
        """Entries of a sample."""
        return self.channels * self.height * self.width

    def side(self, share: float) -> int:
        """The side of a square that covers `share` of the plane, at least 1 and inside the plane."""
        return min(max(round(math.sqrt(share * self.height * self.width)), 1), self.height, self.width)

    def squares(self, n: int, side: int, *, generator: torch.Generator, device: torch.device) -> Tensor:
        """The entries of one random square per sample: `(n, channels, side²)` indices into the flat sample."""
        corner = torch.rand(2, n, 1, 1, generator=generator, device=device)
        step = torch.arange(side, device=device)
        top = (corner[0] * (self.height - side + 1)).long() + step.view(1, side, 1)
        left = (corner[1] * (self.width - side + 1)).long() + step.view(1, 1, side)
        plane = (top * self.width + left).reshape(n, 1, side * side)
        return plane + (torch.arange(self.channels, device=device) * self.height * self.width).view(1, -1, 1)

    def subsets(self, n: int, count: int, *, generator: torch.Generator, device: torch.device) -> Tensor:
        """`count` random entries per sample, each its own channel: `(n, count, 1)`."""
        noise = torch.rand(n, self.size, generator=generator, device=device)
        return noise.topk(min(max(count, 1), self.size), dim=1).indices.unsqueeze(2)

    def extent(self, share: float) -> int:
        """How large a block of that share is: its side, or on flat samples how many entries it has."""
        return min(max(round(share * self.size), 1), self.size) if self.flat else self.side(share)

    def entries(self, extent: int) -> int:
        """How many entries of a sample such a block changes."""
        return extent if self.flat else self.channels * extent * extent

    def places(self, n: int, extent: int, *, generator: torch.Generator, device: torch.device) -> Tensor:
        """The entries of n random blocks, `(n, signs, entries per sign)`."""
        draw = self.subsets if self.flat else self.squares
        return draw(n, extent, generator=generator, device=device)

    def blocks(self, n: int, share: float, *, generator: torch.Generator, device: torch.device) -> Tensor:
        """The entries that change in this iteration, `(n, signs, entries per sign)`."""
        return self.places(n, self.extent(share), generator=generator, device=device)


def signs(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Random +1 and -1."""
    draw = torch.randint(0, 2, shape, generator=generator, device=like.device)
    return (draw * 2 - 1).to(like.dtype)
