"""Rewards that reach the student through the decoder, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.systems.images.dimo import Generator
from sparring.systems.images.samplers import one_step
from sparring.systems.images.tokenizer import Tokenizer

Reward = Callable[[Tensor, Tensor], Tensor]
"""`(pictures in [-1, 1], prompts) -> (n,)`, differentiable in the pictures; more is better."""


@dataclass(frozen=True)
class LogLikelihood:
    """A reward from a classifier with logits `(n, p, words)` (or `(n, words)` for prompts of one word): the mean
    log probability of the prompt's words; padding counts for nothing."""

    judge: nn.Module

    def __call__(self, x: Tensor, prompts: Tensor) -> Tensor:
        logits = self.judge(x)
        logits = logits.unsqueeze(1) if logits.ndim == 2 else logits
        each = -F.cross_entropy(logits.flatten(0, 1), prompts.flatten(), reduction="none").reshape(prompts.shape)
        real = (prompts > 0).to(each.dtype)
        return (each * real).sum(1) / real.sum(1).clamp_min(1)


def hard_reward(reward: Reward, tokenizer: Tokenizer, tokens: Tensor, prompts: Tensor) -> Tensor:
    """The reward `(n,)` of the decoded pictures of tokens, without gradient: what counts in the end."""
    with torch.no_grad():
        return reward(tokenizer.decode(tokens), prompts)


def best_of(
    student: Generator, tokenizer: Tokenizer, reward: Reward, prompts: Tensor, count: int, generator: torch.Generator,
    *, temperature: float = 1.0,
) -> Tensor:  # fmt: skip
    """For each prompt the tokens `(n, L)` of the best of `count` draws, by the reward: the baseline of every tuning."""
    best = one_step(student, prompts, temperature, generator)
    score = hard_reward(reward, tokenizer, best, prompts)
    for _ in range(count - 1):
        tokens = one_step(student, prompts, temperature, generator)
        other = hard_reward(reward, tokenizer, tokens, prompts)
        best = torch.where((other > score).unsqueeze(1), tokens, best)
        score = torch.maximum(score, other)
    return best
