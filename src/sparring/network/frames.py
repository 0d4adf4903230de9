"""Link-layer frames to packet headers: a whole block of frames at once, and a plain parser for the unusual ones."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.flows import Packet
from sparring.network.headers import MAPPED, Headers, of_packets

ETHERNET, LINUX, LINUX2 = 1, 113, 276
RAW, NULL = (12, 14, 101, 228, 229), (0, 108)
LINKS = (ETHERNET, LINUX, LINUX2, *RAW, *NULL)
"""Link types that can be read."""

_TAGS = (0x8100, 0x88A8, 0x9100)
_EXTENSIONS = (0, 43, 60)
_MOST_TAGS = 8
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


def decode(data: Bytes, start: Ints, length: Ints, time: Ints, link: int, skipped: Counter[str]) -> Headers:
    """The IP packets among `n` frames, in their order; `skipped` counts the others by reason.

    `data` holds the frames; frame i is `data[start[i] : start[i] + length[i]]`, captured at `time[i]` microseconds.
    What `parse` says of a frame, this says too; it only says it of a hundred thousand at once.
    """
    data = np.concatenate([data, np.zeros(128, dtype=np.uint8)])  # reads beyond the last frame meet zeros
    fate = np.zeros(len(start), dtype=np.int8)
    at = _network(data, start, length, link, fate)
    version = (data[start + at] >> 4).astype(np.uint8)
    _mark(fate, at >= length, _TRUNCATED)
    _mark(fate, (version != 4) & (version != 6), _NOT_IP if link in RAW or link in NULL else _MALFORMED)
    rows = np.flatnonzero(fate == _GOOD)
    found = _internet(data, start + at, length - at, version, rows, fate)
    keep = np.flatnonzero(fate[found["row"]] == _GOOD)
    column = {name: value[keep] for name, value in found.items()}
    headers = Headers(time=time[column["row"]], **{f.name: column[f.name] for f in fields(Headers)[1:]})
    slow = np.flatnonzero(fate == _SLOW)
    for code, reason in _REASONS.items():
        if count := int((fate == code).sum()):
            skipped[reason] += count
    if len(slow) == 0:
        return headers
    parsed = {int(i): parse(int(time[i]), data[start[i] : start[i] + length[i]].tobytes(), link, skipped) for i in slow}
    extra = [i for i, packet in parsed.items() if packet is not None]
    rest = of_packets([p for p in parsed.values() if p is not None])
    order = np.argsort(np.concatenate([column["row"], np.array(extra, dtype=np.int64)]), kind="stable")
    both = {f.name: np.concatenate([getattr(headers, f.name), getattr(rest, f.name)]) for f in fields(Headers)}
    return Headers(**{name: value[order] for name, value in both.items()})


_GOOD, _ZERO, _TRUNCATED, _NOT_IP, _MALFORMED, _SLOW = range(6)
_REASONS = {
    _ZERO: "zero length",
    _TRUNCATED: "truncated packet",
    _NOT_IP: "not ip",
    _MALFORMED: "fragment or malformed ip",
}


def _mark(fate: NDArray[np.int8], which: NDArray[np.bool_], code: int) -> None:
    fate[which & (fate == _GOOD)] = code


def _short(data: Bytes, at: Ints) -> Ints:
    """Big-endian 16-bit numbers at these places."""
    return data[at].astype(np.int64) << 8 | data[at + 1]


def _network(data: Bytes, start: Ints, length: Ints, link: int, fate: NDArray[np.int8]) -> Ints:
    """Where each frame's IP header begins within it; marks what has none."""
    _mark(fate, length == 0, _ZERO)
    if link in RAW or link in NULL:
        return np.full(len(start), 0 if link in RAW else 4)
    kind_at = np.full(len(start), {ETHERNET: 12, LINUX: 14, LINUX2: 0}[link])
    _mark(fate, length < kind_at + 2, _TRUNCATED)
    kind = _short(data, start + kind_at)
    at = np.full(len(start), 20) if link == LINUX2 else kind_at + 2
    for _ in range(_MOST_TAGS):
        tagged = np.flatnonzero(np.isin(kind, _TAGS) & (fate == _GOOD))
        if len(tagged) == 0:
            break
        cut = length[tagged] < at[tagged] + 4
        fate[tagged[cut]] = _TRUNCATED
        tagged = tagged[~cut]
        kind[tagged] = _short(data, start[tagged] + at[tagged] + 2)
        at[tagged] += 4
    _mark(fate, (kind != 0x0800) & (kind != 0x86DD), _NOT_IP)
    return np.minimum(at, length)


def _internet(
    data: Bytes, at: Ints, room: Ints, version: Bytes, rows: Ints, fate: NDArray[np.int8]
) -> dict[str, NDArray[Any]]:
    """The columns of the frames `rows`, with their numbers in "row"; marks the ones that are cut or malformed."""
    at, room = at[rows], room[rows]
    four: NDArray[np.bool_] = version[rows] == 4
    short = room < np.where(four, 20, 40)
    fate[rows[short]] = _TRUNCATED
    rows, at, room = (a[~short] for a in (rows, at, room))
    four = four[~short]
    head = data[at[:, None] + np.arange(40)].astype(np.int64)
    total = head[:, 2] << 8 | head[:, 3]
    total = np.where(total == 0, room, total)  # offloaded to the network card: the frame's own length counts
    header = np.where(four, (head[:, 0] & 15) * 4, 40)
    bad = four & ((header < 20) | (total < header) | (((head[:, 6] << 8 | head[:, 7]) & 0x1FFF) != 0))
    protocol = np.where(four, head[:, 9], head[:, 6])
    length = np.where(four, total - header, head[:, 4] << 8 | head[:, 5])
    fate[rows[bad | (~four & (protocol == 44))]] = _MALFORMED
    fate[rows[~four & np.isin(protocol, _EXTENSIONS)]] = _SLOW
    body = data[(at + np.minimum(header, 100))[:, None] + np.arange(16)].astype(np.int64)
    tcp, udp = protocol == 6, protocol == 17
    cut = (fate[rows] == _GOOD) & (room < header + np.where(tcp, 16, np.where(udp, 4, 0)))
    fate[rows[cut]] = _TRUNCATED
    transport = np.where(tcp, (body[:, 12] >> 4) * 4, np.where(udp, 8, 0))
    wrong = (tcp & ((transport < 20) | (transport > length))) | (udp & (length < 8))
    fate[rows[wrong & (fate[rows] == _GOOD)]] = _MALFORMED
    ported = tcp | udp
    return {
        "row": rows,
        "source": _addresses(head, four, 12, 8),
        "target": _addresses(head, four, 16, 24),
        "source_port": np.where(ported, body[:, 0] << 8 | body[:, 1], 0),
        "target_port": np.where(ported, body[:, 2] << 8 | body[:, 3], 0),
        "protocol": protocol,
        "payload": length - transport,
        "header": transport,
        "flags": np.where(tcp, body[:, 13], 0),
        "window": np.where(tcp, body[:, 14] << 8 | body[:, 15], -1),
    }


def _addresses(head: Ints, four: NDArray[np.bool_], v4: int, v6: int) -> NDArray[np.uint64]:
    byte = head.astype(np.uint64)
    out = np.zeros((len(head), 2), dtype=np.uint64)
    for half, places in ((0, range(v6, v6 + 8)), (1, range(v6 + 8, v6 + 16))):
        for place in places:
            out[:, half] = out[:, half] << np.uint64(8) | byte[:, place]
    low = byte[:, v4] << np.uint64(24) | byte[:, v4 + 1] << np.uint64(16)
    low |= byte[:, v4 + 2] << np.uint64(8) | byte[:, v4 + 3] | MAPPED
    out[four, 0], out[four, 1] = 0, low[four]
    return out


def parse(time: int, frame: bytes, link: int, skipped: Counter[str]) -> Packet | None:
    """One frame's packet; None, and a count in `skipped`, where it carries none that can be read."""
    if not frame:
        skipped["zero length"] += 1
        return None
    try:
        at = _network_of(frame, link)
        if at is None:
            skipped["not ip"] += 1
            return None
        packet = _ip(time, frame, at)
    except (struct.error, IndexError):
        skipped["truncated packet"] += 1
        return None
    if packet is None:
        skipped["fragment or malformed ip"] += 1
    return packet


def _network_of(frame: bytes, link: int) -> int | None:
    """Where the IP header starts; None where the frame carries something else."""
    if link in RAW:
        return 0 if frame[0] >> 4 in (4, 6) else None
    if link in NULL:
        return 4 if frame[4] >> 4 in (4, 6) else None
    at = {ETHERNET: 12, LINUX: 14, LINUX2: 0}[link]
    kind = struct.unpack_from(">H", frame, at)[0]
    at = 20 if link == LINUX2 else at + 2
    for _ in range(_MOST_TAGS):
        if kind not in _TAGS:
            break
        kind = struct.unpack_from(">H", frame, at + 2)[0]
        at += 4
    return at if kind in (0x0800, 0x86DD) else None


def _ip(time: int, frame: bytes, at: int) -> Packet | None:
    version = frame[at] >> 4
    if version in (4, 6) and len(frame) < at + (20 if version == 4 else 40):
        raise IndexError("the IP header is cut")
    if version == 4:
        header, total = (frame[at] & 15) * 4, struct.unpack_from(">H", frame, at + 2)[0]
        fragment = struct.unpack_from(">H", frame, at + 6)[0] & 0x1FFF
        protocol, source, target = frame[at + 9], frame[at + 12 : at + 16], frame[at + 16 : at + 20]
        if total == 0:  # offloaded to the network card: the frame's own length counts
            total = len(frame) - at
        if header < 20 or total < header or fragment:
            return None
        length = total - header
        body = at + header
    elif version == 6:
        length, protocol = struct.unpack_from(">HB", frame, at + 4)
        source, target, body = frame[at + 8 : at + 24], frame[at + 24 : at + 40], at + 40
        while protocol in _EXTENSIONS:
            protocol, size = frame[body], frame[body + 1] * 8 + 8
            body, length = body + size, length - size
        if length < 0 or protocol == 44:
            return None
    else:
        return None
    return _transport(time, frame, body, length, protocol, source, target)


def _transport(
    time: int, frame: bytes, body: int, length: int, protocol: int, source: bytes, target: bytes
) -> Packet | None:
    if protocol == 6:
        ports = struct.unpack_from(">HH", frame, body)
        offset, flags, window = struct.unpack_from(">BBH", frame, body + 12)
        header = (offset >> 4) * 4
        if header < 20 or header > length:
            return None
        return Packet(time, source, target, *ports, 6, length - header, header, flags, window)
    if protocol == 17:
        ports = struct.unpack_from(">HH", frame, body)
        return Packet(time, source, target, *ports, 17, length - 8, 8, 0, -1) if length >= 8 else None
    return Packet(time, source, target, 0, 0, protocol, length, 0, 0, -1)
