"""Aligning: path A, the shop's tasks and plain refusals; path B, the same with an adversary on both sides."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from sparring.engine.run import Run
from sparring.language.chat import Chat
from sparring.language.embedding import EmbeddingAT
from sparring.schedules import Linear
from sparring.strategies import SelfPlay
from sparring.systems.search.adversary import RedTeam, disguise, shifts
from sparring.systems.search.synthesize import TASKS, Corpus, Group, Kind
from sparring.systems.search.training import Source, Tuning, tune


@dataclass(frozen=True)
class Path:
    """Which parts of path B are played; with none of them it is path A alone.

    `radius` is that of the embedding shift in mean token lengths (0: none), `steps` 1 for FGM and more for PGD;
    `wrap` draws a disguise for unsafe and benign requests alike; `red_team` lets a proposer choose it on policy.
    """

    wrap: bool = False
    radius: float = 0.0
    steps: int = 1
    red_team: bool = False


PLAIN = Path()
ADVERSARIAL = Path(wrap=True, radius=0.3, red_team=True)


def sources(corpus: Corpus, path: Path, *, group: Group | None = None, safety: float = 0.5) -> list[Source]:
    """What every batch is made of: knowledge (of one group of products), the tasks, harmless questions, the policy.

    `safety` is the share of the policy's requests, half of them unsafe and half benign.
    """
    change = disguise() if path.wrap else None
    rest = 1 - safety

    def of(share: float, *kinds: Kind, changed: bool = False, everyone: bool = False) -> Source:
        found = corpus.of(*kinds, group=None if everyone else group)
        return Source([r.exchange for r in found], share, change if changed else None)

    return [
        of(0.56 * rest, "attribute", "absent"),
        of(0.18 * rest, "statement", "chain", "log"),
        of(0.1 * rest, *TASKS),
        of(0.1 * rest, "unknown", everyone=True),
        of(0.06 * rest, "outside", changed=True, everyone=True),
        of(0.5 * safety, "unsafe", changed=True, everyone=True),
        of(0.5 * safety, "benign", changed=True, everyone=True),
    ]


def align(chat: Chat, corpus: Corpus, path: Path, plan: Tuning, run: Run, name: str) -> Chat:
    """An aligned copy of the model; the given one stays as it is."""
    own = Chat(copy.deepcopy(chat.model), chat.tokenizer, chat.system)
    given = sources(corpus, path)
    if not path.radius:
        return tune(own, given, plan, run, name)
    attack, threat = shifts(own, path.radius, path.steps)
    shifted = EmbeddingAT(attack=attack, threat=threat)
    if not path.red_team:
        return tune(own, given, plan, run, name, strategy=shifted, adversary=attack, threat=threat)
    played = SelfPlay(inner=shifted, candidates=4, every=20, contexts=16, pool=3, ramp=Linear(final=0.3, until=0.5))
    return tune(own, given, plan, run, name, strategy=played, adversary=RedTeam(own))
