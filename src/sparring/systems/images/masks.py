"""The corruption of masked diffusion and its draws: schedule, masks, categorical samples, the mixed initial state."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparring.systems.images.transformer import Transformer


def ratio_at(u: Tensor) -> Tensor:
    """The mask ratio of MaskGIT's arccos schedule, arccos(u) / (π/2), at u in [0, 1]: 1 at u = 0, 0 at u = 1."""
    return torch.arccos(u.clamp(0, 1)) / (math.pi / 2)


def some(counts: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Truth values `(n, length)` with exactly `counts[i]` of row i true, at random places."""
    noise = torch.rand(len(counts), length, generator=generator, device=counts.device)
    return noise.argsort(1).argsort(1) < counts[:, None]


def masked(tokens: Tensor, mask: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens `(n, L)` of which round(r L), at least one, are hidden, and where; r by the arccos schedule, u ~ U[0, 1].

    Di[M]O, section 3; the same for the teacher's training and for both of the student's losses.
    """
    n, length = tokens.shape
    r = ratio_at(torch.rand(n, generator=generator, device=tokens.device))
    hidden = some((r * length).round().long().clamp_min(1), length, generator)
    return tokens.masked_fill(hidden, mask), hidden


def drawn(logits: Tensor, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
    """Samples `(...)` of the categorical law softmax(logits / temperature) `(..., codes)`; 0: the likeliest code."""
    if temperature == 0:
        return logits.argmax(-1)
    # argmax p_j / E_j with E_j ~ Exp(1) is the exponential race: cheaper than `multinomial`, and exact.
    race = torch.empty_like(logits).exponential_(generator=generator)
    return (logits / temperature - race.log()).argmax(-1)


def initial(net: Transformer, n: int, generator: torch.Generator, *, share: float = 0.6, sigma: float = 0.1) -> Tensor:
    """The student's noise: embeddings `(n, L, width)` of a mixed state (Di[M]O, section 3.3).

    An exact `share` (r_init) of positions is masked, the rest holds uniform random codes, and Gaussian noise of
    standard deviation `sigma` is mixed in preserving the variance: √(1 - σ²) e + σ ε.
    """
    length, device = net.shape.positions, net.codes.weight.device
    tokens = torch.randint(net.shape.codes, (n, length), generator=generator, device=device)
    counts = torch.full((n,), round(share * length), device=device)
    e = net.embed(tokens.masked_fill(some(counts, length, generator), net.mask))
    return math.sqrt(1 - sigma**2) * e + sigma * torch.randn(e.shape, generator=generator, device=device)
