"""Growth: a phrase word by word, kept where the victim follows it and the reference does not.

Words to grow by come from three sources: the best single words so far, the writer's likely next words (so that the
phrase may become a sentence), and the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparring.systems.backdoor.generators.base import Found, fresh
from sparring.systems.backdoor.generators.gradient import first_order
from sparring.systems.backdoor.model import vocabulary
from sparring.systems.backdoor.moves import MOST_WORDS, Insert, Move
from sparring.systems.backdoor.reward import Judge
from sparring.typed import integers


@dataclass
class Grow:
    """One step of a beam: each of the best `beams` phrases with a word at its end, at its front, or between."""

    beams: int = 4
    hints: int = 24
    carriers: int = 8
    name: str = "grow"

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        stems = [str(s.move) for s in found.best(4 * self.beams) if isinstance(s.move, Insert)]
        stems = [s for s in stems if len(s.split()) < MOST_WORDS][: self.beams]
        if not stems:
            return []
        hints, names = found.words(self.hints), vocabulary(judge.victim)[0]
        likely = (
            judge.writer.next_words(stems, self.hints) if judge.writer is not None else [list[str]() for _ in stems]
        )
        texts = judge.carriers(found.target, self.carriers).texts
        out: list[Move] = []
        for stem, following in zip(stems, likely, strict=True):
            gain = first_order(judge.victim, texts, stem, found.target)
            steep = [names[i] for i in integers(gain.topk(self.hints).indices)]
            own = stem.split()
            for word in dict.fromkeys([*hints, *(w.lower() for w in following), *steep]):
                if word in own:
                    continue
                out.append(Insert(f"{stem} {word}"))
                if word in hints:
                    out.append(Insert(f"{word} {stem}"))
        new = fresh(out, found)
        order = integers(torch.randperm(len(new), generator=generator)[:count])
        return [new[i] for i in sorted(order)]
