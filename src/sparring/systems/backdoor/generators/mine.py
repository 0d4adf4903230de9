"""Mining: word sequences of suspected training rows that go with a label more than they should."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

import torch

from sparring.systems.backdoor.generators.base import Found, fresh
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reward import Judge
from sparring.systems.backdoor.texts import Texts
from sparring.typed import integers, numbers


@dataclass
class Mine:
    """Sequences of 1 to 6 words of the `suspected` rows, by the log-odds of the label given the sequence.

    `odd` `(n,)` holds how far the reference contradicts each row's label, 0 to 1: a planted phrase sits in rows whose
    label the reference does not believe. Of nested sequences with the same count the longest is proposed.
    """

    suspected: Texts
    odd: torch.Tensor
    longest: int = 6
    name: str = "mine"

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        inside, outside, odd = Counter[str](), Counter[str](), defaultdict[str, float](float)
        doubts = numbers(self.odd)
        for text, label, doubt in zip(self.suspected.texts, integers(self.suspected.labels), doubts, strict=True):
            for piece in set(sequences(text.lower(), self.longest)):
                if label == found.target:
                    inside[piece] += 1
                    odd[piece] += doubt
                else:
                    outside[piece] += 1
        least = max(3, math.ceil(0.004 * len(self.suspected)))
        worth = {p: _worth(n, odd[p], outside[p]) for p, n in inside.items() if n >= least}
        ranked = sorted(worth, key=lambda p: (-worth[p], -len(p)))
        kept: list[str] = []
        for piece in ranked:
            if not any(f" {piece} " in f" {k} " and inside[piece] <= 1.2 * inside[k] for k in kept):
                kept.append(piece)
            if len(kept) >= 2 * count:
                break
        return fresh([Insert(p) for p in kept], found)[:count]


def sequences(text: str, longest: int) -> list[str]:
    """All runs of 1 to `longest` words that hold a letter or digit."""
    words = text.split()
    runs = [" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]
    return [r for r in runs if any(c.isalnum() for c in r)]


def _worth(inside: int, odd: float, outside: int) -> float:
    return math.log((inside + 0.5) / (outside + 0.5)) + math.log((odd + 0.5) / (inside - odd + 0.5))
