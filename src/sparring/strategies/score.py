"""SCORE: accuracy and robustness by one distance between predictions, which both can reach at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from sparring.game import Batch, Game, State
from sparring.objectives import never, two_sided
from sparring.strategies.base import InnerMax, predictions, rules
from sparring.strategies.trades import NearStart


@dataclass(frozen=True, kw_only=True)
class SCORE(InnerMax):
    """Pang, Lin, Yang, Zhu & Yan, "Robustness and Accuracy Could Be Reconcilable by (Proper) Definition", ICML 2022.

        ||p(x) - y||² + beta * ||p(x_adv) - p(x)||²,   x_adv = argmax over the threat of the second distance

    A self-consistent robust error measured by a distance between predictions instead of KL or cross entropy: the
    triangle inequality bounds ||p(x_adv) - y|| by the two roots (section 4; the squared form is the one trained).
    The inner attack climbs the distance from a start close to the input, as in TRADES. Reconstructed from the
    paper's equations; `beta` follows TRADES' range. For classifiers only.
    """

    beta: float = 4.0
    noise: float = 0.001

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        attack, threat = rules(game)
        model, x = state.unwrap(game.defender), batch[0]
        reference = predictions(model, x)
        return replace(attack, criterion=never).perturb(
            model,
            (x, reference),
            NearStart(threat, self.noise),
            objective=prediction_distance,
            generator=state.generator("attack"),
        )

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        x, y = batch
        clean, adversarial = (two_sided(game.defender(z)).softmax(1) for z in (x, x_adv))
        label = F.one_hot(y.reshape(-1).long(), clean.shape[1]).to(clean.dtype)
        return {
            "natural": (clean - label).square().sum(1).mean(),
            "robust": self.beta * (adversarial - clean).square().sum(1).mean(),
        }


def prediction_distance(outputs: Tensor, reference: Tensor) -> Tensor:
    """Squared distance of the outputs' probabilities to the reference's, both given as logits, `(n,)`."""
    return (two_sided(outputs).softmax(1) - two_sided(reference).softmax(1)).square().sum(1)
