"""Learnable boundary guidance: the robust model's logits on attacked inputs follow a natural model's on clean ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from sparring.game import Batch, Game, State
from sparring.objectives import kl_divergence
from sparring.strategies.base import InnerMax, attacked


class Guided(nn.Module):
    """A student with the natural model that guides it; as a model it is the student alone.

    `forward(x)` gives the student's outputs; `forward(x, clean)` also the guide's on the clean inputs, so that both
    train in one pass through the wrapper of a distributed run. The guide is a copy of the student unless given.
    """

    def __init__(self, student: nn.Module, guide: nn.Module | None = None) -> None:
        super().__init__()
        self.student = student
        self.guide = copy.deepcopy(student) if guide is None else guide

    def forward(self, x: Tensor, clean: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        return self.student(x) if clean is None else (self.student(x), self.guide(clean))


@dataclass(frozen=True, kw_only=True)
class LBGAT(InnerMax):
    """Cui, Liu, Wang & Jia, "Learnable Boundary Guided Adversarial Training", ICCV 2021, equation 4.

        payoff(g(x), y) + guidance * ||f(x_adv) - g(x)||²  (+ beta * KL(p_f(x) || p_f(x_adv)))

    The guide g learns the clean task at the same time and its logits are the student's targets: the boundary it
    draws is the one kept under attack. The squared distance is averaged over the logits. `beta` above 0 adds TRADES'
    term, as in the paper's stronger variant. The game's defender must be `Guided`; what is kept is it, whose outputs
    are the student's.
    """

    guidance: float = 1.0
    beta: float = 0.0

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        if not isinstance(state.unwrap(game.defender), Guided):
            raise TypeError("LBGAT trains a pair: make the defender Guided(model)")
        return attacked(game, batch, state)

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        x, y = batch
        student, guide = game.defender(x_adv, x)
        terms = {
            "natural": game.payoff(guide, y).mean(),
            "guidance": self.guidance * (student - guide).square().mean(),
        }
        if self.beta:
            terms["robust"] = self.beta * kl_divergence(student, game.defender(x)).mean()
        return terms
