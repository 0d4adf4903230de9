"""Plain training: no adversary."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparring.game import Batch, Game, State
from sparring.strategies.base import InnerMax


@dataclass(frozen=True, kw_only=True)
class Standard(InnerMax):
    """The mean payoff on the inputs as they are."""

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        return batch[0]

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        return {"payoff": game.payoff(game.defender(x_adv), batch[1]).mean()}
