# pyright: standard
"""Who pushes back: actions on flow records in training, actions on packets in the evaluation, botnets on the link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.attacks.base import Attack
from sparring.attacks.decision import DecisionSearch
from sparring.attacks.search import ConstrainedSearch
from sparring.evaluation.protocol import Adversary
from sparring.network import Schema
from sparring.network.actions import ActionSpace, action_space
from sparring.network.actionthreat import Acted, ActionThreat, pack, unpack
from sparring.network.detector import Sparring
from sparring.network.generator.attacks import Attack as Assault
from sparring.network.generator.attacks import Shape
from sparring.systems.ddos.packets import PacketSpace

TRAINED = ("pad", "stretch", "dummies")
"""Actions of the training; the initial window is held out."""


def partner(space: ActionSpace, x: Tensor, y: Tensor, queries: int) -> Sparring:
    """A training adversary that does actions of `space` on the rows `x` `(n, width)` with labels `y`."""
    threat, attack = ActionThreat(space), ConstrainedSearch(queries=queries, population=16, gradient_steps=0)

    def play(model: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        batch = pack(x[rows], space), y[rows]
        return unpack(attack(Acted(model, space), batch, threat, generator=generator).x_adv, space)

    return play


def partners(schema: Schema, x: Tensor, y: Tensor, queries: int, actions: Sequence[str] = TRAINED) -> list[Sparring]:
    """The training adversaries: the strong version of these actions."""
    return [partner(action_space(schema).only(*actions), x, y, queries)]


def roster(queries: int) -> list[Adversary]:
    """Everybody who plays the finished detector, on packets: seen actions first, then what was held out."""

    def search(name: str, *actions: str, seen: bool = False, attack: Attack | None = None) -> Adversary:
        space = PacketSpace().only(*actions)
        return Adversary(
            name=name, attack=attack or ConstrainedSearch(queries=queries), threat=ActionThreat(space), seen=seen
        )

    everything = ("pad", "stretch", "dummies", "window")
    return [
        search("actions as trained", *TRAINED, seen=True),
        search("unseen action: window", "window"),
        search("all actions, strong", *everything),
        search("labels only", *everything, attack=DecisionSearch(queries=queries)),
    ]


@dataclass(frozen=True)
class Botnet:
    """The attack on the link, as the botnet's master may shape it; `bits` per second stay what they are.

    `options` are shapes to choose from: kind of flood, padding, variety of fields, spoofing, number of bots.
    """

    bits: float
    bots: int
    start: float
    seconds: float
    victim: int

    def plain(self) -> Assault:
        """An unshaped SYN flood from all bots."""
        return self.shaped("syn flood", Shape(), False, self.bots)

    def shaped(self, kind: str, shape: Shape, spoofed: bool, bots: int) -> Assault:
        """The attack of this kind and shape at the same bits per second."""
        size = {"syn flood": 40 + shape.pad, "udp flood": 400 + shape.pad, "dns amplification": 1_100 + shape.pad}
        wire = min(size.get(kind, 600), 1_500) + 14
        return Assault(kind, self.start, self.seconds, self.bits / 8 / wire, bots, spoofed, shape, self.victim)

    def drawn(self, rng: np.random.Generator) -> Assault:
        """A random shape."""
        kind = str(rng.choice(["syn flood", "udp flood", "dns amplification", "ldap amplification"]))
        shape = Shape(int(rng.choice([0, 60, 400, 1_000])), float(rng.random()), float(rng.random()))
        bots = int(np.exp(rng.uniform(np.log(max(self.bots // 40, 1)), np.log(self.bots))))
        return self.shaped(kind, shape, bool(rng.random() < 0.4), bots)

    def near(self, best: Assault, rng: np.random.Generator) -> Assault:
        """A shape near a good one: one of its settings drawn again."""
        other, pick = self.drawn(rng), int(rng.integers(4))
        shape = Shape(
            other.shape.pad if pick == 0 else best.shape.pad,
            best.shape.jitter,
            other.shape.mix if pick == 1 else best.shape.mix,
        )
        spoofed = other.spoofed if pick == 2 else best.spoofed
        return self.shaped(best.kind, shape, spoofed, other.bots if pick == 3 else best.bots)


def bits_of(rows: NDArray[np.int64]) -> float:
    """Bits on the wire of IP packets of these sizes."""
    return float((rows + 14).sum() * 8)
