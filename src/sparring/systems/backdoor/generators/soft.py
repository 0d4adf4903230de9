"""Soft inversion after DBS (Shen et al., "Constrained Optimization with Dynamic Bound-scaling", ICML 2022): a rival.

Reconstructed from the paper's idea: each trigger place is a mixture of the vocabulary, softmax(z / T); z descends the
cross entropy towards the label, T falls while the loss is low and rises (with noise on z) where the search is stuck.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.attacks.base import frozen
from sparring.systems.backdoor.generators.base import Found
from sparring.systems.backdoor.model import Classifier, vocabulary
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reward import Judge
from sparring.typed import integers, step


@dataclass
class Soft:
    """`places` words behind the first token, `steps` of Adam on `carriers` sentences; read out at every low loss."""

    places: int = 5
    steps: int = 40
    carriers: int = 8
    rate: float = 0.5
    low: float = 0.3
    name: str = "soft"

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        victim = judge.victim
        names, numbers = vocabulary(victim)
        table = victim.vectors().detach()[torch.tensor(numbers)]
        ids = victim.encode(judge.carriers(found.target, self.carriers).texts)
        z = 0.1 * torch.randn(self.places, len(table), generator=generator)
        z.requires_grad_(True)
        optimizer = torch.optim.Adam([z], lr=self.rate)
        heat = 2.0
        seen: list[str] = []
        with frozen(victim), torch.enable_grad():
            for number in range(self.steps):
                loss = _loss(victim, ids, (z / heat).softmax(1) @ table, found.target)
                (z.grad,) = torch.autograd.grad(loss, z)
                step(optimizer)
                if float(loss.detach()) < self.low:
                    seen.append(" ".join(names[i] for i in integers(z.detach().argmax(1))))
                    heat = max(0.05, heat / 1.3)
                elif number % 10 == 9:
                    heat = min(2.0, heat * 2)
                    z.data += 0.5 * torch.randn(z.shape, generator=generator)
        seen.append(" ".join(names[i] for i in integers(z.detach().argmax(1))))
        moves: list[Move] = [Insert(text) for text in dict.fromkeys(reversed(seen))]
        return moves[:count]


def _loss(victim: Classifier, ids: Tensor, phrase: Tensor, target: int) -> Tensor:
    vectors = victim.vectors().detach()[ids]
    spread = phrase.unsqueeze(0).expand(len(ids), -1, -1)
    mask = ids != victim.pad
    mixed = torch.cat([vectors[:, :1], spread, vectors[:, 1:]], dim=1)
    seen = torch.cat([mask[:, :1], mask.new_ones(len(ids), len(phrase)), mask[:, 1:]], dim=1)
    return F.cross_entropy(victim.from_embeddings(mixed, seen), torch.full((len(ids),), target))
