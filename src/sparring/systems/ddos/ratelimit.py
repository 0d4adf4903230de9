"""Baseline: fixed packet rates per source and per destination, as routers and firewalls have them.

The limits are chosen on normal traffic alone: as low as the false-alarm budget allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparring.network.headers import Headers
from sparring.network.windows import Windowed
from sparring.systems.ddos.link import FRAME, Link, Mask, Passage, Window, carry

Floats = NDArray[np.float64]
_BURST = 0.2
"""Seconds of its rate that a bucket holds."""


@dataclass(frozen=True)
class Limits:
    """Packets per second that one source may send, and that one destination may get (infinity: no limit)."""

    source: float
    target: float = np.inf

    def __post_init__(self) -> None:
        if not (self.source > 0 and self.target > 0):
            raise ValueError(f"limits are above 0 packets per second, got {self.source} and {self.target}")

    @classmethod
    def chosen(cls, normal: Sequence[Windowed], seconds: float = 1.0, false_alarms: float = 0.02) -> Limits:
        """The lowest limits that together flag at most the share `false_alarms` of the flows of normal traffic.

        Each of the two spends at most a half. Raises ValueError without flows.
        """
        if not sum(len(f) for f in normal):
            raise ValueError("limits are chosen on normal flows; there are none")
        rates = [_rates(f, seconds) for f in normal]
        return cls(*(_limit(np.concatenate([r[i] for r in rates]), false_alarms / 2) for i in (0, 1)))

    def score(self, flows: Windowed, seconds: float = 1.0) -> Floats:
        """How far the flow's source or destination is above its limit, `(n,)`: a logarithm, positive = attack."""
        source, target = _rates(flows, seconds)
        return np.maximum(np.log(source / self.source), np.log(target / self.target))


def _rates(flows: Windowed, seconds: float) -> tuple[Floats, Floats]:
    """Of each flow's window: packets per second of its opening end, and of its serving end, `(n,)` each."""
    peer = np.where(flows.server[:, None], flows.source, flows.target)
    server = np.where(flows.server[:, None], flows.target, flows.source)
    return _rate(flows, peer, seconds), _rate(flows, server, seconds)


def _rate(flows: Windowed, address: NDArray[np.uint64], seconds: float) -> Floats:
    keys = np.column_stack([flows.begin.astype(np.uint64), address])
    group = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return (np.bincount(group, flows.packets) / seconds)[group].astype(np.float64)


def _limit(rate: Floats, share: float) -> float:
    """The lowest observed rate that at most this share exceeds."""
    ordered = np.sort(rate)
    return float(ordered[len(ordered) - 1 - int(share * len(ordered))])


def police(h: Headers, limits: Limits) -> Mask:
    """Which packets, in order of time, the limits block: a token bucket per source, then one per destination."""
    stopped = _police(h.source, h.time, limits.source)
    rows = np.flatnonzero(~stopped)
    stopped[rows] = _police(h.target[rows], h.time[rows], limits.target)
    return stopped


def _police(address: NDArray[np.uint64], time: NDArray[np.int64], rate: float) -> Mask:
    if len(time) == 0 or np.isinf(rate):
        return np.zeros(len(time), dtype=bool)
    number = np.unique(address, axis=0, return_inverse=True)[1].reshape(-1)
    most = max(rate * _BURST, 5.0)
    tokens, last = [most] * (int(number.max()) + 1), [int(time[0])] * (int(number.max()) + 1)
    out: list[bool] = []
    for who, now in zip(number.tolist(), time.tolist(), strict=True):
        have = min(most, tokens[who] + (now - last[who]) * rate / 1e6)
        last[who], passes = now, have >= 1
        tokens[who] = have - passes
        out.append(not passes)
    return np.array(out, dtype=bool)


def limited(headers: Headers, attack: Mask, link: Link, limits: Limits, *, seconds: float = 1.0) -> Passage:
    """`link.carry` behind the limits: what they block never reaches the queue and counts as blocked."""
    stopped = police(headers, limits)
    rest = np.flatnonzero(~stopped)
    passage = carry(headers.take(rest), attack[rest], link, seconds=seconds)
    through = np.zeros(len(headers), dtype=bool)
    through[rest] = passage.through
    window = headers.time // round(seconds * 1e6)
    wire = (headers.size + FRAME) * 8
    out: list[Window] = []
    for w in passage.windows:
        mine = window == round(w.begin / seconds)
        benign, bad = mine & ~attack, mine & attack
        out.append(
            replace(
                w,
                benign=int(benign.sum()),
                benign_blocked=int((benign & stopped).sum()),
                attack=int(bad.sum()),
                attack_blocked=int((bad & stopped).sum()),
                bits=(int(wire[benign].sum()), w.bits[1]),
                offered=int(wire[mine].sum()),
                rules=1 + int(np.isfinite(limits.target)),
            )
        )
    return Passage(tuple(out), stopped, through)
