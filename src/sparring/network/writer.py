"""Packet headers to a real pcap file: Ethernet frames without their payload, as a capture with a short snap length."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.files import replacing
from sparring.network.headers import Headers

Ints = NDArray[np.int64]
_LINK, _SNAP = 14, 262_144
_DOFF_NOP = 1
"""Options of longer tcp headers are filled with "no operation"."""


def write(path: Path, headers: Headers | Iterable[Headers]) -> int:
    """Write packets to `path` as classic pcap, in the order given; returns how many.

    Lengths on the wire are true, payloads are left out, the IPv4 checksum is right and the others are left 0.
    `pcap.headers` gives back every column. The file appears only when it is whole.
    """
    count = 0
    with replacing(path) as stream:
        stream.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAP, 1))
        for block in [headers] if isinstance(headers, Headers) else headers:
            stream.write(records(block))
            count += len(block)
    return count


def records(h: Headers) -> bytes:
    """The pcap records of the packets, one after the other."""
    six = h.v6
    internet = np.where(six, 40, 20)
    captured = _LINK + internet + h.header
    at = np.cumsum(captured + 16) - captured - 16
    out = np.zeros(int((captured + 16).sum()), dtype=np.uint8)
    for place, value in ((0, h.time // 1_000_000), (4, h.time % 1_000_000), (8, captured), (12, _LINK + h.size)):
        _little(out, at + place, value)
    frame = at + 16
    out[frame + 5], out[frame + 11] = 1, 2  # addresses of two neighbouring cards
    _big(out, frame + 12, np.where(six, 0x86DD, 0x0800), 2)
    ip = frame + _LINK
    _ipv4(out, ip, h, ~six)
    _ipv6(out, ip, h, six)
    body, tcp, udp = ip + internet, h.protocol == 6, h.protocol == 17
    for which in (tcp, udp):
        _big(out, body[which], h.source_port[which], 2)
        _big(out, body[which] + 2, h.target_port[which], 2)
    _big(out, body[udp] + 4, h.payload[udp] + 8, 2)
    _tcp(out, body[tcp], h.take(tcp))
    return out.tobytes()


def _ipv4(out: NDArray[np.uint8], ip: Ints, h: Headers, which: NDArray[np.bool_]) -> None:
    at, h = ip[which], h.take(which)
    out[at], out[at + 8], out[at + 9] = 0x45, 64, h.protocol
    _big(out, at + 2, h.size, 2)
    _big(out, at + 12, (h.source[:, 1] & np.uint64(0xFFFFFFFF)).astype(np.int64), 4)
    _big(out, at + 16, (h.target[:, 1] & np.uint64(0xFFFFFFFF)).astype(np.int64), 4)
    words = sum(((out[at + k].astype(np.int64) << 8) + out[at + k + 1] for k in range(0, 20, 2)), np.zeros_like(at))
    words = (words & 0xFFFF) + (words >> 16)
    _big(out, at + 10, ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF, 2)


def _ipv6(out: NDArray[np.uint8], ip: Ints, h: Headers, which: NDArray[np.bool_]) -> None:
    at, h = ip[which], h.take(which)
    out[at], out[at + 6], out[at + 7] = 0x60, h.protocol, 64
    _big(out, at + 4, h.size - 40, 2)
    for place, address in ((8, h.source), (24, h.target)):
        for half in (0, 1):
            for byte in range(8):
                shifted = address[:, half] >> np.uint64(56 - 8 * byte)
                out[at + place + 8 * half + byte] = (shifted & np.uint64(255)).astype(np.uint8)


def _tcp(out: NDArray[np.uint8], at: Ints, h: Headers) -> None:
    out[at + 12] = (h.header // 4 << 4).astype(np.uint8)
    out[at + 13] = h.flags.astype(np.uint8)
    _big(out, at + 14, np.maximum(h.window, 0), 2)
    for k in range(20, 60):
        longer = h.header > k
        out[at[longer] + k] = _DOFF_NOP


def _big(out: NDArray[np.uint8], at: Ints, value: Ints, size: int) -> None:
    for k in range(size):
        out[at + k] = (value >> (8 * (size - 1 - k))) & 255


def _little(out: NDArray[np.uint8], at: Ints, value: Ints) -> None:
    for k in range(4):
        out[at + k] = (value >> (8 * k)) & 255
