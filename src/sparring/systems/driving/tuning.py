"""Hardening without gradients: a planner's numbers moved by the cross-entropy method inside the same game."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.game import Batch, Game, State, StepResult
from sparring.systems.driving.episodes import play
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.scenes import Scenes


@dataclass(frozen=True, kw_only=True)
class Tune:
    """One generation a step: `population` settings play the same attacked scenes, the mean moves to the `elite`.

    What is raised is the mean return over the batch, in which the adversary plays its share: the game's own payoff.
    """

    scenes: Scenes
    population: int = 10
    elite: int = 3
    spread: float = 0.18
    rate: float = 0.5

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        planner = state.unwrap(game.defender)
        assert isinstance(planner, Planner)
        rows, moves = batch
        path = self.scenes.moves[rows, moves.clamp_min(0)]
        centre = planner.place.clone()
        spread = state.memory.setdefault("tune.spread", torch.full_like(centre, self.spread))
        noise = torch.randn(self.population, len(centre), generator=state.generator("population"))
        tried = (centre + spread * noise).clamp(0, 1)
        tried[0] = centre
        worth = torch.stack([self._worth(planner, place, rows, path) for place in tried])
        top = worth.argsort(descending=True)[: self.elite]
        planner.place.copy_(centre + self.rate * (tried[top].mean(0) - centre))
        fresh = tried[top].std(0).clamp_min(0.04)
        state.memory["tune.spread"] = (1 - self.rate) * spread + self.rate * fresh
        return StepResult(-worth.max(), {"return": float(worth[0]), "best": float(worth.max())})

    def _worth(self, planner: Planner, place: Tensor, rows: Tensor, path: Tensor) -> Tensor:
        planner.place.copy_(place)
        return play(planner, self.scenes, rows, path).ret.mean()
