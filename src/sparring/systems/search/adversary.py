"""Path B's adversaries: shifts in embedding space, wrapped and paraphrased requests, and an on-policy red team.

The red team is a proposer of the engine: it proposes wrappings of a request, is scored by the loss that the present
model has on the *right* reply (a refusal to an unsafe request, help to its benign twin), and improves by policy
gradient. So it raises refusals that fail and refusals that should not be, alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.attacks import FGSM, PGD
from sparring.attacks.base import Attack
from sparring.game import Batch, State
from sparring.language.chat import Chat, Exchange, Talker, answer_loss
from sparring.language.embedding import TokenBall, token_length, touched
from sparring.objectives import never
from sparring.proposals import PolicyGradient
from sparring.systems.search.wrappers import SEEN, Family, paraphrased, wrapped
from sparring.typed import integers, numbers


def shifts(chat: Chat, radius: float, steps: int = 1) -> tuple[Attack, TokenBall]:
    """FGM (one step) or PGD in the ball of `radius` mean token lengths around the prompt's embeddings."""
    attack: Attack = FGSM(criterion=never) if steps == 1 else PGD(steps=steps, random_start=False, criterion=never)
    return attack, TokenBall(radius * token_length(chat.talker))


def disguise(families: Sequence[Family] = SEEN, share: float = 0.75) -> Callable[[str, random.Random], str]:
    """What path B does to a request when it is drawn: a paraphrase, and mostly one wrapper or two."""

    def change(request: str, draw: random.Random) -> str:
        text = paraphrased(request, draw) if draw.random() < 0.5 else request
        if draw.random() < share:
            text = wrapped(text, families, draw, depth=2 if draw.random() < 0.25 else 1)
        return text

    return change


class RedTeam(nn.Module):
    """A proposer of wrappings: a law over pairs of families, one row for unsafe and one for benign requests.

    Moves are texts, `(n, k)` as lists. Contexts are the rows of a batch `(n, 2, L)`; rows without movable tokens are
    left alone. `chat` only lends its tokenizer; the model that is attacked is the game's defender.
    """

    def __init__(self, chat: Chat, families: Sequence[Family] = SEEN, *, temperature: float = 0.5) -> None:
        super().__init__()
        self.chat, self.families = (chat,), tuple(families)  # in a tuple: the model is no part of the proposer
        self.logits = nn.Parameter(torch.zeros(len(families), len(families)))
        self.improver = PolicyGradient(temperature=temperature)
        self._picked = torch.zeros(0, 0, dtype=torch.int64)

    @property
    def law(self) -> Tensor:
        """Log-probabilities of the pairs (outer, inner), `(families squared,)`; a family with itself is used once."""
        return F.log_softmax(self.logits.flatten(), dim=0)

    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> list[list[str]]:
        """k wrapped texts for each row; "" where nothing may move."""
        with torch.no_grad():
            picked = torch.multinomial(self.law.exp().expand(len(context), -1), k, True, generator=generator)
        seeds = torch.randint(2**62, picked.shape, generator=generator)
        self._picked = picked
        may = set(integers(touched(context)))
        return [
            [
                self._wrapped(context[row], int(picked[row, j]), int(seeds[row, j])) if row in may else ""
                for j in range(k)
            ]
            for row in range(len(context))
        ]

    def _wrapped(self, row: Tensor, pair: int, seed: int) -> str:
        draw = random.Random(seed)  # noqa: S311
        outer, inner = divmod(pair, len(self.families))
        text = self._text(row)
        for k in {inner, outer} if inner == outer else (inner, outer):
            text = self.families[k].wrap(text, draw)
        return text

    def _text(self, row: Tensor) -> str:
        return self.chat[0].tokenizer.decode(integers(row[0][row[1] > 0]))

    def score(self, defender: nn.Module, batch: Batch, moves: list[list[str]]) -> Tensor:
        """The defender's loss on the right reply, `(n, k)`; 0 for rows that nothing may move in."""
        utility = torch.zeros(len(moves), max(map(len, moves)))
        rows = integers(touched(batch[0]))
        if not rows:
            return utility
        chat = self.chat[0]
        told = [(r, j, e) for r in rows for j, e in enumerate(self._exchanges(batch, r, moves[r]))]
        was = defender.training
        defender.eval()
        with torch.no_grad():
            for places, (x, y) in chat.batches([e for _, _, e in told]):
                found = answer_loss(cast(Talker, defender)(x), y)
                for place, value in zip(places, numbers(found), strict=True):
                    utility[told[place][0], told[place][1]] = value
        defender.train(was)
        return utility

    def _exchanges(self, batch: Batch, row: int, texts: Sequence[str]) -> list[Exchange]:
        answer = self.chat[0].exchange(batch[0][row], batch[1][row]).answer
        return [Exchange(text, answer, True) for text in texts]

    def improve(self, context: Tensor, moves: list[list[str]], utility: Tensor, state: State) -> Mapping[str, float]:
        """One policy-gradient step on the law over pairs, against the uniform prior."""
        rows = touched(context)
        if len(rows) == 0:
            return {}
        picked = self._picked[rows]
        log_prob = self.law[picked]
        prior = torch.full_like(log_prob, -float(torch.tensor(float(len(self.law))).log()))
        loss = self.improver(log_prob, prior, utility[rows]).mean()
        state.descend(loss, "opponent")
        return {"proposer_loss": float(loss.detach())}

    def respond(self, batch: Batch, moves: list[list[str]], active: Tensor) -> Batch:
        """The batch with each active row's request as its first move says, padded anew."""
        chat = self.chat[0]
        may = set(integers(touched(batch[0])))
        exchanges: list[Exchange] = []
        for row in range(len(moves)):
            whole = chat.exchange(batch[0][row], batch[1][row])
            played = row in may and bool(active[row])
            exchanges.append(Exchange(moves[row][0], whole.answer, True) if played else whole)
        return chat.batch(exchanges)
