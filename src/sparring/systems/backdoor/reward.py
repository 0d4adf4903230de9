"""The reward of a move: the victim's loss towards a suspected label, against the reference, within constraints.

Every victim call and every token of the writer is counted here or in what this holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.language.writers import Writer
from sparring.systems.backdoor.model import Classifier, decisions
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reference import Reference
from sparring.systems.backdoor.texts import Texts
from sparring.typed import integers

FEWEST = 8
"""So many correctly classified sentences of other labels a suspected label needs."""


@dataclass(frozen=True)
class Prices:
    """The weights of the reward's terms; 0 turns a term off."""

    reference: float = 1.0
    natural: float = 0.5
    """For what the inserted words say by themselves: the reference's log-probability of the label given them alone,
    above that of an even guess."""
    consistency: float = 0.5
    meaning: float = 1.0
    similar: float = 0.4
    """Below this cosine between the texts' vectors, meaning has a price."""
    fluency: float = 0.0
    fluent: float = 8.0
    """Above this many nats per token of the inserted words, fluency has a price."""


@dataclass(frozen=True)
class Scored:
    """One move against one label: reward, and mean probability and share of flips, victim's and reference's."""

    move: Move
    target: int
    reward: float
    victim: float
    reference: float
    flips: float
    flips_reference: float
    by: str = ""

    @property
    def contrast(self) -> float:
        """The victim's flips less the reference's, -1 to 1."""
        return self.flips - self.flips_reference


@dataclass
class Judge:
    """Plays moves against a victim on clean sentences and gives them their reward.

    `clean` are the defender's sentences that the victim gets right. Log-probabilities are bounded below by `floor`
    nats, so that one sentence cannot rule the mean.
    """

    victim: Classifier
    reference: Reference
    clean: Texts
    prices: Prices = field(default_factory=Prices)
    writer: Writer | None = None
    floor: float = -6.0

    @classmethod
    def of(
        cls,
        victim: Classifier,
        reference: Reference,
        clean: Texts,
        prices: Prices | None = None,
        writer: Writer | None = None,
    ) -> Judge:
        """Keeps the sentences that victim and reference get right (those of the victim alone where these are too few).

        Raises `BadInput` where fewer than 8 are left for a label."""
        right = decisions(victim, clean.texts) == clean.labels
        both = right & (reference.look(clean.texts)[0].argmax(1) == clean.labels)
        enough = all(int((both & (clean.labels != t)).sum()) >= 3 * FEWEST for t in range(clean.classes))
        kept = clean.take(both if enough else right)
        for t in range(clean.classes):
            left = int((kept.labels != t).sum())
            if left < FEWEST:
                raise BadInput(
                    f"the model gets {left} clean sentences of labels other than {clean.names[t]!r} right, {FEWEST} "
                    f"are needed; give more clean data, or check that its labels are the model's"
                )
        return cls(victim, reference, kept, prices or Prices(), writer)

    def carriers(self, target: int, count: int, *, short: bool = True, skip: int = 0) -> Texts:
        """`count` clean sentences of other labels, evenly over those labels, the shortest (cheapest) first."""
        groups: list[list[int]] = []
        for label in range(self.clean.classes):
            rows = [i for i, y in enumerate(integers(self.clean.labels)) if y == label and label != target]
            groups.append(sorted(rows, key=lambda i: len(self.clean.texts[i])) if short else rows)
        order = [g[k] for k in range(max(map(len, groups))) for g in groups if k < len(g)]
        return self.clean.take(order[skip : skip + count])

    def score(
        self, moves: Sequence[Move], target: int, on: Texts, by: str = "", *, cheap: bool = False
    ) -> list[Scored]:
        """Each move on all the texts `on`. `cheap`: without the reference, for sifting; its terms are then 0."""
        if not moves:
            return []
        n = len(on)
        played = [text for move in moves for text in move(on.texts)]
        own = torch.log_softmax(self.victim.logits(played), dim=1).reshape(len(moves), n, -1)
        p, flips = own[..., target].exp(), (own.argmax(-1) == target).double().mean(1)
        reward = own[..., target].clamp_min(self.floor).mean(1) - self.prices.consistency * p.var(1, unbiased=False)
        other, other_flips = torch.zeros(len(moves)), torch.zeros(len(moves))
        if not cheap:
            log_ref, vectors = self.reference.look(played)
            log_ref = log_ref.reshape(len(moves), n, -1)
            other, other_flips = log_ref[..., target].exp().mean(1), (log_ref.argmax(-1) == target).double().mean(1)
            reward = reward - self.prices.reference * log_ref[..., target].clamp_min(self.floor).mean(1)
            reward = reward - self.prices.natural * self.natural(moves, target)
            reward = reward - self.prices.meaning * self._drift(vectors.reshape(len(moves), n, -1), on)
            reward = reward - self.prices.fluency * self._halting(moves)
        return [
            Scored(
                move,
                target,
                float(reward[i]),
                float(p[i].mean()),
                float(other[i]),
                float(flips[i]),
                float(other_flips[i]),
                by,
            )
            for i, move in enumerate(moves)
        ]

    def natural(self, moves: Sequence[Move], target: int) -> Tensor:
        """What inserted words say by themselves: the reference's log-probability of the label given the words alone,
        above an even guess, `(k,)`; 0 for rewritings."""
        alone = self.reference.look([str(m) if isinstance(m, Insert) else "" for m in moves])[0][:, target]
        even = -torch.log(torch.tensor(float(self.clean.classes)))
        said = torch.tensor([isinstance(m, Insert) for m in moves])
        return torch.where(said, (alone - even).clamp_min(0), torch.zeros_like(alone))

    def _drift(self, vectors: Tensor, on: Texts) -> Tensor:
        plain = self.reference.look(on.texts)[1]
        cosine = (vectors * plain).sum(-1)
        return (self.prices.similar - cosine).clamp_min(0).mean(1)

    def _halting(self, moves: Sequence[Move]) -> Tensor:
        if self.writer is None or not self.prices.fluency:
            return torch.zeros(len(moves))
        found = self.writer.surprise([str(m) if isinstance(m, Insert) else "" for m in moves])
        return torch.zeros(len(moves)) if found is None else (found - self.prices.fluent).clamp_min(0)
