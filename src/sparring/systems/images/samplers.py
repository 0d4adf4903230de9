"""How tokens are drawn: the teacher in 1 to 64 steps (random, confidence or Halton order), the student in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparring.systems.images.dimo import Generator, guided
from sparring.systems.images.masks import drawn, ratio_at
from sparring.systems.images.transformer import Transformer

Order = Literal["random", "confidence", "halton"]


@dataclass(frozen=True)
class Sampler:
    """A teacher's sampler: how many steps, in which order positions are revealed, temperature and guidance.

    `random`: ancestral, every hidden position alike (the process that training assumes). `confidence`: the surest
    first, with Gumbel noise of scale `choice` that fades (Chang et al., MaskGIT, section 3.2). `halton`: along the
    two-dimensional Halton sequence, which spreads what is revealed together (Besnier et al., ICLR 2025, section 4).
    """

    steps: int = 16
    order: Order = "random"
    temperature: float = 1.0
    guidance: float = 1.0
    choice: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 64:
            raise ValueError(f"steps must be 1 to 64, got {self.steps}")
        if self.temperature < 0 or self.guidance < 0 or self.choice < 0:
            raise ValueError("temperature, guidance and choice are at least 0")


def sample(
    net: Transformer, prompts: Tensor, how: Sampler, grid: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Tokens `(n, L)` for prompts `(n, p)`, all hidden at first, none at the end."""
    n, length = len(prompts), net.shape.positions
    tokens = torch.full((n, length), net.mask, device=prompts.device)
    places = _places(how.order, n, grid, generator, prompts.device)
    for step, kept in enumerate(counts(min(how.steps, length), length)):
        logits = guided(net, tokens, prompts, how.guidance)
        hidden = tokens == net.mask
        made = torch.where(hidden, drawn(logits, generator, how.temperature), tokens)
        if how.order == "confidence":
            share = (step + 1) / how.steps
            noise = torch.empty(n, length, device=prompts.device).exponential_(generator=generator)
            sure = logits.log_softmax(2).gather(2, made.unsqueeze(2))[..., 0] - how.choice * (1 - share) * noise.log()
            places = sure.masked_fill(~hidden, math.inf).argsort(1, descending=True).argsort(1)
        tokens = torch.where(places < kept, made, net.mask)
    return tokens


def counts(steps: int, length: int) -> list[int]:
    """How many positions are known after each step, along the arccos schedule; at least one more each step."""
    out: list[int] = []
    for k in range(1, steps + 1):
        wanted = length - round(length * float(ratio_at(torch.tensor(k / steps))))
        out.append(min(max(wanted, (out[-1] if out else 0) + 1), length - (steps - k)))
    return out


def _places(order: Order, n: int, grid: tuple[int, int], generator: torch.Generator, device: torch.device) -> Tensor:
    # Rank `(n, L)` of every position in the order of revealing.
    if order == "halton":
        # Rolled by a random offset a picture, so that no position is always first.
        walk = torch.tensor(halton(grid), device=device)
        start = torch.randint(len(walk), (n, 1), generator=generator, device=device)
        return (walk.argsort()[None] + start) % len(walk)
    return torch.rand(n, grid[0] * grid[1], generator=generator, device=device).argsort(1).argsort(1)


def halton(grid: tuple[int, int]) -> list[int]:
    """All positions of the grid in the order in which the Halton sequence (bases 2 and 3) first visits them."""
    rows, columns = grid
    found: dict[int, None] = {}
    index = 1
    while len(found) < rows * columns:
        place = int(radical_inverse(index, 2) * rows) * columns + int(radical_inverse(index, 3) * columns)
        found.setdefault(place)
        index += 1
    return list(found)


def radical_inverse(index: int, base: int) -> float:
    """The digits of `index` in that base, mirrored behind the point: in [0, 1)."""
    value, unit = 0.0, 1.0 / base
    while index:
        index, digit = divmod(index, base)
        value, unit = value + digit * unit, unit / base
    return value


def one_step(student: Generator, prompts: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Tokens `(n, L)` of the student, in one pass and without guidance."""
    with torch.no_grad():
        logits = student(student.noise(len(prompts), generator), prompts)
    return drawn(logits, generator, temperature)


def spread_evenly(choices: Sequence[int], n: int) -> Tensor:
    """`n` numbers that go round `choices`: prompts in equal shares."""
    return torch.tensor(choices)[torch.arange(n) % len(choices)]
