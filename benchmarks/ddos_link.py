# pyright: basic
"""Bar 2: users of tested captures, botnets and a flash crowd on one link, under ours, under static limits, and with the
victim cut off.

The victim is the destination that most benign bits go to while the attack lasts, so that cutting it off costs its users
what they came for; how they fare is told apart from all users. Beside floods of packets two other botnets are tried:
one asks for pages, one sends what the victim's own users sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from ddos_traces import Captures, overlay

from sparring.network.generator.attacks import BOTS, Attack, Shape
from sparring.network.generator.scene import CLIENTS, Crowd, Scene, stage
from sparring.network.headers import Headers, ipv4, joined, text
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.link import FRAME, Link, Passage, carry
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.raid import Raid, Raiders, worst_raid
from sparring.systems.ddos.ratelimit import Limits
from sparring.systems.ddos.rules import Rule
from sparring.systems.ddos.trial import FLOOD, capacity_of, mixed, toward, try_out

SECONDS, START = 40.0, 10.0
OVER = 2.5
"""Load of the flash crowd over the capacity."""
LIMITS = {"50 packets/s a source": Limits(50.0), "10 packets/s a source": Limits(10.0)}
HELD_OUT = ("HTTP flood", "HTTP flood, known bots", "replay")
"""Botnets that the search for the worst shape does not know."""


def busiest(h: Headers) -> int:
    """The IPv4 address that most bits go to while the attack lasts."""
    four = ~h.v6 & (h.time >= START * 1e6)
    address, of = np.unique(h.target[four, 1] & np.uint64(0xFFFFFFFF), return_inverse=True)
    return int(address[np.argmax(np.bincount(of, h.size[four]))])


@dataclass(frozen=True)
class CutOff:
    """What an operator can always do: from the attack's first second on the link carries nothing to the victim."""

    victim: str

    def decide(self, arrivals: Headers, begin: float) -> tuple[Rule, ...]:
        return (Rule("drop", (self.victim,), reason="victim cut off"),) if begin >= START else ()


@dataclass(frozen=True)
class Ground:
    """The users, the link and the botnet of one seed."""

    guard: Guard
    quiet: Headers
    link: Link
    net: Botnet
    seed: int

    @property
    def address(self) -> np.ndarray:
        return ipv4(np.array([self.net.victim]))[0]

    def ours(self) -> Mitigator:
        return Mitigator(self.guard, self.link.capacity)

    def own(self, h: Headers, bad: np.ndarray, passage: Passage) -> float:
        """Share of the benign bits toward the victim while the attack lasts that reach it."""
        mine = ~bad & (h.target == self.address).all(1) & (h.time >= START * 1e6)
        wire = h.size + FRAME
        return float(wire[mine & passage.through].sum() / max(wire[mine].sum(), 1))

    def trial(self, name: str, flood: Headers, limits: Mapping[str, Limits]) -> dict[str, float]:
        """All figures of one attack, every mitigation on the same packets."""
        others = {"victim cut off": CutOff(text(self.address))}
        t = try_out(name, self.quiet, flood, self.link, (START, SECONDS), self.ours(), others, limits)
        h, bad = mixed(self.quiet, flood)
        out = {f"{name}: {who}": t.goodput(who) for who in t.passages}
        out |= {f"{name}, victim's own users: {who}": self.own(h, bad, p) for who, p in t.passages.items()}
        out[f"{name}: users' packets blocked"] = t.passages["ours"].benign_blocked(START, SECONDS)
        out[f"{name}: seconds to rules"] = SECONDS - START if t.delay is None else t.delay  # never: the whole attack
        return out


def measured(guard: Guard, real: Captures, seed: int, quick: bool) -> dict[str, float | str]:
    """All figures of one seed."""
    quiet = overlay(real.test, SECONDS)
    link = Link(capacity_of(quiet, SECONDS))
    net = Botnet(FLOOD * link.capacity, 400 if quick else 4_000, START, SECONDS - START, busiest(quiet))
    ground, raiders = Ground(guard, quiet, link, net, seed), Raiders(net, quiet)
    tried, blocked, own = dict[str, float](), dict[str, float](), dict[str, float]()

    def goodput(raid: Raid) -> float:
        headers, bad = mixed(quiet, raiders.packets(raid, seed))
        passage = carry(headers, bad, link, ground.ours())
        blocked[raid.told()] = passage.benign_blocked(START, SECONDS)
        own[raid.told()] = ground.own(headers, bad, passage)
        tried[raid.told()] = passage.goodput(START, SECONDS)
        return tried[raid.told()]

    out: dict[str, float | str] = {"capacity, Mbit/s": link.capacity / 1e6}
    out |= ground.trial("plain", toward(net.plain(), seed, net.bits), LIMITS)
    for count in (1, 200):
        few = replace(net, bots=count).plain()
        out |= ground.trial(f"{count} bots", toward(few, seed, net.bits), {})
    worst, _, history = worst_raid(raiders, goodput, 2 if quick else 21, np.random.default_rng(seed))
    out |= ground.trial("worst", raiders.packets(worst, seed), LIMITS)
    out["worst shape"], out["shapes tried"] = worst.told(), float(len(history))
    out["shapes: users' packets blocked"] = max(blocked.values())
    out["shapes: victim's own users, the lowest"] = min(own.values())
    out |= {f"tried: {name}": value for name, value in tried.items()}
    out |= {f"tried, own users: {name}": value for name, value in own.items()}
    out |= {f"tried, blocked: {name}": value for name, value in blocked.items()}
    for name in HELD_OUT:
        out |= ground.trial(name, held_out(name, ground), {})
    calm = carry(quiet, np.zeros(len(quiet), dtype=bool), link, ground.ours())
    out["no attack: users' packets blocked"] = calm.benign_blocked(START, SECONDS)
    return out | _crowd(ground)


def held_out(name: str, ground: Ground) -> Headers:
    """The packets of one of the botnets `HELD_OUT`."""
    net = ground.net
    if name == "replay":
        return replayed(ground, np.random.default_rng(ground.seed))
    shape = Shape(mix=1.0, dummies=1.0 if "known" in name else 0.0)
    asked = Attack("http flood", START, SECONDS - START, 50.0, net.bots, False, shape, net.victim)
    return toward(asked, ground.seed, net.bits)


def replayed(ground: Ground, rng: np.random.Generator) -> Headers:
    """What the victim's users send it while the attack lasts, conversation by conversation, again from bots."""
    h = ground.quiet
    h = h.take((h.target == ground.address).all(1) & (h.time >= START * 1e6))
    ends = np.column_stack([h.source, h.source_port, h.target_port, h.protocol]).astype(np.uint64)
    talk = np.unique(ends, axis=0, return_inverse=True)[1].reshape(-1)
    rows = [np.flatnonzero(talk == k) for k in range(int(talk.max()) + 1)]
    parts, bits, wire = list[Headers](), 0.0, (h.size + FRAME) * 8
    while bits < ground.net.bits * (SECONDS - START):
        mine = rows[int(rng.integers(len(rows)))]
        one = h.take(mine)
        length = int(one.time[-1] - one.time[0])
        begin = round(START * 1e6) + int(rng.integers(max(round((SECONDS - START) * 1e6) - length, 1)))
        bot = ipv4(np.full(len(one), BOTS + int(rng.integers(ground.net.bots))))
        port = np.full(len(one), int(rng.integers(1_024, 65_536)))
        parts.append(replace(one, time=one.time - one.time[0] + begin, source=bot, source_port=port))
        bits += float(wire[mine].sum())
    return joined(parts).ordered()


def _crowd(ground: Ground) -> dict[str, float]:
    """Hundreds of new web users at one server, who alone overfill the link; nobody attacks."""
    surge, link, seed = Crowd(START, 15.0, 8.0, 8), ground.link, ground.seed
    staged = stage(Scene(SECONDS, rate=25.0, crowd=surge), np.random.default_rng(seed)).headers
    first = ipv4(np.array([CLIENTS + 400]))[0, 1]
    last = ipv4(np.array([CLIENTS + 65_535]))[0, 1]

    def new(address) -> np.ndarray:
        return (address[:, 1] >= first) & (address[:, 1] <= last)

    people = staged.take(new(staged.source) | new(staged.target))
    client = np.where(new(people.source), people.source[:, 1], people.target[:, 1])
    bits = float((people.size + FRAME).sum()) * 8 / 15
    some = np.random.default_rng(seed).random(1 << 16) < OVER * link.capacity / bits
    people = people.take(some[(client & np.uint64(0xFFFF)).astype(np.int64)])
    headers = joined([ground.quiet, people]).ordered()
    nobody = np.zeros(len(headers), dtype=bool)
    done = carry(headers, nobody, link, ground.ours())
    theirs = new(headers.source) | new(headers.target)
    return {
        "crowd: users' packets blocked": done.benign_blocked(START, SECONDS),
        "crowd: its own packets blocked": float(done.blocked[theirs].mean()),
        "crowd: load over capacity": float((people.size + FRAME).sum() * 8 / 15 / link.capacity),
    }


def at_the_anchors(guard: Guard, real: Captures, seed: int) -> dict[str, float]:
    """The plain flood on all captures and 7.4 Mbit/s, as the anchors were measured; ours has seen some in training."""
    quiet, link = overlay(real.every, SECONDS), Link(7.4e6)
    net = Botnet(FLOOD * link.capacity, 4_000, START, SECONDS - START, busiest(quiet))
    ground = Ground(guard, quiet, link, net, seed)
    return ground.trial("all captures", toward(net.plain(), seed, net.bits), LIMITS)
