"""Free adversarial training: one backward pass serves the weights and the perturbation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.game import Batch, Game, State, StepResult
from sparring.strategies.base import threat_of

_DELTA = "free.delta"


@dataclass(frozen=True, kw_only=True)
class Free:
    """Shafahi et al., "Adversarial Training for Free!", NeurIPS 2019, algorithm 1.

    Each batch is replayed `m` times; every replay moves the weights and, with the same gradient, the perturbation,
    by `step_size` times the threat's radius. The perturbation is carried from batch to batch by its place in the
    batch. The paper divides the epochs by m. The game's adversary is not used: the replays are the attack. Both
    gradients come from one pass in training mode.
    """

    m: int = 8
    step_size: float = 1.0

    def __post_init__(self) -> None:
        if self.m < 1:
            raise ValueError(f"m must be at least 1, got {self.m}")

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        (x, y), threat = batch, threat_of(game)
        x_adv = threat.project(x + self._carried(x, state), x)
        losses: list[Tensor] = []
        for _ in range(self.m):
            x_adv = x_adv.detach().requires_grad_(True)
            loss = game.payoff(game.defender(x_adv), y).mean()
            state.descend(loss, terms={"adversarial": loss})
            if x_adv.grad is None:
                raise TypeError("the defender passes no gradient to its input: Free needs one")
            with torch.no_grad():
                move = self.step_size * threat.radius * threat.steepest(x_adv.grad, x_adv, x)
                x_adv = threat.project(x_adv + move, x)
            losses.append(loss.detach())
        self._carry(x_adv - x, state)
        return StepResult(
            torch.stack(losses).mean(), {"first_replay": float(losses[0]), "last_replay": float(losses[-1])}
        )

    def _carried(self, x: Tensor, state: State) -> Tensor:
        delta = state.memory.get(_DELTA)
        out = torch.zeros_like(x)
        if delta is not None and delta.shape[1:] == x.shape[1:]:
            out[: len(delta)] = delta[: len(x)]
        return out

    def _carry(self, delta: Tensor, state: State) -> None:
        # A short last batch leaves the other places' perturbations as they are.
        old = state.memory.get(_DELTA)
        if old is not None and old.shape[1:] == delta.shape[1:] and len(old) > len(delta):
            delta = torch.cat([delta, old[len(delta) :]])
        state.memory[_DELTA] = delta.detach().clone()
