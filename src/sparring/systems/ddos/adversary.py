"""Who pushes back: actions on flow records in training, actions on packets in the evaluation, botnets on the link."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
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
from sparring.systems.ddos.packets import EVERYTHING, PacketSpace, Played

TRAINED = ("pad", "stretch", "dummies", "window")
"""Actions of the training, and those that the GAN's generator sets; the spreading over sources is held out, because a
record of one flow cannot tell it."""
ALL_ACTIONS = "all actions, strong"


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


def roster(queries: int, other: Played, gan: Attack | None = None) -> list[Adversary]:
    """Everybody who plays the finished guard, on packets: seen adversaries first, then what was held out.

    `other` is another guard as it is played: what is found against it is tried on this one. `gan` is the generator that
    trained it, as an attack on packets.
    """

    def search(name: str, *actions: str, seen: bool = False, attack: Attack | None = None) -> Adversary:
        space = PacketSpace().only(*actions)
        return Adversary(
            name=name, attack=attack or ConstrainedSearch(queries=queries), threat=ActionThreat(space), seen=seen
        )

    everyone = [search("actions as trained", *TRAINED, seen=True)]
    if gan is not None:
        everyone.append(search("GAN's disguise", *TRAINED, seen=True, attack=gan))
    return [
        *everyone,
        search("unseen action: spread", "spread"),
        search(ALL_ACTIONS, *EVERYTHING),
        search("labels only", *EVERYTHING, attack=DecisionSearch(queries=queries)),
        Adversary(
            name="transfer",
            attack=ConstrainedSearch(queries=queries),
            threat=ActionThreat(PacketSpace()),
            access="transfer",
            source=other,
        ),
    ]


_SIZES = {"syn flood": 48, "udp flood": 640, "dns amplification": 1_300, "ldap amplification": 1_420}
"""Typical IP bytes of a packet of each kind of flood."""


@dataclass(frozen=True)
class Botnet:
    """The attack on the link, as the botnet's master may shape it; `bits` per second stay what they are.

    Its choices are the kind of flood, padding, variety of fields, timing, spoofing, how many of the bots take part and
    how many of them make themselves known to the victim beforehand.
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
        size = _SIZES[kind] + shape.pad
        per_packet = min(size, 1_500) + 14
        return Assault(kind, self.start, self.seconds, self.bits / 8 / per_packet, bots, spoofed, shape, self.victim)

    def openings(self) -> list[Assault]:
        """What is tried first: the plain flood, and shapes that each beat one stage of a mitigation taken alone.

        Every packet different from a forged address beats lists of sources; bots that everybody knows beat what spares
        known sources; few bots with large, varied packets beat what counts flows.
        """
        known = Shape(mix=1.0, dummies=1.0)
        return [
            self.plain(),
            self.shaped("syn flood", Shape(60, 1.0, 1.0), True, self.bots),
            self.shaped("udp flood", Shape(mix=1.0), True, self.bots),
            self.shaped("syn flood", known, False, self.bots),
            self.shaped("udp flood", known, False, self.bots),
            self.shaped("udp flood", Shape(400, 1.0, 1.0, 1.0), False, max(self.bots // 20, 1)),
        ]

    def drawn(self, rng: np.random.Generator) -> Assault:
        """A random shape."""
        kind = str(rng.choice([*_SIZES]))
        shape = Shape(
            int(rng.choice([0, 60, 400, 1_000])),
            float(rng.random()),
            float(rng.random()),
            float(rng.choice([0.0, 0.0, 0.1, 0.5, 1.0])),
        )
        bots = int(math.exp(rng.uniform(math.log(max(self.bots // 40, 1)), math.log(self.bots + 1))))
        return self.shaped(kind, shape, bool(rng.random() < 0.4), bots)

    def near(self, best: Assault, rng: np.random.Generator) -> Assault:
        """A shape near a good one: one of its settings drawn again."""
        other, pick = self.drawn(rng), int(rng.integers(6))
        changes: list[dict[str, Any]] = [
            {"pad": other.shape.pad},
            {"jitter": other.shape.jitter},
            {"mix": other.shape.mix},
            {"dummies": other.shape.dummies},
            {},
            {},
        ]
        shape = replace(best.shape, **changes[pick])
        spoofed = other.spoofed if pick == 4 else best.spoofed
        return self.shaped(best.kind, shape, spoofed, other.bots if pick == 5 else best.bots)
