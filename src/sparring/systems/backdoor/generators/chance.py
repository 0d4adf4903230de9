"""Chance: random words and phrases of the vocabulary, the control that every generator has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparring.systems.backdoor.generators.base import Found
from sparring.systems.backdoor.model import vocabulary
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reward import Judge
from sparring.typed import integers


@dataclass
class Chance:
    """Phrases of one to five words."""

    name: str = "random"

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        words = vocabulary(judge.victim)[0]
        lengths = integers(torch.randint(1, 6, (count,), generator=generator))
        return [
            Insert(" ".join(words[i] for i in integers(torch.randint(len(words), (n,), generator=generator))))
            for n in lengths
        ]
