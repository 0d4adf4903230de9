"""Packets of many conversations at once: handshake, exchanges of requests and answers, farewell.

Everything the flow features see comes from packets made here, so every relation between features holds. Times are
microseconds from each flow's start; random numbers come from the caller's generator alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.network.flows import ACK, FIN, PSH, RST, SYN, Packets
from sparring.network.headers import Headers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Host:
    """What a flow's two ends look like, `(n,)` each: round trip in seconds, header bytes, tcp windows, segment size."""

    rtt: Floats
    header: Ints
    window: Ints
    answer_window: Ints
    segment: Ints


@dataclass(frozen=True)
class Exchanges:
    """Requests and answers of all flows, one entry each, sorted by flow.

    `request` and `answer` in bytes (answer 0: none), `pause` before the exchange in seconds.
    """

    flow: Ints
    request: Ints
    answer: Ints
    pause: Floats


@dataclass(frozen=True)
class Opening:
    """How tcp flows begin and end, `(n,)` codes.

    `answer`: 0 silence, 1 SYN-ACK, 2 RST; `end`: 0 none, 1 FIN, 2 RST; `tries`: SYN packets sent.
    """

    answer: Ints
    end: Ints
    tries: Ints


class Trace:
    """Collects packets of many flows."""

    def __init__(self) -> None:
        self.parts: list[tuple[Ints, Floats, NDArray[np.bool_], Ints, Ints]] = []

    def add(self, flow: Ints, time: Floats, forward: bool, payload: Ints | int, flags: int) -> None:
        """Packets, one per entry of `flow`; `time` in seconds."""
        k = len(flow)
        self.parts.append(
            (
                flow,
                time,
                np.full(k, forward),
                np.broadcast_to(np.asarray(payload, dtype=np.int64), k),
                np.full(k, flags),
            )
        )

    def packets(self, host: Host, tcp: bool) -> Packets:
        """All packets, in the order of flow and time, times from each flow's first packet."""
        flow, time, forward, payload, flags = (np.concatenate(c) for c in zip(*self.parts, strict=True))
        order = np.lexsort((time, flow))
        flow, forward = flow[order], forward[order]
        at = np.rint(time[order] * 1e6).astype(np.int64)
        window = np.where(forward, host.window[flow], host.answer_window[flow]) if tcp else np.full(len(flow), -1)
        header = host.header[flow] if tcp else np.full(len(flow), 8)
        return Packets(flow, at, forward, payload[order], header, flags[order] * int(tcp), window)


def datagrams(e: Exchanges, host: Host, rng: np.random.Generator) -> Packets:
    """UDP: exchanges without handshake."""
    trace = Trace()
    _exchange(trace, e, host, np.zeros(len(host.rtt)), rng, acknowledged=False)
    return trace.packets(host, tcp=False)


def connections(e: Exchanges, opening: Opening, host: Host, rng: np.random.Generator) -> Packets:
    """TCP: SYN, its answer, the exchanges of flows that got a SYN-ACK, then FIN or RST."""
    trace, n = Trace(), len(host.rtt)
    everyone = np.arange(n)
    for k in range(int(opening.tries.max(initial=1))):
        again = everyone[opening.tries > k]
        trace.add(again, np.full(len(again), float(2**k - 1)) + 1e-6 * k, True, 0, SYN)
    begun = np.maximum(2.0 ** (opening.tries - 1) - 1, 0)
    accepted, refused = everyone[opening.answer == 1], everyone[opening.answer == 2]
    trace.add(accepted, (begun + host.rtt)[accepted], False, 0, SYN | ACK)
    trace.add(refused, (begun + host.rtt)[refused], False, 0, RST | ACK)
    talks = np.isin(e.flow, accepted)
    e = Exchanges(e.flow[talks], e.request[talks], e.answer[talks], e.pause[talks])
    talkers = np.unique(e.flow)
    trace.add(talkers, (begun + 1.001 * host.rtt)[talkers] + 2e-6, True, 0, ACK)
    end = _exchange(trace, e, host, begun + 1.1 * host.rtt, rng, acknowledged=True)
    for code, flags in ((1, FIN | ACK), (2, RST)):
        closing = everyone[(opening.end == code) & (opening.answer == 1)]
        trace.add(closing, end[closing] + 1e-4, True, 0, flags)
        if code == 1:
            trace.add(closing, end[closing] + host.rtt[closing] + 1e-4, False, 0, FIN | ACK)
            trace.add(closing, end[closing] + 1.1 * host.rtt[closing] + 1e-4, True, 0, ACK)
    return trace.packets(host, tcp=True)


def addressed(
    packets: Packets,
    start: Ints,
    client: NDArray[np.uint64],
    server: NDArray[np.uint64],
    ports: tuple[Ints, Ints],
    protocol: int,
) -> Headers:
    """Conversations as packets on the wire.

    `start` microseconds, `client`, `server` `(n, 2)` addresses and `ports` (client's, server's) are one per flow.
    """
    flow, up = packets.flow, packets.forward
    here, there = client[flow], server[flow]
    mine, other = ports[0][flow], ports[1][flow]
    return Headers(
        packets.time + start[flow],
        np.where(up[:, None], here, there),
        np.where(up[:, None], there, here),
        np.where(up, mine, other),
        np.where(up, other, mine),
        np.full(len(flow), protocol),
        packets.payload,
        packets.header,
        packets.flags,
        packets.window,
    )


def _exchange(
    trace: Trace, e: Exchanges, host: Host, start: Floats, rng: np.random.Generator, *, acknowledged: bool
) -> Floats:
    """Add the exchanges' packets; returns when each flow's last exchange ended, `(n,)` seconds."""
    segment, rtt = host.segment[e.flow], host.rtt[e.flow]
    asks = np.maximum(-(-e.request // segment), 1)
    answers = -(-e.answer // segment)
    spacing = rng.lognormal(np.log(2e-4), 0.8, len(e.flow))
    served = rng.lognormal(np.log(0.01), 1.0, len(e.flow))
    length = asks * spacing + np.where(answers > 0, rtt + served + answers * spacing, 0)
    total = np.cumsum(e.pause + length)
    first = np.r_[True, e.flow[1:] != e.flow[:-1]] if len(e.flow) else np.zeros(0, dtype=bool)
    base = np.maximum.accumulate(np.where(first, np.r_[0.0, total[:-1]], 0.0)) if len(e.flow) else total
    begin = start[e.flow] + total - base - length
    _burst(trace, e.flow, begin, asks, e.request, segment, spacing, rng, forward=True)
    reply = begin + asks * spacing + rtt + served
    _burst(trace, e.flow, reply, answers, e.answer, segment, spacing, rng, forward=False)
    if acknowledged:
        for when, count, forward in ((reply, answers // 2, True), (begin + rtt, asks // 2, False)):
            who = np.repeat(np.arange(len(e.flow)), count)
            late = _within(count) * 2 * spacing[who] + 0.4 * spacing[who] + 1e-5
            trace.add(e.flow[who], when[who] + late, forward, 0, ACK)
    end = start.copy()
    np.maximum.at(end, e.flow, begin + length)
    return end


def _burst(
    trace: Trace, flow: Ints, start: Floats, count: Ints, size: Ints, segment: Ints, spacing: Floats,
    rng: np.random.Generator, *, forward: bool,
) -> None:  # fmt: skip
    """`count` packets from `start` that carry `size` bytes together: full segments and the rest."""
    who = np.repeat(np.arange(len(flow)), count)
    index = _within(count)
    payload = np.where(index == count[who] - 1, size[who] - (count[who] - 1) * segment[who], segment[who])
    jitter = rng.random(len(who)) * 0.5 * (index > 0)
    trace.add(flow[who], start[who] + (index + jitter) * spacing[who], forward, payload, PSH | ACK)


def _within(count: Ints) -> Ints:
    """0, 1, ... within each group of `count` entries."""
    return np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
