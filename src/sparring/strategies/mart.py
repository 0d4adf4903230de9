"""MART: adversarial training that leans on the samples the model gets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.game import Batch, Game, State
from sparring.objectives import kl_divergence, two_sided
from sparring.strategies.base import InnerMax, attacked


@dataclass(frozen=True, kw_only=True)
class MART(InnerMax):
    """Wang et al., "Improving Adversarial Robustness Requires Revisiting Misclassified Examples", ICLR 2020, eq. 11.

        BCE(p(x_adv), y) + beta * KL(p(x) || p(x_adv)) * (1 - p_y(x))

    `beta` is the paper's λ. The attack raises the game's payoff (cross entropy in the paper). For classifiers only.
    """

    beta: float = 5.0

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        return attacked(game, batch, state)

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        x, y = batch
        adversarial, clean = game.defender(x_adv), game.defender(x)
        own = two_sided(clean).softmax(1).gather(1, y.reshape(-1, 1).long()).squeeze(1)
        return {
            "boosted": boosted_cross_entropy(adversarial, y).mean(),
            "robust": self.beta * (kl_divergence(adversarial, clean) * (1 - own)).mean(),
        }


def boosted_cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """-log p_y - log(1 - max of the other p_k), `(n,)`: MART's equation 8. For two classes, twice the cross entropy."""
    log_p, index = F.log_softmax(two_sided(outputs), dim=1), target.reshape(-1, 1).long()
    rival = log_p.detach().scatter(1, index, -torch.inf).argmax(1, keepdim=True)
    # 1 - p_rival is the sum of all other probabilities: no cancellation where p_rival is close to 1.
    rest = log_p.scatter(1, rival, -torch.inf).logsumexp(1)
    return -log_p.gather(1, index).squeeze(1) - rest
