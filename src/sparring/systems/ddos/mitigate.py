# pyright: standard
"""From verdicts to rules: a decision tree on packet headers, flagged sources, and a bucket for strangers.

Three stages, each used only for what the one before leaves. (1) A decision tree separates the flagged packets from
benign ones by protocol, ports, size and flags; leaves that hardly touch benign traffic become drop rules. (2) Sources
that the detector flags in a window are dropped by address. (3) While what passes still fills the link, sources that
were not there before the attack share the room that the known ones leave, so shaped bots cannot crowd them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.destinations import Destinations
from sparring.network.headers import Headers, empty, joined, text
from sparring.network.windows import Windowed, windowed
from sparring.systems.ddos.link import FRAME, apply
from sparring.systems.ddos.model import Guard, Verdicts
from sparring.systems.ddos.rules import FLAGS, Range, Rule

_FIELDS = ("tcp", "udp", "target port", "source port", "size", *FLAGS)
_REFERENCE, _SAMPLE, _MOST_SOURCES = 20_000, 6_000, 8_192
_BENIGN_COST, _SPARED_COST, _PURITY = 0.005, 0.08, 0.85
"""Of benign packets the tree's rules for everybody may match this share, those that spare known sources the other one;
each leaf must be this pure."""
_MEMORY = 20_000
_FULL = 0.85
"""Share of the capacity up to which nothing needs to be limited."""


@dataclass
class Mitigator:
    """A `link.Controller`: judges each window's arrivals and keeps the rules that follow from it.

    `capacity` of the protected link in bit/s (None: unknown, stage 3 is off); `expires` seconds after which a rule
    that is not confirmed goes. `alarms` are the times at which some destination was under attack.
    """

    guard: Guard
    capacity: float | None = None
    expires: float = 30.0
    memory: Destinations = field(default_factory=Destinations)
    alarms: list[float] = field(default_factory=list)
    last: Verdicts | None = None
    _known: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.uint64))
    _quiet: Headers = field(default_factory=empty)
    _recent: Headers = field(default_factory=empty)
    _rules: dict[str, tuple[Rule, float]] = field(default_factory=dict)

    def decide(self, arrivals: Headers, begin: float) -> tuple[Rule, ...]:
        """The rules from this window on."""
        self._rules = {k: (r, t) for k, (r, t) in self._rules.items() if t > begin}
        if len(arrivals):
            flows = windowed(arrivals, round(self.guard.seconds * 1e6))
            return self.follow(flows, self.guard.judge(flows, self.memory), begin)
        return self.rules

    def follow(self, flows: Windowed, verdicts: Verdicts, begin: float) -> tuple[Rule, ...]:
        """The rules after the verdicts on a window's flows."""
        self.last = verdicts
        calm = self.capacity is not None and self._load(flows.headers) <= _FULL * self.capacity
        if calm or not verdicts.alarm.any():
            self._learn(flows, verdicts)
        if verdicts.alarm.any():
            self.alarms.append(begin)
        if calm or not verdicts.alarm.any():
            return self.rules
        flagged = verdicts.flagged & verdicts.alarm[verdicts.volumes.of]
        flooded = (verdicts.volume > 0) & verdicts.alarm
        victims = [text(a) for a in np.unique(verdicts.volumes.address[verdicts.alarm], axis=0)][:64]
        h, bad = flows.headers, flagged[flows.flow] & flows.forward
        toward = np.isin(h.target[:, 1], np.unique(verdicts.volumes.address[verdicts.alarm, 1]))
        bad &= toward
        recent = joined([self._recent, h.take(_some(np.flatnonzero(bad)))])
        self._recent = recent.take(slice(max(len(recent) - _MEMORY, 0), None))
        if bad.sum() >= 20:
            self._rules = {k: v for k, v in self._rules.items() if not v[0].reason.startswith("tree")}
            for rule in self._tree(self._recent, h.take(_some(np.flatnonzero(~bad))), victims):
                self._keep(rule, begin)
        self._sources(flows, flagged, begin)
        if self.capacity is not None and flooded.any():
            self._strangers(h, begin)
        return self.rules

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force: drops first."""
        return tuple(sorted((r for r, _ in self._rules.values()), key=lambda r: (r.action != "drop", r.reason)))

    def _keep(self, rule: Rule, begin: float) -> None:
        key = repr(replace(rule, rate=0.0, known=(), reason="", sources=()))
        self._rules[key] = (replace(rule, expires=self.expires), begin + self.expires)

    def _learn(self, flows: Windowed, verdicts: Verdicts) -> None:
        """In quiet windows: who is here, and what ordinary packets look like."""
        good = ~verdicts.flagged[flows.flow]
        calm = flows.headers.take(np.flatnonzero(good))
        both = joined([self._quiet, calm])
        self._quiet = both.take(slice(max(len(both) - _REFERENCE, 0), None))
        self._known = np.unique(np.concatenate([self._known, np.unique(calm.source, axis=0)]), axis=0)[:65_536]

    def _load(self, h: Headers) -> float:
        """Bits per second that arrive in a window."""
        return float((h.size + FRAME).sum()) * 8 / self.guard.seconds

    def _tree(self, attack: Headers, other: Headers, victims: list[str]) -> list[Rule]:
        """Leaves of a tree between the flagged packets and benign ones, as drop rules.

        Leaves that hardly touch benign traffic hold for everybody; those that touch some of it spare known sources.
        """
        from sklearn.tree import DecisionTreeClassifier

        benign = joined([self._quiet.take(_some(np.arange(len(self._quiet)))), other])
        if len(benign) == 0:
            return []
        x = np.concatenate([_fields(attack), _fields(benign)])
        y = np.r_[np.ones(len(attack)), np.zeros(len(benign))]
        tree = DecisionTreeClassifier(
            max_leaf_nodes=24, min_samples_leaf=max(len(y) // 400, 5), class_weight="balanced", random_state=0
        ).fit(x, y)
        leaf = tree.apply(x)
        found = []
        for node in np.unique(leaf):
            hits, harm = (leaf[y == 1] == node).mean(), (leaf[y == 0] == node).mean()
            if hits >= 0.01 and hits / (hits + harm) >= _PURITY:
                found.append((harm / hits, harm, hits, int(node)))
        rules, spent = [], 0.0
        exempt = tuple(text(a) for a in self._known[:_MOST_SOURCES])
        for _, harm, hits, node in sorted(found):
            spent += harm
            if spent > _SPARED_COST:
                break
            known = exempt if spent > _BENIGN_COST else ()
            reason = f"tree: {hits:.0%} of the flagged packets, {harm:.2%} of benign ones"
            conditions = _conditions(tree.tree_, node)
            rules += [Rule("drop", victim, known=known, reason=reason, **conditions) for victim in victims]
        return rules

    def _sources(self, flows: Windowed, flagged: NDArray[np.bool_], begin: float) -> None:
        """Sources, not known from quiet times, whose flows are flagged in this window."""
        source = flows.source[flagged]
        strangers = ~np.isin(_one(source), _one(self._known))
        address, packets = np.unique(source[strangers], axis=0, return_inverse=True)
        if len(address) == 0:
            return
        weight = np.bincount(packets.reshape(-1), flows.packets[flagged][strangers], minlength=len(address))
        top = address[np.argsort(-weight)[:_MOST_SOURCES]]
        old = [r.sources for r, _ in self._rules.values() if r.reason.startswith("sources")]
        names = tuple(dict.fromkeys([*(text(a) for a in top), *(n for s in old for n in s)]))[:_MOST_SOURCES]
        self._rules = {k: v for k, v in self._rules.items() if not v[0].reason.startswith("sources")}
        self._keep(Rule("drop", sources=names, reason=f"sources: {len(names)} with flagged flows"), begin)

    def _strangers(self, h: Headers, begin: float) -> None:
        """A token bucket for all that was not here before, if the rules so far leave the link too full."""
        drops = tuple(r for r in self.rules if r.action == "drop")
        passing = h.take(np.flatnonzero(~apply(drops, h)))
        bits = (passing.size + FRAME) * 8 / self.guard.seconds
        capacity = float(self.capacity or 0)
        if bits.sum() <= _FULL * capacity:
            return
        known = np.isin(_one(passing.source), _one(self._known))
        room = max(_FULL * capacity - bits[known].sum(), 0.05 * capacity)
        mean = float(bits[~known].mean() * self.guard.seconds) if (~known).any() else 4_000.0
        exempt = tuple(text(a) for a in self._known[:_MOST_SOURCES])
        reason = f"strangers: {len(exempt)} known sources go first"
        self._keep(Rule("limit", known=exempt, rate=max(room / mean, 10.0), reason=reason), begin)


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `_SAMPLE` of them, evenly spread."""
    return rows if len(rows) <= _SAMPLE else rows[np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64)]


def _one(address: NDArray[np.uint64]) -> NDArray[Any]:
    return np.ascontiguousarray(address).view("V16").reshape(-1)


def _fields(h: Headers) -> NDArray[np.float64]:
    bits = [(h.flags & bit) > 0 for bit in FLAGS.values()]
    columns = (h.protocol == 6, h.protocol == 17, h.target_port, h.source_port, h.size, *bits)
    return np.column_stack([np.asarray(c, dtype=np.float64) for c in columns])


def _conditions(tree: Any, node: int) -> dict[str, Any]:
    """The way from the root to a leaf as conditions of a rule."""
    low, high = dict.fromkeys(_FIELDS, -np.inf), dict.fromkeys(_FIELDS, np.inf)
    at = node
    while at:
        parent = int(np.flatnonzero((tree.children_left == at) | (tree.children_right == at))[0])
        name, cut = _FIELDS[tree.feature[parent]], float(tree.threshold[parent])
        if tree.children_left[parent] == at:
            high[name] = min(high[name], cut)
        else:
            low[name] = max(low[name], cut)
        at = parent

    def span(name: str, most: int) -> Range | None:
        if np.isinf(low[name]) and np.isinf(high[name]):
            return None
        return int(max(np.floor(low[name]) + 1, 0)), int(min(np.floor(high[name]), most))

    protocol = next((p for p in ("tcp", "udp") if low[p] > 0), "")
    if not protocol and high["tcp"] < 1 and high["udp"] >= 1:
        protocol = "udp"
    flags = [f for f in FLAGS if not (np.isinf(low[f]) and np.isinf(high[f]))]
    ports, source_ports = span("target port", 65_535), span("source port", 65_535)
    return {
        "protocol": "tcp" if flags and not protocol else protocol or ("udp" if ports and high["tcp"] < 1 else ""),
        "ports": ports,
        "source_ports": source_ports,
        "size": span("size", 65_535),
        "set": tuple(f for f in flags if low[f] > 0),
        "unset": tuple(f for f in flags if high[f] < 1),
    }
