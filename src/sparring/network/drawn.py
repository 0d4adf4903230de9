"""The packets that records of flows stand for: drawn out of the sums that an export knows, every sum exact.

A record knows sums and no packets, so its packets are even in size and in time. What comes out is what `pcap.headers`
gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import BadInput
from sparring.network.flows import ACK, FIN, RST, SYN
from sparring.network.headers import Headers, joined, parsed
from sparring.network.netflow import Ints, Records, records

_LONGEST = 200_000
"""Packets that are drawn out of one record; one flow rarely has more between two exports."""
_AT_ONCE = 200_000
_HELD, _MOST = 300_000_000, 500_000
"""An export comes when its flow ends: packets wait for records up to this much later, microseconds and packets."""


def headers(path: Path, skipped: Counter[str] | None = None) -> Iterator[Headers]:
    """The packets that the file's records stand for, in order of time, in bounded memory.

    `skipped` counts records without packets and packets of records that are longer than 200,000. A record that
    comes more than 5 minutes too late is left to `windows.Windower`, which counts it as "out of order".
    """
    skipped = Counter() if skipped is None else skipped
    waiting: list[Headers] = []
    newest = 0
    for block in records(path):
        for part in _portions(block, skipped):
            newest = max(newest, int((part.start + part.duration).max()))
            every = joined([*waiting, drawn(part)]).ordered()
            ready = int(np.searchsorted(every.time, newest - _HELD))
            ready = max(ready, len(every) - _MOST)
            if ready:
                yield every.take(slice(0, ready))
            waiting = [every.take(slice(ready, None))]
    if waiting and len(waiting[0]):
        yield waiting[0]


def drawn(r: Records) -> Headers:
    """The packets of records: even in size and distance, the request before the answer; not in order of time."""
    initiator = (r.back_packets > 0) | (r.source_port >= r.target_port)
    there = _spread(r, r.packets, r.bytes, r.flags, np.where(initiator, SYN, SYN | ACK), r.window)
    back = r.take(r.back_packets > 0)
    opening = np.full(len(back), SYN | ACK)
    here = _spread(back, back.back_packets, back.back_bytes, back.back_flags, opening, back.back_window)
    answer = Headers(
        here.time, here.target, here.source, here.target_port, here.source_port, here.protocol, here.payload,
        here.header, here.flags, here.window,
    )  # fmt: skip
    return joined([there, answer])


def streamed(path: Path, **options: Any) -> Iterator[Records]:
    """The flows that nfstream finds in a capture, as records of both directions.

    `options` go to `nfstream.NFStreamer`. Raises `BadInput` where nfstream is not installed.
    """
    try:
        nfstream = import_module("nfstream")
    except ImportError as error:
        raise BadInput("reading through nfstream needs the package nfstream: pip install nfstream") from error
    rows: list[tuple[Any, ...]] = []
    flow: Any
    for flow in nfstream.NFStreamer(source=str(path), statistical_analysis=True, **options):
        rows.append(
            (
                flow.src_ip, flow.dst_ip, flow.src_port, flow.dst_port, flow.protocol, flow.src2dst_packets,
                flow.src2dst_bytes, flow.bidirectional_first_seen_ms * 1000, flow.bidirectional_duration_ms * 1000,
                _told(flow, "src2dst"), flow.dst2src_packets, flow.dst2src_bytes, _told(flow, "dst2src"), -1, -1,
            )
        )  # fmt: skip
        if len(rows) == 10_000:
            yield _columns(rows)
            rows = []
    if rows:
        yield _columns(rows)


def _told(flow: Any, side: str) -> int:
    names = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
    return sum((getattr(flow, f"{side}_{name}_packets") > 0) << i for i, name in enumerate(names))


def _columns(rows: list[tuple[Any, ...]]) -> Records:
    source, target, *rest = zip(*rows, strict=True)
    here, there = (np.array([parsed(a) for a in side]) for side in (source, target))
    return Records(here, there, *(np.array(c, dtype=np.int64) for c in rest))


def _portions(r: Records, skipped: Counter[str]) -> Iterator[Records]:
    """Records of some 200,000 packets together."""
    total = r.packets + r.back_packets
    if empty := int((total == 0).sum()):
        skipped["records without packets"] += empty
    if beyond := int(np.maximum(r.packets - _LONGEST, 0).sum() + np.maximum(r.back_packets - _LONGEST, 0).sum()):
        skipped["packets of very long records"] += beyond
    r = r.take(np.flatnonzero(total))
    shown = np.minimum(r.packets, _LONGEST) + np.minimum(r.back_packets, _LONGEST)
    group = np.cumsum(shown) // _AT_ONCE
    for edge in np.split(np.arange(len(r)), np.flatnonzero(np.diff(group)) + 1):
        if len(edge):
            yield r.take(edge)


def _spread(r: Records, packets: Ints, size: Ints, flags: Ints, opening: Ints, window: Ints) -> Headers:
    """One direction of the records, as if from source to target; `opening` are the flags of a first packet with SYN."""
    count = np.minimum(packets, _LONGEST)
    of = np.repeat(np.arange(len(r)), count)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    last = nth == count[of] - 1
    each, more = np.divmod(size, np.maximum(packets, 1))
    internet = np.where((r.source[:, 0] != 0) | (r.source[:, 1] >> np.uint64(32) != 0xFFFF), 40, 20)
    header = np.where(r.protocol == 6, 20, np.where(r.protocol == 17, 8, 0))
    payload = np.maximum(each[of] + (nth < more[of]) - internet[of] - header[of], 0)
    seen = flags[of]
    middle = seen & ~(SYN | FIN | RST)
    bits = np.where((nth == 0) & (seen & SYN > 0), opening[of] & seen, middle) | np.where(last, seen & (FIN | RST), 0)
    bits = np.where((count[of] == 1) | (seen == SYN), seen, bits)
    gap = r.duration[of] / np.maximum(count[of] - 1, 1)
    return Headers(
        r.start[of] + np.rint(gap * nth).astype(np.int64), r.source[of], r.target[of], r.source_port[of],
        r.target_port[of], r.protocol[of], payload, header[of], bits, window[of],
    )  # fmt: skip
