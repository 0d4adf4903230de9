"""The genetic part of the constrained search: a population for every sample, bred within the threat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.threats.base import ThreatModel, flat


@dataclass(frozen=True)
class Population:
    """Members `(n, p, d)` of the threat around each of n samples, and their payoff `(n, p)`."""

    members: Tensor
    value: Tensor

    def keep(self, kept: Tensor) -> Population:
        """The populations of the kept samples."""
        return Population(self.members[kept], self.value[kept])

    def champions(self, fallen: Tensor) -> tuple[Tensor, Tensor]:
        """Of each sample the best member, winners first, `(n, d)`; and whether it has a winner `(n,)`."""
        ranked = torch.where(fallen, torch.inf, self.value)
        index = ranked.argmax(1, keepdim=True)
        return _pick(self.members, index).squeeze(1), fallen.any(1)

    def succeed(self, children: Tensor, value: Tensor, fallen: Tensor) -> tuple[Population, Tensor]:
        """The best p of parents and children, winners first, and which of them win."""
        members, values = torch.cat([self.members, children], dim=1), torch.cat([self.value, value], dim=1)
        wins = torch.cat([torch.zeros_like(self.value, dtype=torch.bool), fallen], dim=1)
        best = torch.where(wins, torch.inf, values).topk(self.members.shape[1], dim=1).indices
        return Population(_pick(members, best), values.gather(1, best)), wins.gather(1, best)


def offspring(herd: Population, x: Tensor, threat: ThreatModel, count: int, generator: torch.Generator) -> Tensor:
    """`count` children of each sample, `(n, count, d)`, all members of the threat.

    Each child is a uniform crossover of a tournament winner with another member, and then, with equal chance: some
    features resampled from the threat; a step of random length along a random steepest direction on some features;
    a share of the difference between two members (differential evolution); or nothing more.
    """
    n, p, d = herd.members.shape
    place: dict[str, Any] = {"generator": generator, "device": x.device}
    pairs = torch.randint(p, (4, n, count), **place)
    first, second = herd.value.gather(1, pairs[0]), herd.value.gather(1, pairs[1])
    winner = torch.where(first >= second, pairs[0], pairs[1])
    mother, father = _pick(herd.members, winner), _pick(herd.members, pairs[2])
    mixing = torch.rand(n, count, 1, **place).clamp_max(0.5)
    child = torch.where(torch.rand(n, count, d, **place) < mixing, father, mother)

    clean = x.repeat_interleave(count, dim=0)
    rate = torch.exp(torch.rand(n, count, 1, **place) * math.log(max(d / 2, 1.0))) / max(d, 1)
    chosen = torch.rand(n, count, d, **place) < rate
    resampled = torch.where(chosen, flat(threat.sample(clean, generator=generator)).reshape(n, count, d), child)
    slope = (torch.randn(n, count, d, **place) * chosen).to(x.dtype).reshape(clean.shape)
    direction = flat(threat.steepest(slope, child.reshape(clean.shape), clean)).reshape(n, count, d)
    length = threat.radius * torch.exp(torch.rand(n, count, 1, **place) * math.log(0.01)).to(x.dtype)
    stepped = child + length * direction
    other = _pick(herd.members, pairs[3])
    differential = child + torch.rand(n, count, 1, **place).to(x.dtype) * (father - other)

    kind = torch.randint(4, (n, count, 1), **place)
    child = torch.where(kind == 0, resampled, torch.where(kind == 1, stepped, child))
    child = torch.where(kind == 2, differential, child)
    return flat(threat.project(child.reshape(clean.shape), clean)).reshape(n, count, d)


def _pick(members: Tensor, index: Tensor) -> Tensor:
    return members.gather(1, index.unsqueeze(2).expand(-1, -1, members.shape[2]))
