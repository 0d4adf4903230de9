# pyright: basic
"""Bar 2: users of tested captures, botnets and a flash crowd on one link, under ours and under static limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ddos_traces import Captures, overlay

from sparring.network.generator.scene import CLIENTS, Crowd, Scene, stage
from sparring.network.headers import Headers, ipv4, joined
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.link import Link, carry
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.onlink import described
from sparring.systems.ddos.ratelimit import Limits
from sparring.systems.ddos.trial import FLOOD, Trial, capacity_of, mixed, toward, try_out, worst_shape

SECONDS, START = 40.0, 10.0
OVER = 2.5
"""Load of the flash crowd over the capacity."""
LIMITS = {"50 packets/s a source": Limits(50.0), "10 packets/s a source": Limits(10.0)}


def busiest(h: Headers) -> int:
    """The IPv4 address that most bits go to while the attack lasts: a victim without users could as well be cut off."""
    four = ~h.v6 & (h.time >= START * 1e6)
    address, of = np.unique(h.target[four, 1] & np.uint64(0xFFFFFFFF), return_inverse=True)
    return int(address[np.argmax(np.bincount(of, h.size[four]))])


def measured(guard: Guard, real: Captures, seed: int, quick: bool) -> dict[str, float | str]:
    """All figures of one seed."""
    quiet = overlay(real.test, SECONDS)
    link = Link(capacity_of(quiet, SECONDS))
    bots = 400 if quick else 4_000
    net = Botnet(FLOOD * link.capacity, bots, START, SECONDS - START, busiest(quiet))

    def goodput(attack) -> float:
        headers, bad = mixed(quiet, toward(attack, seed, net.bits))
        return carry(headers, bad, link, Mitigator(guard, link.capacity)).goodput(START, SECONDS)

    def trial(title: str, attack) -> Trial:
        ours = Mitigator(guard, link.capacity)
        return try_out(title, quiet, toward(attack, seed, net.bits), link, (START, SECONDS), ours, limits=LIMITS)

    out: dict[str, float | str] = {"capacity, Mbit/s": link.capacity / 1e6}
    out |= _told("plain", trial("plain", net.plain()), net.victim)
    for count in (1, 200):
        out |= _told(f"{count} bots", trial("", replace(net, bots=count).plain()), net.victim)
    worst, _, history = worst_shape(net, goodput, 2 if quick else 14, np.random.default_rng(seed))
    out |= _told("worst", trial("worst", worst), net.victim)
    out["worst shape"], out["shapes tried"] = described(worst), float(len(history))
    shapes = [mixed(quiet, toward(opening, seed, net.bits)) for opening in net.openings()]
    out["openings: users' packets blocked"] = max(
        carry(h, bad, link, Mitigator(guard, link.capacity)).benign_blocked() for h, bad in shapes
    )
    calm = carry(quiet, np.zeros(len(quiet), dtype=bool), link, Mitigator(guard, link.capacity))
    out["quiet: users' packets blocked"] = calm.benign_blocked()
    return out | _crowd(guard, quiet, link, seed)


def _told(name: str, t: Trial, victim: int) -> dict[str, float]:
    ours = t.passages["ours"]
    out = {f"{name}: {who}": t.goodput(who) for who in t.passages}
    out[f"{name}: users' packets blocked"] = ours.benign_blocked()
    out[f"{name}: seconds to rules"] = t.delay if t.delay is not None else float("inf")
    return out


def _crowd(guard: Guard, quiet: Headers, link: Link, seed: int) -> dict[str, float]:
    """Hundreds of new web users at one server, who alone overfill the link; nobody attacks."""
    surge = Crowd(START, 15.0, 8.0, 8)
    staged = stage(Scene(SECONDS, rate=25.0, crowd=surge), np.random.default_rng(seed)).headers
    first = ipv4(np.array([CLIENTS + 400]))[0, 1]
    last = ipv4(np.array([CLIENTS + 65_535]))[0, 1]

    def new(address) -> np.ndarray:
        return (address[:, 1] >= first) & (address[:, 1] <= last)

    people = staged.take(new(staged.source) | new(staged.target))
    client = np.where(new(people.source), people.source[:, 1], people.target[:, 1])
    bits = float((people.size + 14).sum()) * 8 / 15
    some = np.random.default_rng(seed).random(1 << 16) < OVER * link.capacity / bits
    people = people.take(some[(client & np.uint64(0xFFFF)).astype(np.int64)])
    headers = joined([quiet, people]).ordered()
    nobody = np.zeros(len(headers), dtype=bool)
    done = carry(headers, nobody, link, Mitigator(guard, link.capacity))
    theirs = new(headers.source) | new(headers.target)
    return {
        "crowd: users' packets blocked": done.benign_blocked(START, SECONDS),
        "crowd: its own packets blocked": float(done.blocked[theirs].mean()),
        "crowd: load over capacity": float((people.size + 14).sum() * 8 / 15 / link.capacity),
    }


def at_the_anchors(guard: Guard, real: Captures, seed: int) -> dict[str, float]:
    """The plain flood on all captures and 7.4 Mbit/s, as the anchors were measured; ours has seen some in training."""
    quiet, link = overlay(real.every, SECONDS), Link(7.4e6)
    net = Botnet(FLOOD * link.capacity, 4_000, START, SECONDS - START, busiest(quiet))
    ours = Mitigator(guard, link.capacity)
    flood = toward(net.plain(), seed, net.bits)
    t = try_out("", quiet, flood, link, (START, SECONDS), ours, limits=LIMITS)
    return {f"all captures: {who}": t.goodput(who) for who in t.passages}


def worst_of(found: Sequence[dict[str, float]], key: str) -> float:
    return max(f[key] for f in found)
