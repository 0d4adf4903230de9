"""Adversarial training on the worst inputs the attack finds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparring.game import Batch, Game, State
from sparring.strategies.base import InnerMax, attacked


@dataclass(frozen=True, kw_only=True)
class PGDAT(InnerMax):
    """The mean payoff on attacked inputs (Madry et al., "Towards Deep Learning Models Resistant ...", ICLR 2018, 2.1).

    The attack is the game's adversary, on the game's payoff. `clean` in [0, 1) is the weight of the payoff on the
    clean inputs, as in Goodfellow et al., ICLR 2015, section 6 (there 0.5); the paper's own value is 0.
    """

    clean: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.clean < 1:
            raise ValueError(f"clean must be in [0, 1), got {self.clean}")

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        return attacked(game, batch, state)

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        x, y = batch
        adversarial = game.payoff(game.defender(x_adv), y).mean()
        if self.clean == 0:
            return {"adversarial": adversarial}
        clean = game.payoff(game.defender(x), y).mean()
        return {"adversarial": (1 - self.clean) * adversarial, "clean": self.clean * clean}
