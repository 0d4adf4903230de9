"""The moves of the Square attack in L2 and L1: budget flows from one window of the plane to another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.blocks import Change, Layout, signs
from sparring.threats.base import wide
from sparring.threats.lp import L1, L2
from sparring.typed import norm

_TINY = 1e-12


def peak(height: int, width: int) -> Tensor:
    """A pattern that rises towards its middle in rectangular rings: Σ_{k=0..M} 1/(n + 1 - k)², `(height, width)`.

    n is half of the height and M grows by one from ring to ring (Andriushchenko et al. 2020, equation 2).
    """
    n = height // 2
    down, across = (torch.arange(height) - n).abs(), (torch.arange(width) - width // 2).abs()
    ring = torch.maximum(down.view(-1, 1), across.view(1, -1))  # 0 in the middle
    depth = max(n, width // 2)
    steps = torch.arange(depth + 1)
    gains = torch.where(steps.view(1, 1, -1) >= ring.unsqueeze(2), 1.0 / (steps + 1.0).square(), 0.0)
    return gains.sum(2)


def double_peak(side: int) -> Tensor:
    """A square of a positive and a negative peak, one above the other: `(side, side)`."""
    half = side // 2
    return torch.cat([peak(half, side), -peak(side - half, side)], dim=0) if half else peak(side, side)


@dataclass(frozen=True)
class WindowMoves:
    """Square attack in L2 (algorithm 3) and L1, on planes of 3 × 3 or more.

    A move empties one window and gives its budget, with what is unused, to another one, whose change becomes
    the mean direction of its old change and a fresh double peak of random sign.
    """

    threat: L2 | L1
    layout: Layout

    def keep(self, rows: Tensor) -> None: ...

    def _norm(self, delta: Tensor) -> Tensor:
        """The threat's norm over the last dimension, kept."""
        if isinstance(self.threat, L2):
            return norm(delta, dim=-1, keepdim=True)
        return delta.abs().sum(-1, keepdim=True)

    def _full(self, delta: Tensor, x: Tensor) -> Tensor:
        # Cutting to the range only shortens the change, since x itself is in range.
        scaled = delta * (self.threat.eps / self._norm(delta).clamp_min(_TINY))
        return (wide(x) + scaled).clamp(self.threat.low, self.threat.high).to(x.dtype)

    def start(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Tiles of double peaks of random sign, five to a side, scaled to the whole budget."""
        c, h, w = self.layout.channels, self.layout.height, self.layout.width
        side = max(min(h, w) // 5, 1)
        down, across = h // side, w // side
        tile = double_peak(side).to(wide(x)).repeat(down, across)
        sign = signs((len(x), c, down, across), tile, generator)
        sign = sign.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
        delta = tile.new_zeros(len(x), c, h, w)
        top, left = (h - down * side) // 2, (w - across * side) // 2
        delta[:, :, top : top + down * side, left : left + across * side] = tile * sign
        return self._full(delta.reshape(x.shape), x)

    def propose(self, best: Tensor, x: Tensor, share: float, generator: torch.Generator) -> Change:
        n, c = len(x), self.layout.channels
        side = max(self.layout.side(share), 3)
        side = min(side + (side + 1) % 2, self.layout.height, self.layout.width)
        to = self.layout.squares(n, side, generator=generator, device=x.device)
        source = self.layout.squares(n, side, generator=generator, device=x.device)
        delta = wide(best) - wide(x)
        emptied = delta.scatter(1, source.reshape(n, -1), 0.0).scatter(1, to.reshape(n, -1), 0.0)
        power = 2 if isinstance(self.threat, L2) else 1
        held = self._norm((delta - emptied).reshape(n, c, -1)).pow(power)
        unused = (self.threat.eps**power - self._norm(delta).pow(power)).clamp_min(0).unsqueeze(1)
        budget = (held + unused / c).pow(1 / power)
        old = delta.gather(1, to.reshape(n, -1)).reshape(to.shape)
        fresh = self._pattern(n, side, delta, generator) * signs((n, c, 1), delta, generator)
        mixed = fresh / self._norm(fresh).clamp_min(_TINY) + old / self._norm(old).clamp_min(_TINY)
        filled = mixed * (budget / self._norm(mixed).clamp_min(_TINY))
        return Change(None, self._full(emptied.scatter(1, to.reshape(n, -1), filled.reshape(n, -1)), x))

    def _pattern(self, n: int, side: int, like: Tensor, generator: torch.Generator) -> Tensor:
        upright = double_peak(side).to(like)
        turned = torch.rand(n, 1, 1, generator=generator, device=like.device) < 0.5
        return torch.where(turned, upright.T.reshape(1, 1, -1), upright.reshape(1, 1, -1))
