"""From packets to bidirectional flows with CICFlowMeter's features.

`features` computes the table of many flows at once; `Assembler` cuts a packet stream into flows in bounded memory.
A flow is all packets of one 5-tuple in both directions, at most 120 s long; a tcp flow that saw FIN from both sides
or a RST ends there, and the next SYN starts a new one. Late packets of an ended connection stay with it: counting
them as new flows is a known defect of the original tool (Engelen, Rimmer, Joosen, "Troubleshooting an Intrusion
Detection Dataset: the CICIDS2017 Case Study", WTMC 2021).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from sparring.network.cicflowmeter import BULK, COLUMNS, IDLE, PROTOCOLS, TCP, TIMEOUT, per_second
from sparring.network.schema import Array, Table

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
_FLAG_OF = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG, "ECE": ECE, "CWE": CWR}


@dataclass(frozen=True)
class Packets:
    """Packets in the order of their flows' time, one array entry each, `(k,)`.

    `flow` number of the flow, `time` in microseconds, `forward` sent by the flow's first sender, `payload` and
    `header` (transport header) in bytes, `flags` tcp flag bits, `window` tcp window (-1 without tcp).
    """

    flow: NDArray[np.int64]
    time: NDArray[np.int64]
    forward: NDArray[np.bool_]
    payload: NDArray[np.int64]
    header: NDArray[np.int64]
    flags: NDArray[np.int64]
    window: NDArray[np.int64]

    def take(self, rows: NDArray[np.generic]) -> Packets:
        """The chosen packets."""
        return Packets(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def features(p: Packets, protocol: NDArray[np.int64], port: NDArray[np.int64]) -> Table:
    """CICFlowMeter features of `n` flows whose packets carry the numbers 0 to n - 1; every flow has a forward packet.

    `protocol` are codes into `cicflowmeter.PROTOCOLS`, `port` destination ports, `(n,)` each.
    """
    n = len(port)
    p = p.take(np.lexsort((p.time, p.flow)))
    fwd, bwd = p.take(p.forward), p.take(~p.forward)
    time, t = p.time.astype(np.float64), Table()
    t["Destination Port"], t["Protocol"] = port.astype(np.float64), protocol
    nf, nb = (np.bincount(d.flow, minlength=n).astype(np.float64) for d in (fwd, bwd))
    duration = _extreme(np.maximum, p.flow, time, n) - _extreme(np.minimum, p.flow, time, n)
    t["Flow Duration"], t["Total Fwd Packets"], t["Total Backward Packets"] = duration, nf, nb
    for side, name, d in (("Fwd", "Fwd", fwd), ("Bwd", "Bwd", bwd)):
        total, mean, std, high, low = _statistics(d.flow, d.payload.astype(np.float64), n)
        t[f"Total Length of {side} Packets"] = t[f"Subflow {side} Bytes"] = total
        t[f"{side} Packet Length Mean"] = t[f"Avg {side} Segment Size"] = mean
        t[f"{side} Packet Length Std"], t[f"{side} Packet Length Max"] = std, high
        t[f"{side} Packet Length Min"], t[f"Subflow {side} Packets"] = low, nf if side == "Fwd" else nb
        t[f"{side} Header Length"] = np.bincount(d.flow, d.header, minlength=n)
        t[f"{side} Packets/s"] = per_second(t[f"Subflow {side} Packets"], duration)
        for flag in ("PSH", "URG"):
            t[f"{name} {flag} Flags"] = _seen(d, _FLAG_OF[flag], n)
        _gap_columns(t, f"{side} IAT", d.flow, d.time, n, total=True)
    _gap_columns(t, "Flow IAT", p.flow, p.time, n, total=False)
    _length_columns(t, p, n)
    t["Flow Bytes/s"] = per_second(t["Subflow Fwd Bytes"] + t["Subflow Bwd Bytes"], duration)
    t["Flow Packets/s"] = per_second(nf + nb, duration)
    for flag, bit in _FLAG_OF.items():
        t[f"{flag} Flag Count"] = _seen(p, bit, n)
    t["Down/Up Ratio"] = np.floor(nb / np.maximum(nf, 1))
    t["Fwd Header Length.1"] = t["Fwd Header Length"]
    tcp = protocol == TCP
    t["Init_Win_bytes_forward"] = np.where(tcp, _first(fwd, fwd.window, n), -1.0)
    t["Init_Win_bytes_backward"] = np.where(tcp, _first(bwd, bwd.window, n), -1.0)
    data = np.bincount(fwd.flow, fwd.payload > 0, minlength=n)
    t["act_data_pkt_fwd"] = data - (_first(fwd, fwd.payload, n) > 0)
    t["min_seg_size_forward"] = _extreme(np.minimum, fwd.flow, fwd.header.astype(np.float64), n)
    _activity(t, p, n)
    t |= {name: np.zeros(n) for name in BULK}
    return {name: t[name] for name in COLUMNS}


def _extreme(pick: np.ufunc, flow: NDArray[np.int64], value: Array, n: int) -> Array:
    """Largest or smallest value per flow (sorted by flow); 0 for a flow without."""
    out = np.zeros(n)
    if len(flow):
        starts = np.flatnonzero(np.r_[True, flow[1:] != flow[:-1]])
        out[flow[starts]] = pick.reduceat(value, starts)
    return out


def _statistics(flow: NDArray[np.int64], value: Array, n: int) -> tuple[Array, Array, Array, Array, Array]:
    """Sum, mean, sample deviation, maximum and minimum per flow; 0 for a flow without values."""
    count = np.bincount(flow, minlength=n).astype(np.float64)
    total = np.bincount(flow, value, minlength=n).astype(np.float64)
    mean = total / np.maximum(count, 1)
    squares = np.bincount(flow, (value - mean[flow]) ** 2, minlength=n)
    std = np.sqrt(squares / np.maximum(count - 1, 1)).astype(np.float64)
    return total, mean, std, _extreme(np.maximum, flow, value, n), _extreme(np.minimum, flow, value, n)


def _gap_columns(t: Table, name: str, flow: NDArray[np.int64], time: NDArray[np.int64], n: int, *, total: bool) -> None:
    same = flow[1:] == flow[:-1]
    gaps = np.diff(time)[same].astype(np.float64)
    span, mean, std, high, low = _statistics(flow[1:][same], gaps, n)
    t[f"{name} Mean"], t[f"{name} Std"], t[f"{name} Max"], t[f"{name} Min"] = mean, std, high, low
    if total:
        t[f"{name} Total"] = span


def _length_columns(t: Table, p: Packets, n: int) -> None:
    """Lengths of both directions; the first packet's counts twice, as in the tool."""
    first = np.flatnonzero(np.r_[True, p.flow[1:] != p.flow[:-1]]) if len(p.flow) else np.zeros(0, dtype=np.int64)
    order = np.sort(np.r_[np.arange(len(p.flow)), first])
    length = p.payload[order].astype(np.float64)
    total, mean, std, high, low = _statistics(p.flow[order], length, n)
    t["Packet Length Mean"], t["Packet Length Std"], t["Packet Length Variance"] = mean, std, std**2
    t["Max Packet Length"], t["Min Packet Length"] = high, low
    t["Average Packet Size"] = total / np.maximum(np.bincount(p.flow, minlength=n), 1)


def _seen(p: Packets, bit: int, n: int) -> Array:
    return (np.bincount(p.flow, (p.flags & bit) > 0, minlength=n) > 0).astype(np.float64)


def _first(p: Packets, value: NDArray[np.int64], n: int) -> Array:
    out = np.full(n, -1.0)
    if len(p.flow):
        starts = np.flatnonzero(np.r_[True, p.flow[1:] != p.flow[:-1]])
        out[p.flow[starts]] = value[starts]
    return out


def _activity(t: Table, p: Packets, n: int) -> None:
    """Active periods (those that an idle gap ended, longer than 0) and idle gaps (over 5 s) per flow."""
    inner = np.r_[False, p.flow[1:] == p.flow[:-1]] if len(p.flow) else np.zeros(0, dtype=bool)
    gap = np.r_[0, np.diff(p.time)] if len(p.flow) else np.zeros(0, dtype=np.int64)
    idle = inner & (gap > IDLE)
    for name, value, at in (("Idle", gap, idle), ("Active", *_periods(p, inner, idle))):
        stats = _statistics(p.flow[at], value[at].astype(np.float64), n)
        t[f"{name} Mean"], t[f"{name} Std"], t[f"{name} Max"], t[f"{name} Min"] = stats[1:]


def _periods(
    p: Packets, inner: NDArray[np.bool_], idle: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """At each idle gap, how long the active period before it lasted."""
    start = np.flatnonzero(~inner | idle)
    opening = start[np.searchsorted(start, np.arange(len(p.flow)), side="right") - 1] if len(start) else start
    before = np.maximum(np.arange(len(p.flow)) - 1, 0)
    length = p.time[before] - p.time[opening[before]] if len(start) else np.zeros(0, dtype=np.int64)
    return length, idle & (length > 0)


@dataclass(frozen=True)
class Packet:
    """One captured packet: `time` in microseconds, addresses as bytes, transport fields as in `Packets`."""

    time: int
    source: bytes
    target: bytes
    source_port: int
    target_port: int
    protocol: int
    payload: int
    header: int
    flags: int
    window: int


@dataclass(frozen=True)
class Flows:
    """Finished flows: their features and who spoke to whom. `start` and `end` in microseconds, `(n,)`."""

    table: Table
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    endpoints: list[tuple[bytes, int, bytes, int, int]]

    def __len__(self) -> int:
        return len(self.start)


@dataclass
class _Open:
    """A flow that may still grow: the index of each of its packets' fields, and how tcp stands."""

    key: tuple[bytes, int, bytes, int, int]
    start: int
    last: int
    finished: int = 0
    closed: bool = False
    rows: list[tuple[int, bool, int, int, int, int]] = field(default_factory=list[tuple[int, bool, int, int, int, int]])


class Assembler:
    """Cuts a stream of packets into flows; `add` returns none, `finished` those that ended so far.

    Memory is bounded by `most` buffered packets: beyond, the longest-running flows are cut (counted in `cut`).
    Packets earlier than their flow's last one take that one's time (counted in `late`).
    """

    def __init__(self, *, timeout: int = int(TIMEOUT), most: int = 500_000) -> None:
        self.timeout, self.most = timeout, most
        self.late = self.cut = 0
        self._open: dict[tuple[bytes, int, bytes, int, int], _Open] = {}
        self._done: list[_Open] = []
        self._buffered = 0
        self._swept = 0

    def add(self, packet: Packet) -> None:
        """Take one packet."""
        key = (packet.source, packet.source_port, packet.target, packet.target_port, packet.protocol)
        back = (packet.target, packet.target_port, packet.source, packet.source_port, packet.protocol)
        forward = key in self._open or back not in self._open
        flow = self._open.get(key if forward else back)
        opening = packet.flags & (SYN | ACK) == SYN
        if flow is not None and (packet.time - flow.start > self.timeout or (flow.closed and opening)):
            self._end(flow)
            flow, forward = None, True
        if flow is None:
            flow = self._open[key] = _Open(key, packet.time, packet.time)
        if packet.time < flow.last:
            self.late += 1
        flow.last = max(flow.last, packet.time)
        flow.rows.append((flow.last, forward, packet.payload, packet.header, packet.flags, packet.window))
        self._buffered += 1
        if packet.flags & FIN:
            flow.finished |= 1 if forward else 2
        flow.closed |= bool(packet.flags & RST) or flow.finished == 3
        if packet.time - self._swept > 1_000_000:
            self._sweep(packet.time)
        if self._buffered > self.most:
            self._shed()

    def finished(self, most: int | None = None) -> Flows:
        """The flows that ended since the last call, the earliest `most` of them."""
        done, self._done = self._done[:most], self._done[len(self._done) if most is None else most :]
        self._buffered -= sum(len(f.rows) for f in done)
        return _featured(done)

    def end(self) -> None:
        """End every open flow."""
        for flow in list(self._open.values()):
            self._end(flow)

    def waiting(self) -> int:
        """Flows that ended and were not fetched yet."""
        return len(self._done)

    def _end(self, flow: _Open) -> None:
        del self._open[flow.key]
        self._done.append(flow)

    def _sweep(self, now: int) -> None:
        """End the flows that timed out, and the closed ones a second after their last packet."""
        self._swept = now
        for flow in list(self._open.values()):
            if now - flow.start > self.timeout or (flow.closed and now - flow.last > 1_000_000):
                self._end(flow)

    def _shed(self) -> None:
        if self._buffered - sum(len(f.rows) for f in self._done) <= self.most // 2:
            return
        for flow in sorted(self._open.values(), key=lambda f: f.start)[: max(len(self._open) // 4, 1)]:
            self._end(flow)
            self.cut += 1


def _featured(done: list[_Open]) -> Flows:
    counts = [len(f.rows) for f in done]
    rows = np.array([r for f in done for r in f.rows], dtype=np.int64).reshape(-1, 6)
    packets = Packets(
        np.repeat(np.arange(len(done)), counts),
        rows[:, 0],
        rows[:, 1].astype(bool),
        *(rows[:, i] for i in range(2, 6)),
    )
    code = {6: PROTOCOLS.index("6"), 17: PROTOCOLS.index("17")}
    protocol = np.array([code.get(f.key[4], PROTOCOLS.index("0")) for f in done], dtype=np.int64)
    port = np.array([f.key[3] for f in done], dtype=np.int64)
    start = np.array([f.start for f in done], dtype=np.int64)
    end = np.array([f.last for f in done], dtype=np.int64)
    return Flows(features(packets, protocol, port), start, end, [f.key for f in done])


def merged(parts: Iterable[Flows]) -> Flows:
    """All parts as one; for captures known to be small."""
    every = [_featured([]), *parts]
    table = {name: np.concatenate([f.table[name] for f in every[1:] or every]) for name in COLUMNS}
    start, end = (np.concatenate([getattr(f, name) for f in every]) for name in ("start", "end"))
    return Flows(table, start, end, [e for f in every for e in f.endpoints])
