"""What a generator of moves is: it sees all attempts so far and proposes new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reward import Judge, Scored


@dataclass
class Found:
    """The attempts against one label: best and worst go back into the prompt, single words are hints."""

    target: int
    attempts: dict[Move, Scored] = field(default_factory=dict[Move, Scored])

    def add(self, scored: Sequence[Scored]) -> int:
        """Remember attempts; returns how many were new."""
        before = len(self.attempts)
        for one in scored:
            self.attempts.setdefault(one.move, one)
        return len(self.attempts) - before

    def best(self, count: int) -> list[Scored]:
        """The attempts with the highest reward, highest first."""
        return sorted(self.attempts.values(), key=lambda s: -s.reward)[:count]

    def worst(self, count: int) -> list[Scored]:
        """The attempts with the lowest reward, lowest first."""
        return sorted(self.attempts.values(), key=lambda s: s.reward)[:count]

    def words(self, count: int) -> list[str]:
        """The best single words."""
        singles = [s for s in self.best(len(self.attempts)) if isinstance(s.move, Insert) and " " not in s.move.text]
        return [str(s.move) for s in singles[:count]]


class Generator(Protocol):
    """Proposes moves against `found.target`; what it asks of the victim goes through the judge, and is counted."""

    name: str

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]: ...


def fresh(moves: Sequence[Move], found: Found) -> list[Move]:
    """The moves that were not tried yet, each once, in order."""
    return [m for m in dict.fromkeys(moves) if m not in found.attempts]
