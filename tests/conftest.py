from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from sparring.game import Game


class PlainState:
    """The `State` protocol in its smallest form: one process, no checkpoints."""

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer], total_steps: int, seed: int) -> None:
        self.optimizers, self.total_steps, self.seed = optimizers, total_steps, seed
        self.step = 0
        self.memory: dict[str, Tensor] = {}
        self.generators: dict[str, torch.Generator] = {}
        self.descents: list[str] = []

    def generator(self, name: str) -> torch.Generator:
        if name not in self.generators:
            self.generators[name] = torch.Generator().manual_seed(self.seed + sum(name.encode()))
        return self.generators[name]

    def unwrap(self, module: nn.Module) -> nn.Module:
        return module

    def descend(self, loss: Tensor, player: str = "defender", *, terms: Mapping[str, Tensor] | None = None) -> None:
        if not bool(torch.isfinite(loss)):
            raise AssertionError(f"non-finite loss: { {k: float(v) for k, v in (terms or {}).items()} }")
        self.optimizers[player].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[player].step()
        self.descents.append(player)


Optimizers = Callable[[Game], Mapping[str, torch.optim.Optimizer]]


@pytest.fixture
def plain_state() -> Callable[..., PlainState]:
    """Make a state: `plain_state(game, optimizers, total_steps=..., seed=...)`."""

    def make(game: Game, optimizers: Optimizers, *, total_steps: int = 100, seed: int = 0) -> PlainState:
        return PlainState(optimizers(game), total_steps, seed)

    return make
