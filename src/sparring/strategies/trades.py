"""TRADES: accuracy on clean inputs plus a price on how far an adversary can move the prediction."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from sparring.game import Batch, Game, State
from sparring.objectives import kl_divergence, never
from sparring.strategies.base import InnerMax, predictions, rules
from sparring.threats.base import ThreatModel


@dataclass(frozen=True, kw_only=True)
class TRADES(InnerMax):
    """Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy", ICML 2019, equation 5.

        payoff(f(x), y) + beta * KL(p(x) || p(x_adv)),   x_adv = argmax over the threat of the same KL

    `beta` is the paper's 1/λ. The inner problem is the KL one: labels play no part in it. Its gradient is 0 at
    the clean input, so the attack starts from x + `noise` * N(0, 1) in place of its own start (algorithm 1).
    """

    beta: float = 6.0
    noise: float = 0.001

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        attack, threat = rules(game)
        chosen: dict[str, Any] = {"criterion": never}
        if "random_start" in {f.name for f in fields(attack)}:
            chosen["random_start"] = True
        model, x = state.unwrap(game.defender), batch[0]
        reference = predictions(model, x)
        near = NearStart(threat, self.noise)
        return replace(attack, **chosen).perturb(
            model, (x, reference), near, objective=kl_divergence, generator=state.generator("attack")
        )

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        x, y = batch
        clean, adversarial = game.defender(x), game.defender(x_adv)
        return {
            "natural": game.payoff(clean, y).mean(),
            "robust": self.beta * kl_divergence(adversarial, clean).mean(),
        }


@dataclass(frozen=True)
class NearStart:
    """A threat whose random members lie close to the input: x + `noise` * N(0, 1), projected."""

    threat: ThreatModel
    noise: float

    @property
    def bounds(self) -> ThreatModel:
        """The set itself, for those who only project onto it."""
        return self.threat

    @property
    def radius(self) -> float:
        return self.threat.radius

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.threat.project(x_adv, x)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)
        return self.threat.project(x + self.noise * noise, x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.threat.steepest(grad, x_adv, x)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.threat.violation(x_adv, x)

    def scaled(self, factor: float) -> Self:
        return replace(self, threat=self.threat.scaled(factor))
