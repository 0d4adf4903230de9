"""A botnet's whole plan on the link: the flood, whom it hits, whose addresses it forges; and the search for the worst.

A flood toward one victim from the bots' own addresses is the least that a mitigation must meet. Carpet bombing spreads
it over everybody behind the link, a rotating flood leaves each victim before the rules come, and packets in the name
of the victim's own users punish them when sources are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparring.network.generator.attacks import Attack, Shape
from sparring.network.headers import Headers, ipv4
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.trial import toward

Aim = Literal["victim", "rotate", "carpet"]
Forged = Literal["", "users", "known"]
_TURNS = 30
"""Victims of a rotating flood, a second each: the busiest ones."""
_AIMS: dict[Aim, str] = {"victim": "", "rotate": "another victim each second", "carpet": "toward everybody"}
_FORGED: dict[Forged, str] = {"": "", "users": "as the victim's users", "known": "as hosts known before"}


@dataclass(frozen=True)
class Raid:
    """A flood, its aim (one victim; the thirty busiest in turn; everybody behind the link), and whose addresses its
    packets bear: "" as `flood` says, "users" those of the victim's users, "known" anybody seen before the attack."""

    flood: Attack
    aim: Aim = "victim"
    forged: Forged = ""

    def told(self) -> str:
        """In words."""
        aim, forged = _AIMS[self.aim], _FORGED[self.forged]
        return ", ".join(word for word in (described(self.flood), aim, forged) if word)


@dataclass(frozen=True)
class Raiders:
    """A `Botnet` that may also choose its aim and the addresses that it forges; `quiet` is what its master watches:
    the users' packets, in order of time."""

    net: Botnet
    quiet: Headers

    def plain(self) -> Raid:
        """An unshaped SYN flood from all bots toward the victim."""
        return Raid(self.net.plain())

    def openings(self) -> list[Raid]:
        """What is tried first: the plain flood, raids that change the aim or the addresses, the net's own openings.

        Those that broke a mitigation before come early, so that a short search plays them, too.
        """
        own = self.net.openings()
        syn, udp = own[0], replace(own[2], spoofed=False)
        return [
            Raid(syn),
            Raid(replace(syn, shape=Shape(dummies=0.5)), "carpet"),
            Raid(syn, "rotate"),
            Raid(udp, "carpet", "known"),
            Raid(udp, forged="users"),
            Raid(own[3]),
            Raid(syn, "carpet"),
            Raid(udp, "carpet"),
            Raid(syn, forged="users"),
            *(Raid(one) for one in own[1:3]),
            *(Raid(one) for one in own[4:]),
        ]

    def drawn(self, rng: np.random.Generator) -> Raid:
        """A random raid; half of them toward the one victim, half under no forged user's address."""
        aims: tuple[Aim, ...] = ("victim", "victim", "rotate", "carpet")
        names: tuple[Forged, ...] = ("", "", "users", "known")
        return Raid(self.net.drawn(rng), aims[int(rng.integers(4))], names[int(rng.integers(4))])

    def near(self, best: Raid, rng: np.random.Generator) -> Raid:
        """A raid near a good one: its aim, the addresses, or one setting of its flood drawn again."""
        other, pick = self.drawn(rng), int(rng.integers(4))
        if pick == 0:
            return replace(best, aim=other.aim)
        if pick == 1:
            return replace(best, forged=other.forged)
        return replace(best, flood=self.net.near(best.flood, rng))

    def packets(self, raid: Raid, seed: int) -> Headers:
        """The raid's packets, in order of time, at the net's bits per second."""
        h = toward(raid.flood, seed, self.net.bits)
        rng, now = np.random.default_rng((seed, 7)), np.flatnonzero(h.time >= self.net.start * 1e6)
        target, source = h.target.copy(), h.source.copy()
        if raid.aim == "carpet":
            target[now] = _picked(self._served(len(self.quiet)), len(now), rng)
        if raid.aim == "rotate":
            turns = self._served(_TURNS)
            target[now] = turns[h.time[now] // 1_000_000 % len(turns)]
        if raid.forged:
            source[now] = _picked(self._senders(raid.forged), len(now), rng)
        return replace(h, target=target, source=source)

    def _served(self, most: int) -> NDArray[np.uint64]:
        """Addresses that users' packets go to while the attack lasts, the busiest first."""
        late = self.quiet.take((self.quiet.time >= self.net.start * 1e6) & ~self.quiet.v6)
        address, count = np.unique(late.target, axis=0, return_counts=True)
        return address[np.argsort(-count, kind="stable")][:most]

    def _senders(self, which: Forged) -> NDArray[np.uint64]:
        h = self.quiet
        own = (h.target == ipv4(np.array([self.net.victim]))[0]).all(1)
        chosen = own if which == "users" else (h.time < self.net.start * 1e6) & ~h.v6
        return np.unique(h.source[chosen], axis=0)


def _picked(address: NDArray[np.uint64], n: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    return address[rng.integers(0, len(address), n)]


def worst_raid(
    raiders: Raiders, goodput: Callable[[Raid], float], tries: int, rng: np.random.Generator
) -> tuple[Raid, float, list[float]]:
    """The botnet's search: the openings, then by turns random raids and changes of the best one; lowest goodput wins.

    `goodput(raid)` runs the whole defence. Returns the best raid, its goodput, and the best so far by try.
    """
    openings = raiders.openings()[: max(tries, 1)]
    best, low = openings[0], goodput(openings[0])
    history = [low]
    for i in range(1, max(tries, 1)):
        raid = openings[i] if i < len(openings) else raiders.near(best, rng) if i % 2 else raiders.drawn(rng)
        value = goodput(raid)
        if value < low:
            best, low = raid, value
        history.append(low)
    return best, low, history


def described(attack: Attack) -> str:
    """A flood and its disguise in words."""
    shape, words = attack.shape, [f"{attack.kind}, {attack.bots:,} bots"]
    words += ["spoofed"] if attack.spoofed else []
    words += [f"padded by {shape.pad}"] if shape.pad else []
    words += [f"variety {shape.mix:.2f}"] if shape.mix else []
    words += [f"{shape.dummies:.0%} known before"] if shape.dummies and not attack.spoofed else []
    return ", ".join(words)
