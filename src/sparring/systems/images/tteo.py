"""Test-time embedding optimisation: gradient ascent of a reward on the noise that one picture starts from.

Weights stay as they are; the student's input embeddings move (Zhu et al., arXiv 2509.22925, section 3.3). With a large
step this attacks the reward instead of improving the picture: a held-out judge and best-of-n belong beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.images.dimo import Generator
from sparring.systems.images.masks import drawn
from sparring.systems.images.reward import Reward, hard_reward
from sparring.systems.images.tokenizer import Tokenizer
from sparring.typed import norm


@dataclass(frozen=True)
class Ascent:
    """Plain gradient steps of size `rate`; `radius` bounds how far each position's embedding may move (None: freely).

    The iterate whose hard picture has the best reward is kept, the start among them.
    """

    steps: int = 2
    rate: float = 2.0
    radius: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 0 or self.rate <= 0 or (self.radius is not None and self.radius < 0):
            raise ValueError("steps and radius are at least 0, rate is above 0")


def optimised(
    student: Generator, tokenizer: Tokenizer, reward: Reward, prompts: Tensor, how: Ascent, generator: torch.Generator
) -> Tensor:
    """The best tokens `(n, L)` on each picture's way; the likeliest code is taken at every position."""
    start = student.noise(len(prompts), generator).detach()
    e = start.clone()
    best = torch.empty(0, dtype=torch.long)
    score = torch.empty(0)
    for step in range(how.steps + 1):
        e.requires_grad_(True)
        logits = student(e, prompts)
        tokens = drawn(logits.detach(), generator, 0)
        found = hard_reward(reward, tokenizer, tokens, prompts)
        better = found > score if step else torch.ones_like(found, dtype=torch.bool)
        best = torch.where(better.unsqueeze(1), tokens, best) if step else tokens
        score = torch.where(better, found, score) if step else found
        if step < how.steps:
            worth = reward(tokenizer.soft(logits.softmax(-1)), prompts).sum()
            (gradient,) = torch.autograd.grad(worth, e)
            e = _bounded(e.detach() + how.rate * gradient, start, how.radius)
    return best


def _bounded(e: Tensor, start: Tensor, radius: float | None) -> Tensor:
    if radius is None:
        return e
    moved = e - start
    return start + moved * (radius / norm(moved, dim=2, keepdim=True).clamp_min(1e-12)).clamp_max(1.0)
