"""Packet headers in columns: what the vectorised readers, writers and generators hand to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from ipaddress import IPv6Address, ip_address
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.flows import Packet

MAPPED = np.uint64(0xFFFF) << np.uint64(32)
"""An IPv4 address a is held as ::ffff:a, so that both families fit two 64-bit columns."""


@dataclass(frozen=True)
class Headers:
    """Captured packets, one entry each, in the order of the capture.

    `time` microseconds; `source`, `target` `(n, 2)` uint64 addresses (high, low; IPv4 mapped into IPv6);
    `source_port`, `target_port` 0 without ports; `protocol` the IP protocol number; `payload` and `header` transport
    bytes; `flags` tcp flag bits; `window` tcp window, -1 without tcp. All but the addresses are `(n,)` int64.
    """

    time: NDArray[np.int64]
    source: NDArray[np.uint64]
    target: NDArray[np.uint64]
    source_port: NDArray[np.int64]
    target_port: NDArray[np.int64]
    protocol: NDArray[np.int64]
    payload: NDArray[np.int64]
    header: NDArray[np.int64]
    flags: NDArray[np.int64]
    window: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def v6(self) -> NDArray[np.bool_]:
        """Which packets are IPv6, `(n,)`."""
        return (self.source[:, 0] != 0) | (self.source[:, 1] >> np.uint64(32) != 0xFFFF)

    @property
    def size(self) -> NDArray[np.int64]:
        """Bytes of the IP packet, headers of 20 (IPv4) or 40 bytes counted."""
        return self.payload + self.header + np.where(self.v6, 40, 20)

    def take(self, rows: NDArray[Any] | slice) -> Headers:
        """The chosen packets: indices, a mask or a slice."""
        return Headers(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def ordered(self) -> Headers:
        """The packets in the order of time; equal times keep their order."""
        return self.take(np.argsort(self.time, kind="stable"))

    def packets(self) -> Iterator[Packet]:
        """One `Packet` each, addresses as bytes."""
        names = [f.name for f in fields(self) if f.name not in ("time", "source", "target")]
        rows = zip(self.time.tolist(), *(getattr(self, n).tolist() for n in names), strict=True)
        sources, targets = packed(self.source), packed(self.target)
        for source, target, (time, *rest) in zip(sources, targets, rows, strict=True):
            yield Packet(time, source, target, *rest)


def empty() -> Headers:
    """No packets."""
    return of_packets([])


def joined(parts: Sequence[Headers]) -> Headers:
    """Parts one after the other."""
    if len(parts) == 1:
        return parts[0]
    every = parts or [empty()]
    return Headers(**{f.name: np.concatenate([getattr(p, f.name) for p in every]) for f in fields(Headers)})


def of_packets(packets: Sequence[Packet]) -> Headers:
    """Columns from single packets."""
    rows = [(p.time, p.source_port, p.target_port, p.protocol, p.payload, p.header, p.flags, p.window) for p in packets]
    time, *rest = np.array(rows, dtype=np.int64).reshape(-1, 8).T.copy()
    return Headers(time, halves([p.source for p in packets]), halves([p.target for p in packets]), *rest)


def ipv4(addresses: NDArray[Any]) -> NDArray[np.uint64]:
    """IPv4 addresses as whole numbers `(n,)` to the columns `(n, 2)`."""
    low = np.asarray(addresses, dtype=np.uint64) | MAPPED
    return np.stack([np.zeros_like(low), low], axis=1)


def halves(addresses: Sequence[bytes]) -> NDArray[np.uint64]:
    """Packed addresses (4 or 16 bytes each) to the columns `(n, 2)`."""
    whole = b"".join(a if len(a) == 16 else bytes(10) + b"\xff\xff" + a for a in addresses)
    return np.frombuffer(whole, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def packed(addresses: NDArray[np.uint64]) -> list[bytes]:
    """The columns back to 4 bytes for IPv4, 16 for IPv6."""
    whole = np.ascontiguousarray(addresses).astype(">u8").tobytes()
    four = (addresses[:, 0] == 0) & (addresses[:, 1] >> np.uint64(32) == 0xFFFF)
    return [whole[16 * i + 12 : 16 * i + 16] if f else whole[16 * i : 16 * i + 16] for i, f in enumerate(four)]


def text(address: NDArray[np.uint64]) -> str:
    """One address, `(2,)`, as people write it."""
    return str(ip_address(packed(address[None])[0]))


def parsed(address: str) -> NDArray[np.uint64]:
    """The columns, `(2,)`, of an address in text. Raises ValueError for anything else."""
    known = ip_address(address.strip())
    return halves([known.packed])[0]


def prefix_of(address: NDArray[np.uint64], bits: int) -> str:
    """The network of an address in text: `10.1.2.0/24`; `bits` count within its own family."""
    known = ip_address(packed(address[None])[0])
    top = 128 if isinstance(known, IPv6Address) else 32
    whole = int(known) >> (top - bits) << (top - bits)
    return f"{type(known)(whole)}/{bits}"
