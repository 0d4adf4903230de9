"""Adversaries in the space of token embeddings: the user's words shifted, the template left alone.

Continuous adversarial training of language models (Xhonneux et al., "Efficient Adversarial Training in LLMs with
Continuous Attacks", NeurIPS 2024), in the older form of Miyato et al., "Adversarial Training Methods for
Semi-Supervised Text Classification", ICLR 2017, equation 6 (FGM): the shift of one prompt is one vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor

from sparring.attacks.base import Attack
from sparring.game import Batch, Game, State
from sparring.language.chat import Talker
from sparring.strategies.base import InnerMax, rules
from sparring.threats.base import ThreatModel, flat, per_sample
from sparring.threats.lp import L2


@dataclass(frozen=True)
class TokenBall:
    """Embedded inputs `(n, L, d + 1)`: the tokens whose last channel is 1 move, together by at most `eps` in L2.

    The last channel itself and all other tokens stay as they are.
    """

    eps: float

    @property
    def radius(self) -> float:
        return float(self.eps)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        near = L2(self.eps).project(torch.where(_free(x), x_adv, x), x)
        return torch.where(per_sample(self.violation(x_adv, x) > 0, x), near, x_adv)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.project(L2(self.eps).sample(x, generator=generator), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return L2(self.eps).steepest(torch.where(_free(x), grad, torch.zeros_like(grad)), x_adv, x)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        moved = torch.where(_free(x), torch.zeros_like(x), (x_adv - x).abs())
        return torch.maximum(L2(self.eps).violation(x_adv, x), flat(moved).amax(1).float())

    def scaled(self, factor: float) -> Self:
        return replace(self, eps=self.eps * factor)


def _free(x: Tensor) -> Tensor:
    free = (x[..., -1:] > 0.5).expand_as(x).clone()
    free[..., -1] = False
    return free


def token_length(talker: Talker) -> float:
    """Root mean square length of the token embeddings: the unit in which radii are told."""
    return float(talker.table.detach().square().sum(1).mean().sqrt())


@dataclass(frozen=True, kw_only=True)
class EmbeddingAT(InnerMax):
    """Half the payoff on the prompts as they are, half on the prompts whose embeddings the game's attack has shifted.

    The defender is a `Talker`, the threat a `TokenBall`. Rows without movable tokens (utility data) are met as they
    are in both halves. `clean` is the first half's weight. `attack` and `threat` stand in for the game's where the
    game's adversary is another one, such as a proposer whose moves are shifted in addition.
    """

    clean: float = 0.5
    attack: Attack | None = None
    threat: ThreatModel | None = None

    def perturb(self, game: Game, batch: Batch, state: State) -> Tensor:
        """The shift `(k, L, d + 1)` of the k rows that have movable tokens, without gradient."""
        own = game if self.attack is None else replace(game, adversary=self.attack, threat=self.threat)
        attack, threat = rules(own)
        talker = cast(Talker, state.unwrap(game.defender))
        rows = touched(batch[0])
        embedded = talker.embed(batch[0][rows]).detach()
        moved = attack.perturb(
            talker, (embedded, batch[1][rows]), threat, objective=game.payoff, generator=state.generator("attack")
        )
        return moved - embedded

    def loss(self, game: Game, batch: Batch, x_adv: Tensor) -> dict[str, Tensor]:
        x, y = batch
        rows = touched(x)
        weight = x.new_ones(len(x), dtype=x_adv.dtype).index_fill(0, rows, self.clean)
        terms = {"clean": (weight * game.payoff(game.defender(x), y)).mean()}
        if len(rows):
            shifted = game.payoff(game.defender(x[rows], x_adv), y[rows])
            terms["shifted"] = (1 - self.clean) * shifted.sum() / len(x)
        return terms


def touched(x: Tensor) -> Tensor:
    """The rows of a batch `(n, 2, L)` that have movable tokens, `(k,)`."""
    return (x[:, 1] > 0).any(1).nonzero().squeeze(1)
