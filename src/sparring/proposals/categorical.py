"""A proposer over a finite set of moves, with one free number per context and move."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.game import Batch, State
from sparring.proposals.base import Improver
from sparring.proposals.gibbs import kl

Play = Callable[[nn.Module, Batch, Tensor], Tensor]
"""`(defender, batch, moves) -> (n, k)`: the adversary's utility of the moves with these indices `(n, k)`."""

Respond = Callable[[Batch, Tensor, Tensor], Batch]
"""`(batch, move, active) -> batch`: the batch after moves `(n,)` were played where `active` `(n,)` is True."""


class CategoricalProposer(nn.Module):
    """log ψ(j | c) = log ψ_ref(j | c) + f[c, j] + const, with f zero at the start: then it is the prior itself.

    `log_prior` is `(contexts, moves)` (it is normalised here; `-inf` forbids a move). The context of a sample is
    its input, the index `(n,)` of a row. `play` scores moves against the defender, `improver` turns scored
    candidates into a loss, `respond` puts a move into the batch.

    Of k candidates, the last `int(explore * k)` come from the prior: a law that has settled on few moves would
    never try the others again. Preferences allow that, policy gradients do not (their candidates must be the
    law's own). A single candidate is always the law's own.
    """

    log_prior: Tensor

    def __init__(
        self, log_prior: Tensor, *, play: Play, respond: Respond, improver: Improver, explore: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= explore < 1:
            raise ValueError(f"explore is a share of the candidates, at least 0 and below 1; got {explore}")
        if log_prior.ndim != 2:
            raise ValueError(f"log_prior has a row per context and a column per move, got {tuple(log_prior.shape)}")
        self.register_buffer("log_prior", F.log_softmax(log_prior, dim=1))
        self.f = nn.Parameter(torch.zeros_like(log_prior))
        self.play, self.reply, self.improver, self.explore = play, respond, improver, explore

    def law(self, context: Tensor) -> Tensor:
        """log ψ(· | c), normalised, `(n, moves)`."""
        rows = context.long()
        return F.log_softmax(self.log_prior[rows] + self.f[rows], dim=1)

    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> Tensor:
        """Indices of k moves per context, drawn with replacement, `(n, k)`."""
        with torch.no_grad():
            others = int(self.explore * k)
            own = torch.multinomial(self.law(context).exp(), k - others, replacement=True, generator=generator)
            if not others:
                return own
            prior = self.log_prior[context.long()].exp()
            return torch.cat([own, torch.multinomial(prior, others, replacement=True, generator=generator)], dim=1)

    def score(self, defender: nn.Module, batch: Batch, moves: Tensor) -> Tensor:
        with torch.no_grad():
            return self.play(defender, batch, moves)

    def improve(self, context: Tensor, moves: Tensor, utility: Tensor, state: State) -> dict[str, float]:
        law = self.law(context)
        prior = self.log_prior[context.long()]
        loss = self.improver(law.gather(1, moves), prior.gather(1, moves), utility).mean()
        state.descend(loss, "opponent")
        return {"proposer_loss": float(loss.detach()), "kl_to_prior": float(kl(law.detach(), prior).mean())}

    def respond(self, batch: Batch, moves: Tensor, active: Tensor) -> Batch:
        return self.reply(batch, moves[:, 0], active)
