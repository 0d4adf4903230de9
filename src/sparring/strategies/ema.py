"""Averaged weights: what is validated and kept is the exponential moving average of the defender."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult, Strategy
from sparring.strategies.base import defender_of

_PREFIX = "ema."


@dataclass(frozen=True, kw_only=True)
class EMA:
    """average ← d * average + (1 - d) * weights after every step; training itself goes on from the weights.

    Izmailov et al., UAI 2018, for the idea; for adversarial training, Gowal et al., "Uncovering the Limits of
    Adversarial Training", 2020, section 4.3. The average begins at the weights after the first step. With
    `warmup`, d = min(decay, (1 + t) / (10 + t)) at step t, so that short trainings are not held by their beginning.
    Floating-point buffers (batch norm's statistics) are averaged too, others copied.
    """

    inner: Strategy
    decay: float = 0.995
    warmup: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {self.decay}")

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        result = self.inner.step(game, batch, state)
        decay = min(self.decay, (1 + state.step) / (10 + state.step)) if self.warmup else self.decay
        for name, value in defender_of(self.inner, game, state).state_dict().items():
            self._average(_PREFIX + name, value.detach(), decay, state.memory)
        return result

    def defender(self, game: Game, state: State) -> nn.Module:
        """A copy of the defender with the averaged weights (the plain ones before the first step)."""
        module = copy.deepcopy(defender_of(self.inner, game, state))
        average = {n.removeprefix(_PREFIX): v for n, v in state.memory.items() if n.startswith(_PREFIX)}
        if average:
            module.load_state_dict(average)
        return module

    @staticmethod
    def _average(name: str, value: Tensor, decay: float, memory: dict[str, Tensor]) -> None:
        if name in memory and value.is_floating_point():
            memory[name].lerp_(value.to(memory[name].dtype), 1 - decay)
        else:
            memory[name] = value.clone()
