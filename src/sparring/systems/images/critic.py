"""The critic: light heads on the frozen teacher's layers, which learn to tell real token grids from generated ones.

Both sides are shown with the same random share of positions masked, and the heads are told that share: without it the
critic learns the training pictures by heart (Zhu et al., arXiv 2509.22925, section 3.2 and the ablation of mask
ranges). Which layers carry heads and how the heads look is not published: here every layer has one a token and one
on the mean over tokens.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.systems.images.masks import some
from sparring.systems.images.transformer import Transformer


class Head(nn.Module):
    """Features `(n, L, width)` and conditions `(n, hidden)` to a score `(n,)`: of tokens and of their mean."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.token = nn.Linear(width, hidden)
        self.whole = nn.Linear(width, hidden)
        self.of_token = nn.Linear(hidden, 1)
        self.of_whole = nn.Linear(hidden, 1)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        h = self.norm(h)
        token = self.of_token(F.gelu(self.token(h) + condition.unsqueeze(1))).mean((1, 2))
        return token + self.of_whole(F.gelu(self.whole(h.mean(1)) + condition))[:, 0]


class Critic(nn.Module):
    """Embeddings `(n, L, width)`, prompts `(n, p)` and mask ratios `(n,)` to scores `(n,)`, high for real.

    The teacher below the heads is frozen: gradients pass through it to the embeddings, none reaches its weights.
    """

    def __init__(self, teacher: Transformer, *, hidden: int = 64) -> None:
        super().__init__()
        shape = teacher.shape
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.heads = nn.ModuleList([Head(shape.width, hidden) for _ in range(shape.layers)])
        self.words = nn.Embedding(shape.words, hidden)
        self.ratio = nn.Linear(2, hidden)

    def forward(self, e: Tensor, prompts: Tensor, ratio: Tensor) -> Tensor:
        condition = self.words(prompts).mean(1) + self.ratio(torch.stack([ratio, ratio * ratio], 1))
        scores = [head(h, condition) for head, h in zip(self.heads, self.teacher.hidden(e, prompts), strict=True)]
        return torch.stack(cast(list[Tensor], scores)).mean(0)


class Opposition(nn.Module):
    """Both opponents of the refined student in one module: without a ratio the auxiliary model answers, with one the
    critic."""

    def __init__(self, auxiliary: Transformer, critic: Critic) -> None:
        super().__init__()
        self.auxiliary, self.critic = auxiliary, critic

    def forward(self, x: Tensor, prompts: Tensor, ratio: Tensor | None = None) -> Tensor:
        return self.auxiliary(x, prompts) if ratio is None else self.critic(x, prompts, ratio)


@dataclass(frozen=True)
class Remask:
    """What the critic gets to see: embeddings with a share r ~ U[low, high] of positions replaced by the mask's."""

    mask: Tensor
    """The mask's embedding, `(width,)`."""
    low: float = 0.0
    high: float = 0.95

    def __call__(self, real: Tensor, fake: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Real and fake with the same positions masked, and the ratios `(n,)`."""
        n, length, _ = real.shape
        ratio = self.low + (self.high - self.low) * torch.rand(n, generator=generator, device=real.device)
        hidden = some((ratio * length).round().long().clamp_max(length - 1), length, generator).unsqueeze(2)
        return torch.where(hidden, self.mask, real), torch.where(hidden, self.mask, fake), ratio
