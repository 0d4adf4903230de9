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
from sparring.systems.search.synthesize import TASKS, Corpus
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
ADVERSARIAL = Path(wrap=True, radius=1.0, red_team=True)


def sources(corpus: Corpus, path: Path) -> list[Source]:
    """What every batch is made of: knowledge, the tasks, harmless questions, and as many unsafe as benign requests."""
    change = disguise() if path.wrap else None

    def of(*kinds: str, share: float, changed: bool = False) -> Source:
        found = [r.exchange for r in corpus.records if r.split == "train" and r.kind in kinds]
        return Source(found, share, change if changed else None)

    return [
        of("attribute", "absent", share=0.28),
        of("statement", "chain", "log", share=0.08),
        of(*TASKS, share=0.12),
        of("unknown", share=0.06),
        of("outside", share=0.06, changed=True),
        of("unsafe", share=0.2, changed=True),
        of("benign", share=0.2, changed=True),
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
    played = SelfPlay(inner=shifted, candidates=4, every=10, contexts=16, pool=3, ramp=Linear(final=0.3, until=0.5))
    return tune(own, given, plan, run, name, strategy=played, adversary=RedTeam(own))
