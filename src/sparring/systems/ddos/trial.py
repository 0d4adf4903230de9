"""Trials on the link: users, an attack or a flash crowd, and every mitigation on the same packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network.generator.attacks import KINDS, Attack, Shape, assault
from sparring.network.generator.scene import SERVERS, Crowd, Scene, stage
from sparring.network.headers import Headers, ipv4, joined
from sparring.systems.ddos.link import FRAME, Controller, Link, Passage, carry
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.ratelimit import Limits, limited
from sparring.systems.ddos.rules import Rule

FLOOD = 1.16
"""The attack's bits per second over the link's capacity: a little more than the whole link."""
VICTIM = SERVERS + 8
"""A server of the scenes that many services share."""
_TRIES = 8
CLASSIC = Limits(50.0)
"""The rule that operators reach for first: 50 packets per second from one source."""


@dataclass(frozen=True)
class Trial:
    """One traffic under several mitigations: `passages` by name, `rules` in force at the end.

    `delay` is seconds from the attack's begin to the first window in which rules stopped packets of it (None: never);
    `first` the seconds to the end of the first window in alarm.
    """

    title: str
    link: Link
    start: float
    stop: float
    passages: dict[str, Passage]
    rules: tuple[Rule, ...]
    delay: float | None
    first: float | None

    def goodput(self, name: str) -> float:
        """Goodput of a passage from the attack's begin to its end."""
        return self.passages[name].goodput(self.start, self.stop)


def capacity_of(benign: Headers, seconds: float) -> float:
    """Twice the mean load of the benign packets, bit/s."""
    return 2 * float((benign.size + FRAME).sum()) * 8 / seconds


def toward(attack: Attack, seed: int, bits: float | None = None) -> Headers:
    """The attack's packets that go to the victim, in order of time; at `bits` per second if that is given."""

    def made(one: Attack) -> Headers:
        h = assault(one, np.random.default_rng(seed))[0]
        return h.take((h.target == ipv4(np.array([one.victim]))[0]).all(1)).ordered()

    def load(h: Headers) -> float:
        return float((h.size + FRAME)[h.time >= attack.start * 1e6].sum()) * 8 / attack.seconds

    h, rate = made(attack), attack.rate
    if bits is None:
        return h
    for _ in range(_TRIES):  # what a flood's packets weigh is drawn anew each time; then some are left out
        if load(h) >= bits:
            break
        rate *= 1.2 * bits / max(load(h), 1.0)
        h = made(replace(attack, rate=rate))
    early = h.time < attack.start * 1e6
    return h.take(early | (np.random.default_rng((seed, 1)).random(len(h)) < bits / load(h)))


def mixed(benign: Headers, attack: Headers) -> tuple[Headers, NDArray[np.bool_]]:
    """Both in order of time, and which packets are the attack's."""
    both = joined([benign, attack])
    order = np.argsort(both.time, kind="stable")
    return both.take(order), order >= len(benign)


def try_out(
    title: str, benign: Headers, attack: Headers, link: Link, span: tuple[float, float], ours: Mitigator,
    others: Mapping[str, Controller | None] | None = None, limits: Mapping[str, Limits] | None = None,
) -> Trial:  # fmt: skip
    """The same packets under no mitigation, `others`, static `limits`, ours, and the oracle that drops the attack."""
    headers, bad = mixed(benign, attack)
    passages = {"none": carry(headers, bad, link)}
    passages |= {name: limited(headers, bad, link, limit) for name, limit in (limits or {}).items()}
    passages |= {name: carry(headers, bad, link, controller) for name, controller in (others or {}).items()}
    passages["ours"] = carry(headers, bad, link, ours)
    passages["oracle"] = carry(headers, bad, link, oracle=True)
    seconds = ours.guard.seconds
    ruled = [w.begin for w in passages["ours"].windows if w.attack_blocked and w.begin > span[0]]
    alarms = [a + seconds for a in ours.alarms if a + seconds > span[0]]
    delay, first = ((found[0] - span[0]) if found else None for found in (ruled, alarms))
    return Trial(title, link, *span, passages, ours.rules, delay, first)


def users(seconds: int, seed: int, *, crowd: bool = False, rate: float = 15.0) -> Headers:
    """Generated benign packets of a quiet afternoon; with a flash crowd in the middle third, if asked for."""
    surge = Crowd(seconds / 3, seconds / 3, factor=8.0, server=8) if crowd else None
    return stage(Scene(float(seconds), rate=rate, crowd=surge), np.random.default_rng(seed)).headers


def simulated(
    guard: Guard, *, kind: str, bots: int, spoofed: bool, mix: float, crowd: bool, seconds: int, seed: int
) -> Trial:
    """One trial on generated users, as `sparring ddos simulate` shows it."""
    if kind not in KINDS:
        raise BadInput(f"--attack {kind!r}: choose one of {', '.join(KINDS)}")
    quiet = users(seconds, seed)
    link = Link(capacity_of(quiet, seconds))
    ours, limits = Mitigator(guard, link.capacity), {"50 packets/s a source": CLASSIC}
    if crowd:
        surge = users(seconds, seed, crowd=True)
        span = (seconds / 3, 2 * seconds / 3)
        return try_out("a flash crowd", surge, surge.take(slice(0, 0)), link, span, ours, limits=limits)
    start = seconds / 4
    attack = Attack(kind, start, seconds - start, 100.0, bots, spoofed, Shape(mix=mix), VICTIM)
    packets = toward(attack, seed + 1, FLOOD * link.capacity)
    title = f"{kind} of {bots:,} bots{', spoofed' if spoofed else ''} for {seconds - start:.0f} s"
    return try_out(title, quiet, packets, link, (start, float(seconds)), ours, limits=limits)


def told(found: Trial) -> dict[str, Any]:
    """A trial as JSON data."""
    return {
        "title": found.title,
        "capacity": found.link.capacity,
        "alarm_after": found.first,
        "rules_after": found.delay,
        "goodput": {name: found.goodput(name) for name in found.passages},
        "goodput_after_3_s": {n: p.goodput(found.start + 3, found.stop) for n, p in found.passages.items()},
        "benign_blocked": {n: p.benign_blocked() for n, p in found.passages.items()},
        "rules": [r.record() for r in found.rules],
    }
