"""What critic and generator descend: the losses of the adversarial game between two networks.

A critic maps samples `(n, *sample)` to unbounded scores `(n,)`, high for real. Every loss is a function of
scores alone, per sample; `CriticLoss.critic` takes the means.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from sparring.game import Game


class Critic(Protocol):
    """A module that scores samples: `(n, *sample)`, and conditions if it takes any, to `(n,)`; high means real."""

    def __call__(self, x: Tensor, *conditions: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CriticLoss:
    """The two sides of the game, as functions of scores `(n,)` that return `(n,)`.

    `real` and `fake` are what the critic pays for real and for generated samples; `generator` is what the
    generator pays for its samples.
    """

    name: str
    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's loss, a scalar, from the scores of real and of fake samples (their numbers may differ)."""
        return self.real(real).mean() + self.fake(fake).mean()


def _identity(score: Tensor) -> Tensor:
    return score


def _negative(score: Tensor) -> Tensor:
    return -score


def _softplus_negative(score: Tensor) -> Tensor:
    return F.softplus(-score)


def _below_one(score: Tensor) -> Tensor:
    return F.relu(1 - score)


def _above_minus_one(score: Tensor) -> Tensor:
    return F.relu(1 + score)


def _distance_to_one(score: Tensor) -> Tensor:
    return (score - 1).square()


HINGE = CriticLoss("hinge", _below_one, _above_minus_one, _negative)
"""max(0, 1 - D(x)) + max(0, 1 + D(G)); generator -D(G). Lim & Ye, "Geometric GAN", 2017."""

NON_SATURATING = CriticLoss("non-saturating", _softplus_negative, F.softplus, _softplus_negative)
"""Logistic: -log σ(D(x)) - log(1 - σ(D(G))); generator -log σ(D(G)). Goodfellow et al., NeurIPS 2014, section 3."""

WASSERSTEIN = CriticLoss("wasserstein", _negative, _identity, _negative)
"""D(G) - D(x); generator -D(G). Arjovsky et al., ICML 2017; needs a bound on the critic's slope, see `penalties`."""

LEAST_SQUARES = CriticLoss("least-squares", _distance_to_one, Tensor.square, _distance_to_one)
"""(D(x) - 1)² + D(G)²; generator (D(G) - 1)². Mao et al., "Least Squares GAN", ICCV 2017, equation 9, without its ½."""


@contextmanager
def held(module: nn.Module) -> Generator[None]:
    """The module's parameters as constants: gradients pass through to its inputs, none reaches its weights."""
    needs = {p: p.requires_grad for p in module.parameters()}
    try:
        for p in needs:
            p.requires_grad_(False)
        yield
    finally:
        for p, required in needs.items():
            p.requires_grad_(required)


def players(
    defender: Callable[[Iterable[nn.Parameter]], Optimizer], opponent: Callable[[Iterable[nn.Parameter]], Optimizer]
) -> Callable[[Game], dict[str, Optimizer]]:
    """`Task.optimizers` for a game of two modules, each with its own optimiser (and so its own learning rate).

    Example: `players(lambda p: Adam(p, 1e-4, betas=(0.5, 0.9)), lambda p: Adam(p, 4e-4, betas=(0.5, 0.9)))`.
    """

    def optimizers(game: Game) -> dict[str, Optimizer]:
        return {
            "defender": defender(p for p in game.defender.parameters() if p.requires_grad),
            "opponent": opponent(p for p in game.adversary.parameters() if p.requires_grad),
        }

    return optimizers
