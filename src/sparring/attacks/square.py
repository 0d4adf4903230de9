"""Square attack: random search over blocks, from scores alone.

Andriushchenko, Croce, Flammarion & Hein, "Square Attack: a query-efficient black-box adversarial attack via
random search", ECCV 2020. Every sample of a batch draws its own block; no step loops over samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle, take
from sparring.attacks.blocks import Change, Layout, share_at, signs
from sparring.attacks.windows import WindowMoves
from sparring.objectives import Objective, margin
from sparring.threats.base import ThreatModel, flat
from sparring.threats.lp import L1, L2, LInf

_DRAWN = 1 << 15
"""Entries that are drawn at once."""


class Moves(Protocol):
    """Where the search starts and what it tries; samples are rows `(m, d)`, every point a member of the threat."""

    def start(self, x: Tensor, generator: torch.Generator) -> Tensor: ...

    def propose(self, best: Tensor, x: Tensor, share: float, generator: torch.Generator) -> Change: ...

    def keep(self, rows: Tensor) -> None:
        """Only the samples in these places are left."""


@dataclass(frozen=True, kw_only=True)
class Square(Attack):
    """Random search that changes one block of a sample at a time and keeps what raises the payoff.

    `queries` forward passes per sample, the start included; no gradient. `share` is the part of a sample that the
    first blocks cover; it is halved along the paper's schedule, which is made for 10,000 queries and, with `rescale`,
    stretched to the budget (the standard ensemble does not stretch it). `loss` is the payoff climbed (the margin, as
    published; None: the call's objective). `LInf` (algorithm 2) sets a block to ±eps; `L2` (algorithm 3) and `L1`
    move budget between two windows, and need a plane of 3 × 3 or more. For every other threat, and for L2 and L1 on
    plain feature vectors, a block is taken from a random member or pushed by twice the radius, and the result is
    projected. The last two dimensions of a sample are its plane; on 1-D samples a block is a random subset.
    """

    queries: int = 5000
    share: float = 0.8
    rescale: bool = True
    loss: Objective | None = margin

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        shape, rows = x.shape[1:], torch.arange(len(x), device=x.device)
        oracle = oracle.view(objective=self.loss)
        moves = _moves(threat, x)
        clean = flat(x)
        best = moves.start(clean, generator)
        value, fallen = oracle.score(best.reshape(x.shape), y, rows)
        out = best.clone()
        for iteration in range(self.queries - 1):
            if self.active_set and bool(fallen.any()):
                down, kept = fallen.nonzero().squeeze(1), (~fallen).nonzero().squeeze(1)
                out.index_copy_(0, rows.index_select(0, down), best.index_select(0, down))
                if len(kept) == 0:
                    return out.reshape(x.shape)
                rows, best, clean, y, value = take(kept, rows, best, clean, y, value)
                moves.keep(kept)
            share = share_at(iteration, self.share, self.queries if self.rescale else None)
            change = moves.propose(best, clean, share, generator)
            undo = change.make(best)
            new, fallen = oracle.score(best.reshape(-1, *shape), y, rows)
            better = (new > value) | fallen if self.active_set else new > value
            change.settle(best, undo, better)
            value = torch.maximum(value, new)
        return out.index_copy_(0, rows, best).reshape(x.shape)


def _moves(threat: ThreatModel, x: Tensor) -> Moves:
    layout = Layout.of(x)
    if isinstance(threat, LInf):
        return _SignMoves(threat, layout)
    if isinstance(threat, L2 | L1) and not layout.flat and min(layout.height, layout.width) >= 3:
        return WindowMoves(threat, layout)
    return _MemberMoves(threat, layout, x.shape[1:])


class _SignMoves:
    """L∞: vertical stripes of ±eps at first, then blocks of ±eps with one sign for each channel.

    Blocks and signs of equal size are drawn for many iterations at once, and both ends of every entry's interval are
    computed once, so that an iteration is one look-up.
    """

    def __init__(self, threat: LInf, layout: Layout) -> None:
        self.threat, self.layout = threat, layout
        self.side, self.left = 0, 0
        self.ends = self.blocks = self.moves = torch.empty(0)

    def start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        self.ends = torch.cat([self.threat.project(x + way * self.threat.eps, x) for way in (-1, 1)], dim=1)
        c, h, w = self.layout.channels, self.layout.height, self.layout.width
        stripes = signs((len(x), c, 1, w), x, generator).expand(-1, -1, h, -1).reshape(x.shape)
        return self.threat.project(x + self.threat.eps * stripes, x)

    def propose(self, best: Tensor, x: Tensor, share: float, generator: torch.Generator) -> Change:
        side = self.layout.extent(share)
        if self.left == 0 or side != self.side:
            self._draw(len(x), side, generator, x.device)
        self.left -= 1
        entries = self.blocks[self.left]
        return Change(entries, self.ends.gather(1, entries + self.moves[self.left]))

    def keep(self, rows: Tensor) -> None:
        self.ends = self.ends.index_select(0, rows)
        if self.left:
            self.blocks = self.blocks[: self.left].index_select(1, rows)
            self.moves = self.moves[: self.left].index_select(1, rows)

    def _draw(self, n: int, side: int, generator: torch.Generator, device: torch.device) -> None:
        """The entries `(k, n, e)` of the next k iterations, and what leads from them to the drawn end."""
        layout = self.layout
        k = max(1, _DRAWN // (n * layout.entries(side)))
        block = layout.places(k * n, side, generator=generator, device=device)
        upper = torch.randint(0, 2, (*block.shape[:2], 1), generator=generator, device=device) * layout.size
        self.side, self.left = side, k
        self.blocks = block.reshape(k, n, -1)
        self.moves = upper.expand(block.shape).reshape(k, n, -1)


@dataclass(frozen=True)
class _MemberMoves:
    """Any threat: blocks of random members, or blocks pushed by twice the radius, projected back."""

    threat: ThreatModel
    layout: Layout
    shape: torch.Size

    def keep(self, rows: Tensor) -> None: ...

    def start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return flat(self.threat.sample(x.reshape(-1, *self.shape), generator=generator))

    def propose(self, best: Tensor, x: Tensor, share: float, generator: torch.Generator) -> Change:
        clean, at = x.reshape(-1, *self.shape), best.reshape(-1, *self.shape)
        block = self.layout.blocks(len(x), share, generator=generator, device=x.device)
        entries = block.reshape(len(x), -1)
        member = flat(self.threat.sample(clean, generator=generator))
        exchanged = best.scatter(1, entries, member.gather(1, entries))
        sign = signs((*block.shape[:2], 1), x, generator).expand(block.shape).reshape(entries.shape)
        slope = torch.zeros_like(x).scatter(1, entries, sign).reshape(clean.shape)
        pushed = flat(at + 2 * self.threat.radius * self.threat.steepest(slope, at, clean))
        coin = torch.rand(len(x), 1, generator=generator, device=x.device) < 0.5
        return Change(None, flat(self.threat.project(torch.where(coin, exchanged, pushed).reshape(clean.shape), clean)))
