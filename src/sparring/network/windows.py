"""Streaming: packets to bidirectional flows within short windows, vectorised, in bounded memory.

A flow here is all packets of one 5-tuple in both directions within one window of a fixed length, with CICFlowMeter's
features; its first sender in the window is the forward side, as everywhere in that format. So a verdict is there
at the window's end and not after the two minutes that a finished flow may take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.cicflowmeter import PROTOCOLS
from sparring.network.flows import ACK, SYN, Packets, features
from sparring.network.headers import Headers, empty, joined
from sparring.network.schema import Table, take

Ints = NDArray[np.int64]
_BACK = 60_000_000
"""A jump back in time by more than this, in microseconds, begins the capture's clock anew."""
_STEADY = 64
"""Packets that must follow such a jump; fewer are stray time stamps and take the clock's time."""
_PRIMES = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD],
    dtype=np.uint64,
)


@dataclass(frozen=True)
class Windowed:
    """The flows of some whole windows, n of them, and the packets that they are made of.

    `begin` `(n,)` microseconds: where each flow's window begins; `table` their features; `source`, `target` `(n, 2)`
    addresses of the first sender and of its peer, with their ports; `protocol` IP numbers; `bytes` IP bytes of all
    packets; `server` `(n,)` bool: the target is the serving side (else the source is). `headers` are the windows'
    packets in order, `flow` `(k,)` the number of each one's flow, `forward` whether its first sender sent it.
    """

    begin: Ints
    table: Table
    source: NDArray[np.uint64]
    target: NDArray[np.uint64]
    source_port: Ints
    target_port: Ints
    protocol: Ints
    bytes: Ints
    server: NDArray[np.bool_]
    headers: Headers
    flow: Ints
    forward: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.begin)

    @property
    def packets(self) -> Ints:
        """Packets of each flow, both directions, `(n,)`."""
        return (self.table["Total Fwd Packets"] + self.table["Total Backward Packets"]).astype(np.int64)

    @property
    def connection(self) -> list[bytes]:
        """A key of each flow's protocol, addresses and ports, the same in both directions and in every window."""
        ends = [
            np.column_stack([address, port.astype(np.uint64)])
            for address, port in ((self.source, self.source_port), (self.target, self.target_port))
        ]
        swap, tie = np.zeros(len(self), dtype=bool), np.ones(len(self), dtype=bool)
        for one, two in zip(ends[0].T, ends[1].T, strict=True):
            swap |= tie & (one > two)
            tie &= one == two
        low, high = np.where(swap[:, None], ends[1], ends[0]), np.where(swap[:, None], ends[0], ends[1])
        whole = np.column_stack([low, high, self.protocol.astype(np.uint64)]).tobytes()
        return [whole[i : i + 56] for i in range(0, len(whole), 56)]

    def take(self, rows: NDArray[Any]) -> Windowed:
        """The chosen flows (a mask or ascending indices) and their packets."""
        mask = np.zeros(len(self), dtype=bool)
        mask[rows] = True
        number = np.cumsum(mask) - 1
        kept = mask[self.flow]
        columns = ("begin", "source", "target", "source_port", "target_port", "protocol", "bytes", "server")
        return replace(
            self,
            table=take(self.table, mask),
            headers=self.headers.take(np.flatnonzero(kept)),
            flow=number[self.flow[kept]],
            forward=self.forward[kept],
            **{name: getattr(self, name)[mask] for name in columns},
        )


class Windower:
    """Cuts a stream of packets into windows of `seconds`.

    Memory is bounded by `most` buffered packets: beyond, the running window is cut (counted as "windows cut for
    memory"). A packet whose time lies before the newest one's takes that one's time ("out of order").
    """

    def __init__(self, seconds: float = 1.0, *, most: int = 500_000, skipped: Counter[str] | None = None) -> None:
        if not 0.05 <= seconds <= 120:
            raise ValueError(f"windows last 0.05 to 120 seconds, got {seconds}")
        self.length = round(seconds * 1e6)
        self.most = most
        self.skipped = Counter[str]() if skipped is None else skipped
        self._waiting: list[Headers] = []
        self._count = 0
        self._clock: int | None = None

    def add(self, headers: Headers) -> Iterator[Windowed]:
        """Take packets; gives the windows that are complete by now."""
        for start in range(0, len(headers), self.most):
            for part, fresh in self._timed(headers.take(slice(start, start + self.most))):
                if fresh:
                    yield from self.end()
                yield from self._buffered(part)

    def end(self) -> Iterator[Windowed]:
        """Close the running window."""
        if self._count:
            yield self._closed(joined(self._waiting))
        self._waiting, self._count, self._clock = [], 0, None

    def _timed(self, headers: Headers) -> Iterator[tuple[Headers, bool]]:
        """The packets in parts of rising time, and whether the clock begins anew with a part."""
        if len(headers) == 0:
            return
        time = _steadied(headers.time, self.skipped)
        known = time[0] if self._clock is None else self._clock
        jumps = np.flatnonzero(np.diff(np.concatenate([[known], time])) < -_BACK)
        edges = np.unique(np.concatenate([[0], jumps, [len(time)]]))
        fresh_at = {int(a) for a, b in pairwise(edges.tolist()) if b - a >= _STEADY and a in jumps}
        cuts = [0, *sorted(fresh_at - {0}), len(time)]
        for a, b in pairwise(cuts):
            fresh = a in fresh_at
            floor = time[a] if fresh or self._clock is None else self._clock
            rising = np.maximum.accumulate(np.maximum(time[a:b], floor))
            if late := int((rising != time[a:b]).sum()):
                self.skipped["out of order"] += late
            self._clock = int(rising[-1])
            part = headers.take(slice(a, b))
            yield replace(part, time=rising), fresh

    def _buffered(self, part: Headers) -> Iterator[Windowed]:
        self._waiting.append(part)
        self._count += len(part)
        first, last = self._waiting[0].time[0] // self.length, part.time[-1] // self.length
        if last > first:
            everything = joined(self._waiting)
            cut = int((everything.time < last * self.length).sum())
            yield self._closed(everything.take(slice(0, cut)))
            self._waiting, self._count = [everything.take(slice(cut, None))], len(everything) - cut
        if self._count >= self.most:
            self.skipped["windows cut for memory"] += 1
            yield self._closed(joined(self._waiting))
            self._waiting, self._count = [], 0

    def _closed(self, headers: Headers) -> Windowed:
        return windowed(headers, self.length)


def stream(blocks: Iterable[Headers], windower: Windower) -> Iterator[Windowed]:
    """All windows of a stream of packets."""
    for block in blocks:
        yield from windower.add(block)
    yield from windower.end()


def windowed(headers: Headers, length: int) -> Windowed:
    """The flows of packets in order of time, cut at every multiple of `length` microseconds."""
    window = headers.time // length
    flow, first, forward = _grouped(headers, window)
    code = np.full(256, PROTOCOLS.index("0"))
    code[6], code[17] = PROTOCOLS.index("6"), PROTOCOLS.index("17")
    begun = headers.take(first)
    packets = Packets(flow, headers.time, forward, headers.payload, headers.header, headers.flags, headers.window)
    opening = begun.flags & (SYN | ACK)
    served = (begun.target_port <= begun.source_port) | (begun.protocol != 6)
    served = np.where(opening == SYN, True, np.where(opening == SYN | ACK, False, served))
    return Windowed(
        window[first] * length,
        features(packets, code[begun.protocol], begun.target_port),
        begun.source,
        begun.target,
        begun.source_port,
        begun.target_port,
        begun.protocol,
        np.bincount(flow, headers.size, minlength=len(first)).astype(np.int64),
        served,
        headers,
        flow,
        forward,
    )


def whole(blocks: Iterable[Headers], seconds: float = 1.0) -> Windowed:
    """All windows at once; for captures known to be small."""
    every = joined([empty(), *blocks])
    return windowed(every, round(seconds * 1e6))


def _steadied(time: Ints, skipped: Counter[str]) -> Ints:
    """Times without single stray stamps from the future: they would drag the clock along."""
    if len(time) < 3:
        return time
    before, here, after = time[:-2], time[1:-1], time[2:]
    stray = np.flatnonzero((here - before > _BACK) & (here - after > _BACK)) + 1
    if len(stray):
        time = time.copy()
        time[stray] = time[stray - 1]
        skipped["out of order"] += len(stray)
    return time


def _grouped(h: Headers, window: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Each packet's flow, in the order of first packets; where those stand; which packets go the first one's way.

    Grouped by a hash of both ends; then every packet is compared with its flow's first, so that a collision, by
    accident or made on purpose, costs time and never a wrong flow.
    """
    one, two = _hashed(h.source, h.source_port), _hashed(h.target, h.target_port)
    with np.errstate(over="ignore"):
        key = (np.minimum(one, two) * _PRIMES[3]) ^ np.maximum(one, two) ^ h.protocol.astype(np.uint64)
        key = (key ^ key >> np.uint64(29)) * _PRIMES[4] + window.astype(np.uint64) * _PRIMES[0]
    flow, first = _numbered(key)
    forward = _same(h, first[flow], swapped=False)
    if not bool((forward | _same(h, first[flow], swapped=True)).all() and (window == window[first][flow]).all()):
        flow, first = _numbered(_exact(h, window))
        forward = _same(h, first[flow], swapped=False)
    return flow, first, forward


def _numbered(key: NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Group numbers `(k,)` in the order of first occurrence, and where each group first occurs."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(key) else np.zeros(0, dtype=bool)
    first = order[new]  # a stable sort keeps the earliest in front
    rank = np.argsort(first, kind="stable")
    number = np.empty(len(first), dtype=np.int64)
    number[rank] = np.arange(len(first))
    flow = np.empty(len(key), dtype=np.int64)
    flow[order] = number[np.cumsum(new) - 1]
    return flow, first[rank]


def _hashed(address: NDArray[np.uint64], port: Ints) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        mixed = address[:, 0] * _PRIMES[0] ^ address[:, 1] * _PRIMES[1] ^ (port.astype(np.uint64) * _PRIMES[2])
        return (mixed ^ mixed >> np.uint64(31)) * _PRIMES[3]


def _same(h: Headers, other: Ints, *, swapped: bool) -> NDArray[np.bool_]:
    """Which packets have the ends and the protocol of the packets `other`, or those ends the other way round."""
    source, target = (h.target, h.source) if swapped else (h.source, h.target)
    source_port, target_port = (h.target_port, h.source_port) if swapped else (h.source_port, h.target_port)
    equal = (h.source_port == source_port[other]) & (h.target_port == target_port[other])
    equal &= h.protocol == h.protocol[other]
    for half in (0, 1):
        equal &= (h.source[:, half] == source[other, half]) & (h.target[:, half] == target[other, half])
    return equal


def _exact(h: Headers, window: Ints) -> NDArray[np.int64]:
    """A collision-free key `(k,)`."""
    pairs = ((h.source, h.source_port), (h.target, h.target_port))
    ends = [np.column_stack([address, port.astype(np.uint64)]) for address, port in pairs]
    number = np.unique(np.concatenate(ends), axis=0, return_inverse=True)[1].reshape(2, -1)
    columns = np.column_stack([number.min(0), number.max(0), h.protocol, window])
    return np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
