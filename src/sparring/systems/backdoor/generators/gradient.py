"""Gradient hints: first-order scores of every word at an inserted place (HotFlip, Ebrahimi et al., ACL 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import frozen
from sparring.systems.backdoor.generators.base import Found, fresh
from sparring.systems.backdoor.model import Classifier, vocabulary
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reward import Judge
from sparring.typed import integers


@dataclass
class Gradient:
    """Words w with the largest -∇_e CE(f(x with w), t) · e_w, the gradient at a place where a plain word stands.

    `words` is the length of the phrase; longer ones are filled one place at a time from the best so far.
    """

    words: int = 1
    carriers: int = 12
    name: str = "gradient"

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        on = judge.carriers(found.target, self.carriers)
        names = vocabulary(judge.victim)[0]
        best = [str(s.move) for s in found.best(3) if isinstance(s.move, Insert)] or [""]
        stems = [""] if self.words == 1 else best
        out: list[Move] = []
        for stem in stems:
            gain = first_order(judge.victim, on.texts, stem, found.target)
            rows = integers(gain.topk(min(4 * count // len(stems), len(gain))).indices)
            out += [Insert(" ".join([*stem.split()[-(self.words - 1) :], names[i]]).strip()) for i in rows]
        return fresh(out, found)[:count]


def first_order(victim: Classifier, texts: tuple[str, ...], stem: str, target: int) -> Tensor:
    """-∇ · e of every vocabulary word `(V,)`, mean over the texts, behind `stem` in front of the text.

    The gradient is taken where the word "the" stands, and has no part in the victim's own gradients.
    """
    ids = victim.encode([f"{stem} the {t}".strip() for t in texts])
    place = int(victim.encode([f"{stem} the".strip()]).shape[1]) - _closing(victim) - 1
    _, numbers = vocabulary(victim)
    with frozen(victim), torch.enable_grad():
        vectors = victim.vectors()[ids].detach().requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(
            victim.from_embeddings(vectors, ids != victim.pad), torch.full((len(ids),), target), reduction="sum"
        )
        (slope,) = torch.autograd.grad(loss, vectors)
    table = victim.vectors().detach()[torch.tensor(numbers)]
    return -(table @ slope[:, place].mean(0))


def _closing(victim: Classifier) -> int:
    """How many special tokens the tokenizer puts behind a text."""
    ids = integers(victim.encode(["the"])[0])
    special = set[int](victim.tokenizer.all_special_ids)
    return next((k for k, i in enumerate(reversed(ids)) if i not in special), 0)
