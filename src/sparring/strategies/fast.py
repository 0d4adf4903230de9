"""Fast adversarial training: one step from a random start, watched for catastrophic overfitting."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparring.attacks.base import Attack
from sparring.attacks.pgd import PGD
from sparring.game import Batch, Game, State, StepResult
from sparring.strategies.base import InnerMax, descend, rules, threat_of

_BEST = "fast.best"


class CatastrophicOverfitting(UserWarning):
    """The model learnt to stop the one-step attack and nothing else: its robustness is gone within a few steps."""


@dataclass(frozen=True, kw_only=True)
class Fast(InnerMax):
    """Wong, Rice & Kolter, "Fast is better than free: Revisiting adversarial training", ICLR 2020, algorithm 3.

    One step of `step_size` (1.25) times the radius from a uniform start, whatever the game's adversary is. Every
    `check_every` steps (0: never) the game's adversary, a many-step attack, plays against the batch: its accuracy is
    logged as `check_accuracy`, that of the one-step attack as `step_accuracy`. When the first is `drop` or more below
    its best so far (the paper's early-stopping test, section 4.2), `CatastrophicOverfitting` is warned of or,
    with `on_overfit="stop"`, raised.
    """

    step_size: float = 1.25
    check_every: int = 100
    drop: float = 0.2
    on_overfit: Literal["warn", "stop"] = "warn"

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        attack = PGD(steps=1, step_size=self.step_size, active_set=False)
        model = state.unwrap(game.defender)
        return attack.perturb(model, batch, threat_of(game), objective=game.payoff, generator=state.generator("attack"))

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        return {"adversarial": game.payoff(game.defender(x_adv), batch[1]).mean()}

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        result = descend(self.loss(game, batch, self.perturb(game, batch, state)), state)
        if self.check_every == 0 or (state.step + 1) % self.check_every:
            return result
        return StepResult(result.loss, {**result.metrics, **self.check(game, batch, state)})

    def check(self, game: Game, batch: Batch, state: State) -> dict[str, float]:
        """Accuracy under the many-step and the one-step attack; says so when the first has collapsed."""
        one_step = PGD(steps=1, step_size=self.step_size, active_set=False)
        found = {"check_accuracy": rules(game)[0], "step_accuracy": one_step}
        accuracy = {name: self._accuracy(attack, game, batch, state) for name, attack in found.items()}
        now = torch.tensor(accuracy["check_accuracy"], dtype=torch.float64)
        best = state.memory.get(_BEST, now)
        state.memory[_BEST] = torch.maximum(best, now.to(best.device))
        if float(best) - float(now) >= self.drop:
            message = (
                f"step {state.step}: accuracy under attack fell to {float(now):.2f} from {float(best):.2f}, one-step "
                f"accuracy is {accuracy['step_accuracy']:.2f}; lower the step size or train with PGD"
            )
            if self.on_overfit == "stop":
                raise CatastrophicOverfitting(message)
            warnings.warn(message, CatastrophicOverfitting, stacklevel=2)
        return accuracy

    def _accuracy(self, attack: Attack, game: Game, batch: Batch, state: State) -> float:
        model, generator = state.unwrap(game.defender), state.generator("check")
        result = attack(model, batch, threat_of(game), objective=game.payoff, generator=generator)
        return 1 - float(result.success.float().mean())
