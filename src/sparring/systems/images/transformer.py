"""The network that teacher, student and auxiliary model share: a small bidirectional transformer over tokens.

It reads image tokens, or embeddings in their place (noisy for the one-step student, soft for the critic), after the
words of the prompt, and gives logits over the codes at every image position. Mask ratio or step enter nowhere: the
masked positions tell them (Chang et al., "MaskGIT", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.typed import forked_rng

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Shape:
    """What a transformer is made for: codes, image positions, known words, words a prompt, and its own size."""

    codes: int
    positions: int
    words: int
    prompt: int
    width: int = 96
    layers: int = 4
    heads: int = 4

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if min(self.codes, self.positions, self.words, self.prompt, self.layers) < 1:
            raise ValueError(f"every size must be at least 1: {self}")


class Block(nn.Module):
    """Attention over all positions, then a perceptron; layer norms before each (pre-norm)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, h: Tensor) -> Tensor:
        n, length, width = h.shape
        parts = self.mix(self.before(h)).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        h = h + self.out(seen)
        return h + self.narrow(F.gelu(self.wide(self.between(h))))


class Transformer(nn.Module):
    """Tokens `(n, L)` long, `mask` among them, or their embeddings `(n, L, width)`, to logits `(n, L, codes)`.

    Prompts are word ids `(n, p)`, 0 for "no condition". The embedding table has codes + 1 rows, the mask's last.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.codes = nn.Embedding(shape.codes + 1, shape.width)
        self.words = nn.Embedding(shape.words, shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(shape.prompt + shape.positions, shape.width))
        self.blocks = nn.ModuleList([Block(shape.width, shape.heads) for _ in range(shape.layers)])
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.codes)
        for table in (self.codes, self.words):
            nn.init.normal_(table.weight, std=0.5)

    @property
    def mask(self) -> int:
        """The token that stands for "not known yet"."""
        return self.shape.codes

    def embed(self, tokens: Tensor) -> Tensor:
        """Token embeddings `(n, L, width)`, without place."""
        return self.codes(tokens)

    def soft(self, p: Tensor) -> Tensor:
        """The soft embeddings `(n, L, width)` of code probabilities `(n, L, codes)`: Σ_j p_j E_j."""
        return p @ self.codes.weight[: self.shape.codes]

    def hidden(self, x: Tensor, prompts: Tensor) -> list[Tensor]:
        """What every block leaves at the image positions, each `(n, L, width)`."""
        e = x if x.is_floating_point() else self.embed(x)
        h = torch.cat([self.words(prompts), e], 1) + self.places
        out: list[Tensor] = []
        for block in self.blocks:
            h = cast(Tensor, block(h))
            out.append(h[:, prompts.shape[1] :])
        return out

    def forward(self, x: Tensor, prompts: Tensor) -> Tensor:
        """Logits at every image position."""
        return self.head(self.norm(self.hidden(x, prompts)[-1]))


def seeded(make: Callable[[], M], seed: int) -> M:
    """A module whose initial weights come from `seed` alone; the global random state is left as it was."""
    with forked_rng([]):
        torch.default_generator.manual_seed(seed)
        return make()
