"""The vocabulary: a game between a defender and an adversary, and the strategy that plays it.

    min over θ   E_data [  max over a in Threat(x)   payoff(θ, a; batch)  ]

Defender, adversary, payoff and threat are four values; a strategy turns them into training steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sparring.objectives import Objective
from sparring.threats.base import ThreatModel

Batch = tuple[Tensor, Tensor]
"""Inputs `(n, *sample)` and targets `(n, ...)`."""


@dataclass(frozen=True)
class Game:
    """Who plays whom, for what, and within which rules.

    `adversary` is an attack (perturb), an opponent module (oppose) or a proposer (propose).
    `payoff(outputs, target) -> (n,)` is what the adversary raises and the defender lowers.
    `threat` is None where the adversary is bound by its function class alone (critics).
    """

    defender: nn.Module
    adversary: Any
    payoff: Objective
    threat: ThreatModel | None = None


@dataclass(frozen=True)
class StepResult:
    """What one step of a strategy reports: the loss it descended and named figures to log."""

    loss: Tensor
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


class State(Protocol):
    """What a strategy may use of the training state; `engine/state.py` implements it."""

    step: int
    """Steps taken so far, over all epochs."""
    total_steps: int
    """Steps the whole training will take, for schedules."""
    memory: dict[str, Tensor]
    """Tensors a strategy keeps between steps (EMA weights, Free AT's perturbation); checkpointed."""

    def generator(self, name: str) -> torch.Generator:
        """The named random stream, e.g. "attack"; checkpointed."""
        ...

    def unwrap(self, module: nn.Module) -> nn.Module:
        """The bare module below the distributed wrapper: attacks always run on this one."""
        ...

    def descend(self, loss: Tensor, player: str = "defender", *, terms: Mapping[str, Tensor] | None = None) -> None:
        """One optimiser step of `player` on a scalar loss; a non-finite loss or gradient stops the run by name.

        `terms` are the loss's named parts: when the loss is not finite, the error names the part that broke.
        """
        ...


class Strategy(Protocol):
    """One step of the game, updates included (through `state.descend`)."""

    def step(self, game: Game, batch: Batch, state: State) -> StepResult: ...


@dataclass(frozen=True)
class Task:
    """All that the training loop needs: a game, how it is played, on what, and how it is judged.

    `data(generator)` yields the batches of one epoch; all its randomness comes from the generator.
    `optimizers(game)` makes one optimiser per player name ("defender", "opponent", ...).
    `validate(defender) -> figures` runs after each epoch on held-out *training* data; the epoch with
    the highest `select` figure is kept (the last one where `select` is None).
    `schedulers(optimizers, total_steps)` are stepped after every batch. `clip` bounds the norm of a player's
    gradient in each descent. With `patience` the training stops early once that many epochs in a row brought no
    better `select` figure (robust early stopping where that is a robust score: Rice, Wong & Kolter, ICML 2020).
    """

    game: Game
    strategy: Strategy
    data: Callable[[torch.Generator], Iterable[Batch]]
    batches: int
    epochs: int
    optimizers: Callable[[Game], Mapping[str, torch.optim.Optimizer]]
    schedulers: Callable[[Mapping[str, torch.optim.Optimizer], int], Iterable[Any]] | None = None
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    select: str | None = None
    clip: float | None = None
    patience: int | None = None
