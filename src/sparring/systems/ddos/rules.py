"""Mitigation rules: what to drop or slow down, for how long and why; as JSON and as text for nftables.

Nothing here touches a firewall: an operator reads the rules, checks them (`nft -c -f`) and applies them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparring.network.headers import Headers, parsed

Range = tuple[int, int]
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}
_PROTOCOLS = {"tcp": 6, "udp": 17}


@dataclass(frozen=True)
class Rule:
    """Packets to `targets` that meet every condition are dropped, or let through up to `rate` packets per second.

    Empty conditions hold for all: `targets` and `sources` are addresses or prefixes, `protocol` "tcp" or "udp", `ports`
    and `source_ports` inclusive ranges, `size` the IP length in bytes, `set` and `unset` tcp flags.
    `known` exempts sources that were there before the attack. `expires` seconds; `reason` for people.
    """

    action: Literal["drop", "limit"]
    targets: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    protocol: Literal["", "tcp", "udp"] = ""
    ports: Range | None = None
    source_ports: Range | None = None
    size: Range | None = None
    set: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    rate: float = 0.0
    expires: float = 300.0
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """The rule as JSON data, empty conditions left out."""
        return {name: value for name, value in asdict(self).items() if value not in ("", (), None, 0.0)}

    def told(self) -> str:
        """The conditions beside the targets, in words."""
        words = [self.protocol] if self.protocol else []
        for name, bounds in (("to port", self.ports), ("from port", self.source_ports), ("size", self.size)):
            words += [f"{name} {_span(bounds)}"] if bounds is not None else []
        words += [f"{name} set" for name in self.set] + [f"{name} not set" for name in self.unset]
        few = ", ".join(self.sources[:3]) + (f" and {len(self.sources) - 3:,} more" if len(self.sources) > 3 else "")
        words += [f"from {few}"] if self.sources else []
        words += [f"but not from {len(self.known):,} known sources"] if self.known else []
        words += [f"above {self.rate:,.0f} a second"] if self.action == "limit" else []
        return ", ".join(words) or "all"

    def matches(self, h: Headers) -> NDArray[np.bool_]:
        """Which packets the rule speaks of, `(k,)`."""
        hit = np.ones(len(h), dtype=bool)
        if self.protocol:
            hit &= h.protocol == _PROTOCOLS[self.protocol]
        for bounds, value in ((self.ports, h.target_port), (self.source_ports, h.source_port), (self.size, h.size)):
            if bounds is not None:
                hit &= (value >= bounds[0]) & (value <= bounds[1])
        for names, wanted in ((self.set, True), (self.unset, False)):
            for name in names:
                hit &= ((h.flags & FLAGS[name]) > 0) == wanted
        rows = np.flatnonzero(hit)
        if self.targets and len(rows):
            hit[rows] = within(h.target[rows], self.targets)
            rows = np.flatnonzero(hit)
        if self.sources and len(rows):
            hit[rows] = within(h.source[rows], self.sources)
        if self.known and len(rows):
            hit[rows] &= ~within(h.source[rows], self.known)
        return hit


def within(address: NDArray[np.uint64], networks: Sequence[str]) -> NDArray[np.bool_]:
    """Which addresses `(k, 2)` lie in one of the networks (addresses or prefixes in text)."""
    out = np.zeros(len(address), dtype=bool)
    for length, kinds in _parsed(tuple(networks)):
        out |= np.isin(_key(address & np.array(_mask(length), dtype=np.uint64)), kinds)
    return out


@lru_cache(maxsize=32)
def _parsed(networks: tuple[str, ...]) -> tuple[tuple[int, NDArray[Any]], ...]:
    """The networks by prefix length, counted in 128 bits; rules ask for the same ones window by window."""
    by_bits: dict[int, list[NDArray[np.uint64]]] = {}
    for network in networks:
        base, _, bits = network.partition("/")
        length = 128 if not bits else int(bits) + (0 if ":" in base else 96)
        by_bits.setdefault(length, []).append(parsed(base))
    masks = {length: np.array(_mask(length), dtype=np.uint64) for length in by_bits}
    return tuple((length, _key(np.array(wanted) & masks[length])) for length, wanted in by_bits.items())


def _mask(length: int) -> tuple[int, int]:
    whole = ((1 << length) - 1) << (128 - length) if length else 0
    return whole >> 64, whole & (2**64 - 1)


def _key(address: NDArray[np.uint64]) -> NDArray[Any]:
    return np.ascontiguousarray(address).view("V16").reshape(-1)


def to_json(rules: Sequence[Rule]) -> str:
    """All rules as a JSON list."""
    return json.dumps([r.record() for r in rules], indent=2) + "\n"


def to_nftables(rules: Sequence[Rule], table: str = "sparring") -> str:
    """An nftables script: one table with one chain, before connection tracking. Rules time out with their addresses.

    Loading it again replaces the table; `nft delete table inet sparring` takes it away.
    """
    sets, lines = list[str](), list[str]()
    for i, rule in enumerate(rules):
        for family in (4, 6):
            line = _line(rule, i, family, sets)
            if line:
                lines.append(line)
    count = f"{len(rules)} rule" + ("" if len(rules) == 1 else "s")
    head = [
        "#!/usr/sbin/nft -f",
        f"# {count}; check with `nft -c -f FILE`, apply with `nft -f FILE`, undo with",
        f"# `nft delete table inet {table}`.",
        f"table inet {table}",
        f"delete table inet {table}",
        f"table inet {table} {{",
    ]
    chain = ["  chain ingress {", "    type filter hook prerouting priority -300; policy accept;", *lines, "  }", "}"]
    return "\n".join([*head, *sets, *chain]) + "\n"


def _line(rule: Rule, number: int, family: int, sets: list[str]) -> str:
    """One rule for one address family; "" where it has none of that family."""
    word, kind = ("ip", "ipv4_addr") if family == 4 else ("ip6", "ipv6_addr")
    parts: list[str] = []
    if rule.targets:
        mine = [_plain(n) for n in rule.targets if _family(n) == family]
        if not mine:
            return ""
        # In a timed set, as every address of a rule: when the victims' time is up, the rule speaks of nobody.
        label = f"rule{number}_targets_{family}"
        sets.append(_set(label, kind, mine, rule.expires))
        parts.append(f"{word} daddr @{label}")
    elif not rule.sources:
        parts.append(f"meta nfproto ipv{family}")
    for names, role, test in ((rule.sources, "sources", ""), (rule.known, "known", "!= ")):
        mine = [_plain(n) for n in names if _family(n) == family]
        if names is rule.sources and names and not mine:
            return ""
        if mine:
            label = f"rule{number}_{role}_{family}"
            sets.append(_set(label, kind, mine, rule.expires))
            parts.append(f"{word} saddr {test}@{label}")
    if rule.protocol:
        parts.append(f"meta l4proto {rule.protocol}")
    for names, bounds in (("dport", rule.ports), ("sport", rule.source_ports)):
        if bounds is not None:
            parts.append(f"th {names} {_span(bounds)}")
    if rule.size is not None:
        parts.append(f"meta length {_span(rule.size)}")
    if rule.set or rule.unset:
        mask = " | ".join((*rule.set, *rule.unset))
        parts.append(f"tcp flags & ({mask}) == {' | '.join(rule.set) or '0x0'}")
    if rule.action == "limit":
        parts.append(f"limit rate over {max(round(rule.rate), 1)}/second burst {max(round(rule.rate / 5), 5)} packets")
    comment = f"{rule.reason[:90]}; expires after {rule.expires:.0f} s".replace('"', "'")
    return f'    {" ".join(parts)} counter drop comment "{comment}"'


def _set(label: str, kind: str, members: Sequence[str], expires: float) -> str:
    elements = ", ".join(f"{m} timeout {max(round(expires), 1)}s" for m in members)
    return (
        f"  set {label} {{\n    type {kind}; flags interval, timeout; auto-merge;\n"
        f"    elements = {{ {elements} }}\n  }}"
    )


def _family(network: str) -> int:
    return ip_network(network, strict=False).version


def _plain(network: str) -> str:
    return str(ip_network(network, strict=False)) if "/" in network else network


def _span(bounds: Range) -> str:
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]}-{bounds[1]}"
