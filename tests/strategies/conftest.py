from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks.pgd import PGD
from sparring.game import Batch, Game
from sparring.objectives import cross_entropy
from sparring.threats.lp import LInf


@dataclass(frozen=True)
class Duel:
    """A game, a batch and a state to play one step with."""

    game: Game
    batch: Batch
    state: Any

    @property
    def model(self) -> nn.Module:
        return self.game.defender

    def weights(self) -> dict[str, Tensor]:
        return {n: v.clone() for n, v in self.model.state_dict().items()}


@pytest.fixture
def duel(plain_state: Callable[..., Any]) -> Callable[..., Duel]:
    """Make a small game, always the same: `duel(adversary=..., classes=..., eps=..., lr=...)`."""

    def make(
        adversary: Any = None, *, classes: int = 3, eps: float = 0.1, lr: float = 0.1, model: nn.Module | None = None
    ) -> Duel:
        g = torch.Generator().manual_seed(0)
        x, y = torch.rand(24, 5, generator=g), torch.arange(24) % max(classes, 2)
        if model is None:
            model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, classes))
            with torch.no_grad():
                for p in model.parameters():
                    p.copy_(torch.randn(p.shape, generator=g) * 0.5)
        game = Game(model, adversary or PGD(steps=4), cross_entropy, LInf(eps, 0, 1))
        state = plain_state(game, lambda g: {"defender": torch.optim.SGD(g.defender.parameters(), lr)})
        return Duel(game, (x, y), state)

    return make
