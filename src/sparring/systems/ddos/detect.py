"""A capture or a stream of packets, window by window: alerts with reasons, incidents, and rules."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network import drawn, netflow, pcap
from sparring.network.destinations import COLUMNS
from sparring.network.headers import Headers, text
from sparring.network.windows import Windowed, Windower, stream
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import FLOODING, SYN_FLOOD, Guard, Verdicts
from sparring.systems.ddos.rules import Rule
from sparring.typed import integers

_NAMED = 64
"""Flows of a window that have a vote on its attack's name."""
_FADING = 0.9
"""What an incident's earlier votes weigh, window by window."""
HOLD = 60.0
"""Seconds without an alarm after which an incident is over."""
_AGAIN = 10.0
"""Seconds after which a lasting incident is explained again."""
_MOST = 65_536
"""Destinations with an incident that are remembered, the last in alarm."""
_EXPLAINED = 4
"""Explanations a window: a flood of a whole network must not hold up the verdicts."""

Causes = tuple[tuple[str, float, float], ...]
Votes = dict[str, float]


@dataclass(frozen=True)
class Alert:
    """One destination in one window that is called under attack.

    `time` seconds since 1970; `name` the nearest known attack; `flows` and `flagged` flows of the destination in the
    window, `packets` all its packets; `sources` different senders of flagged flows; `by` says what alarmed: "volume",
    "flow" (one stands out) or "evidence" (several in a row); `logit` the larger of the volume's and the most
    suspicious flow's; `causes` (column, value, logit lost without it), heaviest first, as they stood when the incident
    was last explained, at most ten seconds before; `fresh` whether it opens an incident.
    """

    time: float
    destination: str
    name: str
    flows: int
    flagged: int
    packets: int
    sources: int
    logit: float
    by: str
    causes: Causes
    fresh: bool

    def record(self) -> dict[str, Any]:
        """The alert as JSON data."""
        causes = [{"name": n, "value": v, "weight": w} for n, v, w in self.causes]
        plain = {k: v for k, v in self.__dict__.items() if k not in ("time", "causes")}
        return {"time": _iso(self.time), **plain, "causes": causes}


@dataclass
class Incident:
    """Alerts of one destination without a minute's quiet between them; times in seconds since 1970.

    `alerts` counts them by what alarmed; `flagged` flows and `packets` are sums over its alerts, `sources` the most of
    one window.
    """

    destination: str
    name: str
    begin: float
    end: float
    alerts: Counter[str] = field(default_factory=Counter[str])
    flagged: int = 0
    packets: int = 0
    sources: int = 0

    def add(self, alert: Alert) -> None:
        """One more alert."""
        self.name, self.end = alert.name, alert.time
        self.alerts[alert.by] += 1
        self.flagged += alert.flagged
        self.packets += alert.packets
        self.sources = max(self.sources, alert.sources)

    def record(self) -> dict[str, Any]:
        """The incident as JSON data."""
        times = {n: _iso(getattr(self, n)) for n in ("begin", "end")}
        return {**self.__dict__, **times, "alerts": dict(self.alerts)}


@dataclass
class Tally:
    """What a scan has seen so far; `skipped` counts packets that could not be used, by reason."""

    packets: int = 0
    flows: int = 0
    windows: int = 0
    flagged: int = 0
    alerts: int = 0
    incidents: int = 0
    classes: Counter[str] = field(default_factory=Counter[str])
    destinations: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    started: float = field(default_factory=time.monotonic)
    recent: deque[Alert] = field(default_factory=lambda: deque(maxlen=12))
    opened: dict[str, Incident] = field(default_factory=dict[str, Incident])
    """Each destination's last incident, the latest last; those of the 65,536 destinations seen last."""
    past: deque[Incident] = field(default_factory=lambda: deque(maxlen=1_000))
    """Incidents that another of the same destination followed."""

    def count(self, alert: Alert) -> None:
        """One more alert, and its incident."""
        self.alerts += 1
        self.incidents += alert.fresh
        self.classes[alert.name] += 1
        self.destinations[alert.destination] += 1
        self.recent.append(alert)
        incident = self.opened.pop(alert.destination, None)
        if incident is None or alert.fresh:
            self.past.extend([incident] if incident else [])
            incident = Incident(alert.destination, alert.name, alert.time, alert.time)
        incident.add(alert)
        self.opened[alert.destination] = incident
        if len(self.opened) > _MOST:
            self.opened.pop(next(iter(self.opened)))

    def told(self) -> list[Incident]:
        """The incidents remembered, in order of their beginning."""
        return sorted([*self.past, *self.opened.values()], key=lambda i: i.begin)

    def summary(self) -> dict[str, Any]:
        """The figures as JSON data."""
        spent = max(time.monotonic() - self.started, 1e-9)
        return {
            "packets": self.packets, "flows": self.flows, "windows": self.windows, "flagged_flows": self.flagged,
            "alerts": self.alerts, "incidents": self.incidents, "classes": dict(self.classes.most_common()),
            "destinations": dict(self.destinations.most_common(20)), "skipped_packets": dict(self.skipped),
            "packets_per_second": round(self.packets / spent, 1),
        }  # fmt: skip


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Watch:
    """Judges windows one after the other and keeps incidents and rules; the `top` heaviest causes are told.

    `rules` are those in force at the last alarm.
    """

    def __init__(self, guard: Guard, *, capacity: float | None = None, top: int = 3) -> None:
        self.guard, self.top = guard, top
        self.mitigator = Mitigator(guard, capacity, expires=300.0)
        self.tally = Tally()
        self.rules: tuple[Rule, ...] = ()
        self._open: dict[str, tuple[float, float, str, Causes, Votes]] = {}

    def scan(self, path: Path, wait: pcap.Wait | None = None) -> Iterator[Alert]:
        """The alerts of a capture or a flow export, in order. Raises `BadInput` for what is neither."""
        windower = Windower(self.guard.seconds, most=200_000, skipped=self.tally.skipped)
        for flows in stream(self._packets(path, wait), windower):
            yield from self.see(flows)

    def _packets(self, path: Path, wait: pcap.Wait | None) -> Iterator[Headers]:
        """Packets of a capture, or those that a NetFlow or IPFIX file's records stand for."""
        if path.suffix.lower() in (".csv", ".txt") or path.name.lower().endswith(".csv.gz"):
            if not netflow.recognised(path):
                raise BadInput(
                    f"{path}: line 1 names no flow export's columns (addresses, ports, protocol, packets, bytes, "
                    "start); give a capture, or NetFlow or IPFIX as CSV"
                )
            return drawn.headers(path, self.tally.skipped)
        return pcap.headers(path, self.tally.skipped, wait)

    def see(self, batch: Windowed) -> Iterator[Alert]:
        """The alerts of some windows."""
        starts = np.unique(batch.begin)
        for start in starts:
            flows = batch if len(starts) == 1 else batch.take(batch.begin == start)
            verdicts = self.guard.judge(flows, self.mitigator.memory)
            rules = self.mitigator.follow(flows, verdicts, float(start) / 1e6)
            self.rules = rules if verdicts.alarm.any() else self.rules
            self.tally.packets += len(flows.headers)
            self.tally.flows += len(flows)
            self.tally.windows += 1
            self.tally.flagged += int(verdicts.flagged.sum())
            for alert in self._alerts(flows, verdicts):
                self.tally.count(alert)
                yield alert

    def _alerts(self, flows: Windowed, v: Verdicts) -> Iterator[Alert]:
        left = _EXPLAINED
        for d in np.flatnonzero(v.alarm):
            rows = np.flatnonzero(v.volumes.of == d)
            hit = rows[v.flagged[rows]]
            worst = int(rows[np.argmax(v.flow[rows])])
            by = "volume" if v.volume[d] > 0 else "evidence" if v.flow[worst] <= 0 or len(hit) > 1 else "flow"
            address, seconds = text(v.volumes.address[d]), float(v.volumes.begin[d]) / 1e6
            last, since, before, causes, votes = self._open.pop(address, (-np.inf, -np.inf, "", (), {}))
            fresh = seconds - last > HOLD
            name, votes = self._named(v.x, hit if len(hit) else rows, {} if fresh else votes)
            if left and (fresh or by != before or seconds - since >= _AGAIN):
                left, since = left - 1, seconds
                x = torch.as_tensor(v.volumes.x[d : d + 1]) if by == "volume" else v.x[worst : worst + 1]
                causes = self._causes(x, by == "volume")
            elif fresh or by != before:
                since, causes = -np.inf, ()
            self._open[address] = seconds, since, by, causes, votes
            if len(self._open) > _MOST:
                self._open.pop(next(iter(self._open)))
            yield Alert(
                seconds, address, name, int(v.volumes.flows[d]), len(hit), int(v.volumes.packets[d]),
                len(np.unique(flows.source[hit], axis=0)) if len(hit) else 0,
                float(max(v.volume[d], v.flow[worst])), by, causes, fresh,
            )  # fmt: skip

    def _named(self, x: torch.Tensor, rows: NDArray[np.int64], votes: Votes) -> tuple[str, Votes]:
        """The attack that most flows of the incident are nearest to, and the votes with those of these flows."""
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _NAMED)).astype(np.int64)]
        flows, families = x[torch.as_tensor(np.unique(some))], self.guard.families
        names = self.guard.name(flows)
        others = [i for i, name in enumerate(families.names) if name != SYN_FLOOD] if families else []
        if families and others and names.count(SYN_FLOOD) + votes.get(SYN_FLOOD, 0.0) < FLOODING:
            names = [families.names[others[i]] for i in integers(families(flows)[:, others].argmax(1))]
        total = Counter(names)
        votes = {n: _FADING * votes.get(n, 0.0) + total[n] for n in {**votes, **total}}
        return max(votes, key=lambda n: votes[n]), votes

    def _causes(self, x: torch.Tensor, by_volume: bool) -> Causes:
        schema = self.guard.schema
        if by_volume:
            told = self.guard.volume.explain(x, {n: [i] for i, n in enumerate(COLUMNS)}, self.top)[0]
            return tuple((n, float(x[0, COLUMNS.index(n)]), w) for n, w in told.features)
        groups = {n: list(range(s.start, s.stop)) for n, s in schema.slices.items()}
        told = self.guard.flows.explain(x, groups, self.top)[0]
        row = schema.decode(x.numpy(), [n for n, _ in told.features])
        return tuple((n, float(row[n][0]), w) for n, w in told.features)
