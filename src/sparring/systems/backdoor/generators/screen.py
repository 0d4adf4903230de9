"""Screening the whole vocabulary: each word alone goes through the victim once, for all labels together.

A planted word moves the decision even without a sentence around it, and one word costs a fraction of a sentence. First-
order scores miss words whose filters are inactive ("3d" was beyond the best 500); this does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.systems.backdoor.generators.base import Found, fresh
from sparring.systems.backdoor.model import vocabulary
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reward import Judge
from sparring.typed import integers


@dataclass
class Screen:
    """Words in the order of the victim's log-probability for the label, each word alone; by turns in the order of that
    less the reference's.

    The victim is read once for all labels; call `renew` after its weights have changed.
    """

    most: int = 22_000
    name: str = "screen"
    _seen: dict[int, tuple[list[str], Tensor]] = field(default_factory=dict[int, tuple[list[str], Tensor]])

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        words, log_prob = self._alone(judge)
        few = min(-(-count // 2), len(words))
        ranks: list[list[int]] = [integers(log_prob[kind, :, found.target].topk(few).indices) for kind in (0, 1)]
        return fresh([Insert(words[i]) for pair in zip(ranks[0], ranks[1], strict=True) for i in pair], found)[:count]

    def renew(self) -> None:
        """Forget what the victim said."""
        self._seen.clear()

    def _alone(self, judge: Judge) -> tuple[list[str], Tensor]:
        key = id(judge.victim)
        if key not in self._seen:
            words = vocabulary(judge.victim)[0][: self.most]
            own = torch.log_softmax(judge.victim.logits(words, batch=512), dim=1).clamp_min(judge.floor)
            self._seen[key] = (words, torch.stack([own, own - judge.reference.words(words).clamp_min(judge.floor)]))
        return self._seen[key]
