"""The shared shape of inner maximisation: perturb the batch, then descend the loss on what came out.

Batch norm follows the papers' code: the attack runs on the bare module in evaluation mode (running statistics,
untouched), the training forwards run in training mode on the batch they are given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, frozen
from sparring.game import Batch, Game, State, StepResult, Strategy
from sparring.threats.base import ThreatModel


@dataclass(frozen=True, kw_only=True)
class InnerMax(ABC):
    """A strategy made of `perturb` (the adversary's turn) and `loss` (the defender's)."""

    @abstractmethod
    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        """The batch's inputs after the adversary's turn, `(n, *sample)`, without gradient."""

    @abstractmethod
    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        """Named scalar terms; their sum is what the defender descends. All forwards go through `game.defender`."""

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        return descend(self.loss(game, batch, self.perturb(game, batch, state)), state)


def descend(terms: dict[str, Tensor], state: State) -> StepResult:
    """The defender's descent of the sum of the terms, which are reported by name when there are several."""
    loss = torch.stack(list(terms.values())).sum()
    state.descend(loss, terms=terms)
    figures = {name: float(term.detach()) for name, term in terms.items()} if len(terms) > 1 else {}
    return StepResult(loss.detach(), figures)


def defender_of(strategy: Strategy, game: Game, state: State) -> nn.Module:
    """The defender a strategy hands over: its own (`strategy.defender`, e.g. averaged weights), that of the
    strategy it wraps (`strategy.inner`), or the trained module itself."""
    own: Callable[[Game, State], nn.Module] | None = getattr(strategy, "defender", None)
    if own is not None:
        return own(game, state)
    inner: Any = getattr(strategy, "inner", None)
    return state.unwrap(game.defender) if inner is None else defender_of(inner, game, state)


def rules(game: Game) -> tuple[Attack, ThreatModel]:
    """The attack, set to take every step on every sample, and the threat. Raises TypeError where one is missing."""
    if not isinstance(game.adversary, Attack):
        raise TypeError(f"inner maximisation needs an attack as the adversary, not {type(game.adversary).__name__}")
    return replace(game.adversary, active_set=False), threat_of(game)


def threat_of(game: Game) -> ThreatModel:
    """The game's threat; TypeError where there is none."""
    if game.threat is None:
        raise TypeError("inner maximisation needs a threat model: what may the adversary do to an input?")
    return game.threat


def predictions(model: nn.Module, x: Tensor) -> Tensor:
    """The model's outputs in evaluation mode, without gradient: what an inner problem moves away from."""
    with frozen(model), torch.no_grad():
        return model(x)


def attacked(game: Game, batch: Batch, state: State) -> Tensor:
    """The inputs after the game's own attack on the game's own payoff."""
    attack, threat = rules(game)
    model = state.unwrap(game.defender)
    return attack.perturb(model, batch, threat, objective=game.payoff, generator=state.generator("attack"))
