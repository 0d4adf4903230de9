"""Running evidence against a host: a slow attack shows over minutes what no single window shows."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from sparring.network.windows import Windowed

_MOST = 65_536
LOWEST, HIGHEST, CEILING = -2.0, 3.0, 12.0
"""What one connection may take off or add, and the most that is remembered: no connection decides alone, and no flood
echoes for hours."""


class Connections:
    """What each connection has to say, once: the windows of one connection are no witnesses of their own.

    A single odd connection of a benign user, a call or a tunnel, looks alike in every second of its life; attackers
    open new ones. Memory holds the 65,536 connections seen last.
    """

    def __init__(self) -> None:
        self._said: OrderedDict[bytes, float] = OrderedDict()

    def fresh(self, flows: Windowed, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each flow `(n,)` adds to the evidence: its logit within bounds, less what its connection has said.

        A connection says its highest logit so far; so what it adds later is never below 0.
        """
        out = np.clip(logit, LOWEST, HIGHEST)
        for i, key in enumerate(flows.connection):
            before = self._said.pop(key, None)
            if before is not None:
                said = max(float(out[i]), before)
                out[i] = said - before
                self._said[key] = said
                continue
            self._said[key] = float(out[i])
            if len(self._said) > _MOST:
                self._said.popitem(last=False)
        return out


class Evidence:
    """One-sided CUSUM per host (Page, "Continuous Inspection Schemes", Biometrika 41, 1954) on connections' logits.

    A benign connection's logit is negative on average, so the sum falls back to 0 in ordinary traffic; flagged ones
    that keep coming raise it. It halves in `half_life` seconds of silence. Memory holds the 65,536 hosts seen last.
    """

    def __init__(self, half_life: float = 120.0) -> None:
        self.half_life = half_life
        self._sums: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def add(
        self, begin: NDArray[np.int64], address: NDArray[np.uint64], of: NDArray[np.int64], fresh: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The sums `(m,)` after the windows that begin at `begin` `(m,)` microseconds, in order of time.

        `address` `(m, 2)` are the hosts, `of` `(n,)` the row of each flow's host, `fresh` `(n,)` what each flow adds.
        """
        gain = np.bincount(of, fresh, minlength=len(begin))
        out = np.zeros(len(begin))
        for i, (time, key) in enumerate(zip(begin.tolist(), (a.tobytes() for a in address), strict=True)):
            since, held = self._sums.pop(key, (time, 0.0))
            held *= 0.5 ** (max(time - since, 0) / 1e6 / self.half_life)
            out[i] = min(max(held + gain[i], 0.0), CEILING)
            self._sums[key] = time, float(out[i])
            if len(self._sums) > _MOST:
                self._sums.popitem(last=False)
        return out


class Incidents:
    """Hosts that were in alarm lately: there a flagged flow is enough, it need not stand out among many any more.

    Strictness guards against one odd flow in quiet times; half a minute after an alarm times are not quiet. Memory
    holds the 65,536 hosts that were in alarm last.
    """

    def __init__(self, hold: float = 30.0) -> None:
        self.hold = hold
        self._last: OrderedDict[bytes, int] = OrderedDict()

    def lasting(
        self,
        begin: NDArray[np.int64],
        address: NDArray[np.uint64],
        alarm: NDArray[np.bool_],
        flagged: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """The alarms `(m,)` with those of incidents that go on; rows as in `Evidence.add`.

        `flagged` `(m,)`: some flow of the window is.
        """
        out = alarm.copy()
        for i in np.flatnonzero(alarm | flagged).tolist():
            key, time = address[i].tobytes(), int(begin[i])
            out[i] |= 0 <= time - self._last.get(key, time + 1) <= self.hold * 1e6
            if out[i]:
                self._last.pop(key, None)
                self._last[key] = time
                if len(self._last) > _MOST:
                    self._last.popitem(last=False)
        return out
