"""Who was here in quiet times, how much each sent, and what kinds of packets: a forger of addresses cannot see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.flows import ACK, SYN
from sparring.network.headers import Headers, prefix_of, text
from sparring.systems.ddos.rules import Rule

KINDS: dict[str, dict[str, Any]] = {
    "": {},
    "udp": {"protocol": "udp"},
    "syn": {"protocol": "tcp", "set": ("syn",), "unset": ("ack",)},
    "tcp": {"protocol": "tcp"},
}
"""Kinds of packets, and what a rule says of them; "" is everything else, or all of a source's."""
_MOST, _LISTED = 65_536, 8_192


def kinds(h: Headers) -> NDArray[np.int64]:
    """The number in `KINDS` of each packet's kind, `(k,)`."""
    opening = (h.protocol == 6) & ((h.flags & (SYN | ACK)) == SYN)
    return np.where(h.protocol == 17, 1, np.where(opening, 2, np.where(h.protocol == 6, 3, 0)))


def main_kinds(h: Headers, of: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The kind of most packets of each of n groups, `of` `(k,)` is each packet's; `(n,)`."""
    return np.bincount(of * len(KINDS) + kinds(h), minlength=len(KINDS) * n).reshape(n, -1).argmax(1)


@dataclass
class Hosts:
    """The 65,536 sources seen last in quiet windows: the most packets that each sent in one, and its kinds as bits."""

    _known: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])

    def learn(self, h: Headers) -> None:
        """A quiet window's packets."""
        address, of, count = np.unique(h.source, axis=0, return_inverse=True, return_counts=True)
        used = np.zeros(len(address), dtype=np.int64)
        np.bitwise_or.at(used, of.reshape(-1), 1 << kinds(h))
        for key, packets, bits in zip((a.tobytes() for a in address), count.tolist(), used.tolist(), strict=True):
            most, before = self._known.pop(key, (0, 0))
            self._known[key] = max(most, packets), before | bits  # the last seen stand last
        while len(self._known) > _MOST:
            self._known.pop(next(iter(self._known)))

    def usual(self, address: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The most packets that each address `(k, 2)` sent in a quiet window; -1 where it was not there."""
        return np.array([self._known.get(a.tobytes(), (-1, 0))[0] for a in address], dtype=np.int64)

    def strange(self, h: Headers) -> NDArray[np.bool_]:
        """Packets `(k,)` from whom nobody knows, or of a kind that their source never sent."""
        address, of = np.unique(h.source, axis=0, return_inverse=True)
        used = np.array([self._known.get(a.tobytes(), (0, 0))[1] for a in address], dtype=np.int64)
        return (used[of.reshape(-1)] >> kinds(h)) & 1 == 0

    def exempt(self, rule: Rule) -> tuple[str, ...]:
        """The sources seen last that sent what the rule speaks of, in text."""
        wanted = {"udp": 0b0010, "tcp": 0b1100}.get(rule.protocol, 0b1111)
        if "syn" in rule.set and "ack" not in rule.set:
            wanted &= 0b0100
        keys = [key for key, (_, used) in self._known.items() if used & wanted][-_LISTED:]
        return tuple(text(np.frombuffer(key, dtype=np.uint64)) for key in keys)

    def prefixes(self, bits: int = 24) -> set[str]:
        """The IPv4 prefixes in which somebody known lives."""
        return {prefix_of(np.frombuffer(k, dtype=np.uint64), bits) for k in self._known if k[:8] == bytes(8)}
