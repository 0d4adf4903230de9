# pyright: standard
"""Trials on the link: users, an attack or a flash crowd, and every mitigation on the same packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network.generator.attacks import KINDS, Attack, assault
from sparring.network.generator.scene import Crowd, Scene, stage
from sparring.network.headers import Headers, ipv4, joined
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.link import FRAME, Controller, Link, Passage, carry
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import Guard
from sparring.systems.ddos.rules import Rule

FLOOD = 1.16
"""The attack's bits per second over the link's capacity."""
VICTIM = 0xCB007101 + 7
"""A server of the scenes that many services share: 203.0.113.8."""


@dataclass(frozen=True)
class Trial:
    """One traffic under several mitigations: `passages` by name; `rules` of ours at the end; `delay` seconds from the
    attack's begin to the first rules in force (None: none)."""

    title: str
    link: Link
    start: float
    stop: float
    passages: dict[str, Passage]
    rules: tuple[Rule, ...]
    delay: float | None


def capacity_of(benign: Headers, seconds: float) -> float:
    """Twice the mean load of the benign packets, bit/s."""
    return 2 * float((benign.size + FRAME).sum()) * 8 / seconds


def toward(attack: Attack, rng: np.random.Generator) -> Headers:
    """The attack's packets that go to the victim, in order of time."""
    h = assault(attack, rng)[0]
    return h.take((h.target == ipv4(np.array([attack.victim]))[0]).all(1)).ordered()


def mixed(benign: Headers, attack: Headers) -> tuple[Headers, NDArray[np.bool_]]:
    """Both in order of time, and which packets are the attack's."""
    both = joined([benign, attack])
    order = np.argsort(both.time, kind="stable")
    return both.take(order), order >= len(benign)


def try_out(
    title: str, benign: Headers, attack: Headers, link: Link, span: tuple[float, float],
    controllers: dict[str, Controller | None],
) -> Trial:  # fmt: skip
    """The same packets under no mitigation, each controller, and the oracle that drops exactly the attack.

    The controller called "ours" tells the trial's rules and delay.
    """
    headers, bad = mixed(benign, attack)
    passages = {name: carry(headers, bad, link, controller) for name, controller in controllers.items()}
    passages["oracle"] = carry(headers, bad, link, oracle=True)
    ours = passages.get("ours")
    ruled = [w.begin for w in ours.windows if w.rules and w.begin >= span[0]] if ours else []
    kept = controllers.get("ours")
    rules = kept.rules if isinstance(kept, Mitigator) else ()
    return Trial(title, link, *span, passages, rules, ruled[0] - span[0] if ruled else None)


def users(seconds: int, seed: int, *, crowd: bool = False, rate: float = 25.0) -> Headers:
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
    start = seconds / 4
    ours = Mitigator(guard, link.capacity)
    if crowd:
        surge = users(seconds, seed, crowd=True)
        return try_out("a flash crowd", surge, surge.take(slice(0, 0)), link, (seconds / 3, 2 * seconds / 3),
                       {"none": None, "ours": ours})  # fmt: skip
    from sparring.network.generator.attacks import Shape

    net = Botnet(FLOOD * link.capacity, bots, start, seconds - start, VICTIM)
    attack = toward(net.shaped(kind, Shape(mix=mix), spoofed, bots), np.random.default_rng(seed + 1))
    title = f"{kind} of {bots:,} bots{', spoofed' if spoofed else ''} for {seconds - start:.0f} s"
    return try_out(title, quiet, attack, link, (start, float(seconds)), {"none": None, "ours": ours})


def worst_shape(
    net: Botnet, goodput: Callable[[Attack], float], tries: int, rng: np.random.Generator
) -> tuple[Attack, float, list[float]]:
    """The botnet's search: random shapes, then changes of the best one; lowest goodput wins.

    `goodput(attack)` runs the whole defence. Returns the best attack, its goodput, and the best so far by try.
    """
    best, low, history = net.plain(), goodput(net.plain()), []
    for i in range(tries):
        attack = net.drawn(rng) if i < tries // 2 else net.near(best, rng)
        value = goodput(attack)
        if value < low:
            best, low = attack, value
        history.append(low)
    return best, low, history


def told(found: Trial) -> dict[str, Any]:
    """A trial as JSON data."""
    return {
        "title": found.title,
        "capacity": found.link.capacity,
        "delay": found.delay,
        "goodput": {n: p.goodput(found.start, found.stop) for n, p in found.passages.items()},
        "goodput_after_3_s": {n: p.goodput(found.start + 3, found.stop) for n, p in found.passages.items()},
        "benign_blocked": {n: p.benign_blocked() for n, p in found.passages.items()},
        "rules": [r.record() for r in found.rules],
    }
