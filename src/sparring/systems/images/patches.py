"""The quick tokenizer: pictures are cut into square patches, and k-means makes the codebook. Seconds, no training.

On pictures of 16 x 16 it keeps more of small shapes than a convolutional VQ of minutes: each code is a patch as it
was seen. Its decoder is linear, so that a soft mixture of codes is a mixture of pictures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.images.tokenizer import Tokenizer, floats

MOST = 20_000
"""Patches that k-means looks at, for each of the codes' 256."""
ROUNDS = 15


class Patches(Tokenizer):
    """Codes are patches of `factor` x `factor` pixels, `codebook` `(codes, c * factor * factor)` in [-1, 1]."""

    def __init__(self, shape: tuple[int, int, int], factor: int, codebook: Tensor) -> None:
        _, height, width = shape
        if height % factor or width % factor:
            raise BadInput(f"pictures of {height} x {width}: both must be multiples of tokens.factor = {factor}")
        super().__init__(shape, (height // factor, width // factor))
        self.factor = factor
        self.register_buffer("codebook", codebook.float())

    @property
    def plan(self) -> dict[str, Any]:
        return {
            "kind": "patches", "shape": list(self.shape), "factor": self.factor, "codes": len(self.codebook),
        }  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        return nearest(cut(x, self.factor), self.codebook)

    def decode_embeddings(self, e: Tensor) -> Tensor:
        (rows, columns), f = self.grid, self.factor
        parts = e.reshape(len(e), rows, columns, self.shape[0], f, f)
        return parts.permute(0, 3, 1, 4, 2, 5).reshape(len(e), *self.shape)


def cut(x: Tensor, factor: int) -> Tensor:
    """Patches `(n, L, c * factor * factor)` of pictures `(n, c, h, w)`, row by row."""
    n, channels, height, width = x.shape
    parts = x.reshape(n, channels, height // factor, factor, width // factor, factor)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(n, (height // factor) * (width // factor), -1)


def nearest(x: Tensor, codebook: Tensor) -> Tensor:
    """The place `(...)` of the nearest code for vectors `(..., size)`."""
    # |x - c|² = |x|² - 2 x c + |c|²: the first term is the same for every code.
    return (x @ codebook.T - 0.5 * codebook.square().sum(1)).argmax(-1)


def fitted(images: Tensor, codes: int, factor: int, generator: torch.Generator) -> Patches:
    """k-means with k-means++ seeding (Arthur & Vassilvitskii, 2007) on patches of pictures `(n, c, h, w)` uint8.

    Codes that lose all their patches stay where they were. Raises `BadInput` where there are fewer patches than codes.
    """
    channels, height, width = images.shape[1:]
    empty = Patches((channels, height, width), factor, torch.zeros(codes, channels * factor * factor))
    most = MOST * max(codes // 256, 1)
    rows = torch.randperm(len(images), generator=generator)[: -(-most // empty.positions)]
    x = cut(floats(images[rows]), factor).flatten(0, 1)
    x = x[torch.randperm(len(x), generator=generator)]
    if len(x) < codes:
        raise BadInput(f"{len(x)} patches for {codes} codes; give more pictures or set tokens.codes lower")
    centres = _seeded(x, codes, generator)
    for _ in range(ROUNDS):
        label = nearest(x, centres)
        count = torch.bincount(label, minlength=codes).float().unsqueeze(1)
        total = torch.zeros_like(centres).index_add_(0, label, x)
        centres = torch.where(count > 0, total / count.clamp_min(1), centres)
    return Patches((channels, height, width), factor, centres)


def _seeded(x: Tensor, codes: int, generator: torch.Generator) -> Tensor:
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    far = (x - x[chosen[0]]).square().sum(1)
    for _ in range(codes - 1):
        # Where every patch is a code already, any will do.
        weights = far if bool(far.any()) else torch.ones_like(far)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        far = torch.minimum(far, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen].clone()
