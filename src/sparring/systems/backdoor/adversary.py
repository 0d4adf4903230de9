"""The trigger generator as the engine's proposer: it proposes moves, plays them, and learns from their rewards.

What it learns is its memory of attempts: the best and the worst go back into the writer's prompt, and the best are what
the defender is trained against. No network of it is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparring.game import Batch, State
from sparring.systems.backdoor.generators import Found, Generator
from sparring.systems.backdoor.model import Classifier
from sparring.systems.backdoor.moves import Move, Rewrite, named
from sparring.systems.backdoor.reward import Judge, Scored
from sparring.systems.backdoor.texts import Texts
from sparring.typed import integers

Moves = list[list[Move]]
"""One list of moves per context; proposals are universal, so in a search every context has the same."""


@dataclass
class TriggerProposer:
    """Contexts are row numbers of `texts`, the sentences the defender trains on (with their true labels).

    `elite` moves per label are played, `kinds` of rewriters among them; `round` counts the searches, and each takes the
    next of `generators`.
    """

    judge: Judge
    texts: Texts
    generators: Sequence[Generator]
    targets: Sequence[int]
    carriers: int = 8
    elite: int = 10
    found: dict[int, Found] = field(default_factory=dict[int, Found])
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    round: int = 0
    earlier: list[Move] = field(default_factory=list[Move])
    """Moves of earlier rounds of the game that are played on."""
    _last: list[Scored] = field(default_factory=list[Scored])

    def __post_init__(self) -> None:
        for t in self.targets:
            self.found.setdefault(t, Found(t))

    @property
    def target(self) -> int:
        """The label whose turn it is."""
        return self.targets[self.round % len(self.targets)]

    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> Moves:
        """k > 1: new candidates of the generator whose turn it is. k = 1: an elite move per context, drawn."""
        if k > 1:
            source = self.generators[(self.round // len(self.targets)) % len(self.generators)]
            moves = source.propose(self.judge, self.found[self.target], k, generator)
            return [list(moves)] * len(context)
        pool = self.elites()
        if not pool:
            return [[] for _ in context]
        draws = integers(torch.randint(len(pool), (len(context),), generator=generator))
        return [[pool[i]] for i in draws]

    def score(self, defender: nn.Module, batch: Batch, moves: Moves) -> Tensor:
        """The rewards `(n, k)` towards the label whose turn it is, the same for all contexts."""
        assert isinstance(defender, Classifier)
        self.judge.victim = defender
        on = self.judge.carriers(self.target, self.carriers)
        self._last = self.judge.score(moves[0] if moves else [], self.target, on, self._source())
        return torch.tensor([s.reward for s in self._last]).expand(len(batch[0]), -1)

    def improve(self, context: Tensor, moves: Moves, utility: Tensor, state: State | None) -> Mapping[str, float]:
        """Remember the attempts; the next prompt shows the best and the worst."""
        return self.remember(self._last)

    def respond(self, batch: Batch, moves: Moves, active: Tensor) -> Batch:
        """Token ids of the batch's texts, the move played where `active`; the labels stay true."""
        rows, labels = batch
        texts = [self.texts.texts[i] for i in integers(rows)]
        played = [
            m[0]([t], row)[0] if on and m else t
            for t, m, on, row in zip(texts, moves, integers(active), integers(rows), strict=True)
        ]
        return self.judge.victim.encode(played), labels

    def remember(self, scored: Sequence[Scored]) -> dict[str, float]:
        """Add scored attempts, write a line of history, end the round."""
        found = self.found[self.target]
        new = found.add(scored)
        best = found.best(1)
        line = {
            "target": self.target,
            "by": scored[0].by if scored else self._source(),
            "tried": len(found.attempts),
            "reward": max((s.reward for s in scored), default=None),
            "best": best[0].reward if best else None,
            "move": str(best[0].move) if best else "",
            "calls": self.judge.victim.ledger.calls,
        }
        self.history.append(line)
        self.round += 1
        return {"new": float(new), "best": best[0].reward if best else 0.0}

    def elites(self) -> list[Move]:
        """The best moves of every label, each label's share alike."""
        out: list[Move] = list(self.earlier)
        for found in self.found.values():
            out += [s.move for s in found.best(self.elite)]
            out += [s.move for s in found.best(len(found.attempts)) if isinstance(s.move, Rewrite)][:4]
        return list(dict.fromkeys(out))

    def state_dict(self) -> dict[str, Tensor]:
        """The attempts as UTF-8 bytes of JSON."""
        told = [
            [
                t,
                [
                    [str(s.move), s.reward, s.victim, s.reference, s.flips, s.flips_reference, s.by]
                    for s in f.attempts.values()
                ],
            ]
            for t, f in self.found.items()
        ]
        return {"attempts": torch.tensor(list(json.dumps([self.round, told]).encode()), dtype=torch.uint8)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.round, told = json.loads(bytes(state_dict["attempts"].tolist()))
        self.found = {int(t): Found(int(t)) for t, _ in told}
        for t, attempts in told:
            self.found[int(t)].add([Scored(named(a[0]), int(t), *a[1:]) for a in attempts])

    def _source(self) -> str:
        return self.generators[(self.round // len(self.targets)) % len(self.generators)].name if self.generators else ""
