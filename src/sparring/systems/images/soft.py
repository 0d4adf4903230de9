"""Soft embeddings: the student's samples made differentiable (Zhu et al., arXiv 2509.22925, section 3).

Where a network reads tokens, it is given the mixture Σ_j p_j E_j of its own embeddings instead, p the student's
probabilities. Gumbel straight-through draws (Jang et al., ICLR 2017) stand behind the same switch, for comparison.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.systems.images.config import Relaxation


def relaxed(
    logits: Tensor, generator: torch.Generator, *, relaxation: Relaxation = "soft", temperature: float = 1.0
) -> Tensor:
    """Code probabilities `(n, L, codes)` that carry gradient to the logits.

    soft: softmax(z / τ). gumbel: a one-hot draw, whose gradient is that of softmax((z + Gumbel noise) / τ).
    """
    if relaxation == "soft":
        return F.softmax(logits / temperature, -1)
    noise = -torch.empty_like(logits).exponential_(generator=generator).log()
    p = F.softmax((logits + noise) / temperature, -1)
    hard = F.one_hot(p.argmax(-1), p.shape[-1]).to(p.dtype)
    return hard - p.detach() + p


def sharpness(logits: Tensor) -> float:
    """Mean probability of the likeliest code, in (0, 1]: how near soft embeddings are to those of real tokens."""
    return float(F.softmax(logits.detach(), -1).amax(-1).mean())
