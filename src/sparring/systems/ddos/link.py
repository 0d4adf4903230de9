"""A link with a drop-tail queue, and what reaches its far end: the goodput of benign users is what counts.

Time goes in windows. A controller sees each window's arrivals and may change the rules for those that follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparring.network.headers import Headers
from sparring.systems.ddos.rules import Rule

Mask = NDArray[np.bool_]
FRAME = 14
"""Bytes of Ethernet around each IP packet."""


class Controller(Protocol):
    """Who decides about rules: sees a window's arrivals, `begin` in seconds, gives the rules from then on."""

    def decide(self, arrivals: Headers, begin: float) -> tuple[Rule, ...]: ...


@dataclass(frozen=True)
class Link:
    """Capacity in bit/s; a FIFO that holds `queue` seconds of it and drops what does not fit."""

    capacity: float = 7.4e6
    queue: float = 0.1


@dataclass(frozen=True)
class Window:
    """Packets of one window: benign and attack ones that arrived, were blocked by rules, reached the far end.

    `bits` are the benign bits that arrived and that reached the far end; `offered` and `carried` all bits that did.
    """

    begin: float
    benign: int
    benign_blocked: int
    benign_through: int
    attack: int
    attack_blocked: int
    attack_through: int
    bits: tuple[int, int]
    offered: int
    carried: int
    rules: int


@dataclass(frozen=True)
class Passage:
    """What went over the link: the windows in order, and for every packet whether a rule blocked it, whether it
    arrived, `(k,)` each."""

    windows: tuple[Window, ...]
    blocked: Mask
    through: Mask

    def goodput(self, start: float, stop: float) -> float:
        """Share of the benign bits between two times (seconds) that reached the far end.

        Bits, not packets: a full drop-tail queue still takes small packets, which flatters.
        """
        chosen = [w for w in self.windows if start <= w.begin < stop]
        return sum(w.bits[1] for w in chosen) / max(sum(w.bits[0] for w in chosen), 1)

    def benign_blocked(self, start: float = 0.0, stop: float = np.inf) -> float:
        """Share of the benign packets between two times that rules blocked."""
        chosen = [w for w in self.windows if start <= w.begin < stop]
        return sum(w.benign_blocked for w in chosen) / max(sum(w.benign for w in chosen), 1)


def carry(
    headers: Headers, attack: Mask, link: Link, controller: Controller | None = None, *, seconds: float = 1.0,
    oracle: bool = False,
) -> Passage:  # fmt: skip
    """Send packets in order of time over the link. `oracle` blocks exactly the attack's packets."""
    window = headers.time // round(seconds * 1e6)
    edges = np.searchsorted(window, np.arange(int(window[0]), int(window[-1]) + 2)) if len(headers) else [0]
    blocked, through = np.zeros(len(headers), dtype=bool), np.zeros(len(headers), dtype=bool)
    rules: tuple[Rule, ...] = ()
    backlog, clock, out = 0.0, int(headers.time[0]) if len(headers) else 0, list[Window]()
    wire = (headers.size + FRAME) * 8
    for k in range(len(edges) - 1):
        part = slice(int(edges[k]), int(edges[k + 1]))
        arrivals, begin = headers.take(part), (int(window[0]) + k) * seconds
        stopped = attack[part].copy() if oracle else apply(rules, arrivals)
        passing = np.flatnonzero(~stopped)
        fits, backlog, clock = queue(arrivals.time[passing], wire[part][passing], link, backlog, clock)
        done = np.zeros(len(arrivals), dtype=bool)
        done[passing[fits]] = True
        blocked[part], through[part] = stopped, done
        out.append(_counted(begin, attack[part], stopped, done, wire[part], len(rules)))
        if controller is not None:
            rules = controller.decide(arrivals, begin)
    return Passage(tuple(out), blocked, through)


def apply(rules: tuple[Rule, ...], h: Headers) -> Mask:
    """Which packets of a window the rules block. A limit is a token bucket of its rate with a fifth of a second's
    burst, full at the window's begin."""
    stopped = np.zeros(len(h), dtype=bool)
    for rule in rules:
        rows = np.flatnonzero(~stopped)
        hit = rows[rule.matches(h.take(rows))]
        if rule.action == "limit" and len(hit):
            hit = hit[~bucket(h.time[hit], rule.rate)]
        stopped[hit] = True
    return stopped


def bucket(time: NDArray[np.int64], rate: float) -> Mask:
    """Which packets a token bucket of `rate` per second lets through."""
    most = max(rate / 5, 5.0)
    tokens, last, out = most, int(time[0]), list[bool]()
    for t in time.tolist():
        tokens = min(most, tokens + (t - last) * rate / 1e6)
        last = t
        out.append(tokens >= 1)
        tokens -= tokens >= 1
    return np.array(out, dtype=bool)


def queue(
    time: NDArray[np.int64], bits: NDArray[np.int64], link: Link, backlog: float, clock: int
) -> tuple[Mask, float, int]:
    """Which packets a drop-tail queue takes; the backlog in bits and the time at the end."""
    room, speed = link.capacity * link.queue, link.capacity / 1e6
    fits = np.zeros(len(time), dtype=bool)
    taken = list[int]()
    for i, (t, b) in enumerate(zip(time.tolist(), bits.tolist(), strict=True)):
        backlog = max(backlog - (t - clock) * speed, 0.0)
        clock = t
        if backlog + b <= room:
            backlog += b
            taken.append(i)
    fits[taken] = True
    return fits, backlog, clock


def _counted(begin: float, attack: Mask, stopped: Mask, done: Mask, wire: NDArray[np.int64], rules: int) -> Window:
    benign = ~attack
    return Window(
        begin,
        int(benign.sum()),
        int((benign & stopped).sum()),
        int((benign & done).sum()),
        int(attack.sum()),
        int((attack & stopped).sum()),
        int((attack & done).sum()),
        (int(wire[benign].sum()), int(wire[benign & done].sum())),
        int(wire.sum()),
        int(wire[done].sum()),
        rules,
    )
