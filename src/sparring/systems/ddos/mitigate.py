"""From verdicts to rules: a decision tree on packet headers, flagged sources, and a bucket for strangers.

Every rule speaks of traffic toward the destinations under attack and of nothing else, until the attack moves on faster
than that: when much of what is flagged passes the rules in force and would not if they held for everybody behind the
link, they do. Four stages, each used only for what the one before leaves. (1) Sources that the detector flags are
dropped by address, or by prefix where the flagged ones fill it. Only their flagged kind of packets is (udp, openings,
other tcp), because anybody can forge an address, unless their own running evidence convicts them; and nothing of those
known from quiet times that send no more than they did. (2) Where packets come from ever new sources, a decision tree
separates those that no list stops from benign ones by protocol, ports, size and flags; leaves that hardly touch benign
traffic become drop rules, until the list suffices. Then, if the volume alarms clearly or for the second window in a
row and what passes still fills the link: (3) a second tree, without ports, between all strangers' packets to the
victim and benign ones, because a flood of packets that are ordinary one by one is not ordinary in sum; (4) sources
that were not there before the attack share the room that all others leave, so shaped bots cannot crowd them out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.network.flows import ACK, RST, SYN
from sparring.network.headers import Headers, empty, joined, prefix_of, text
from sparring.network.windows import Windowed, windowed
from sparring.systems.ddos.evidence import Evidence
from sparring.systems.ddos.hosts import KINDS, Hosts, kinds, main_kinds
from sparring.systems.ddos.link import FRAME, apply
from sparring.systems.ddos.model import Guard, Memory, Verdicts
from sparring.systems.ddos.rules import Rule
from sparring.systems.ddos.tree import PORTLESS, tree_rules

_REFERENCE, _SAMPLE, _RECENT = 20_000, 6_000, 20_000
_MOST_SOURCES, _MOST_VICTIMS = 8_192, 64
_FULL = 0.85
"""Share of the capacity up to which nothing needs to be dropped or limited."""
_MUCH = 0.25
"""Share of the capacity from which strangers' packets of a kind are what fills the link."""
_ENOUGH = 20
"""Packets from which a tree is grown."""
_NEARLY_ALL = 0.99
"""The sources that send this share of the flagged packets are listed: in a flood a few flags are mistakes."""
_SUFFICES = 0.05
"""Share of the flagged packets that a list of sources may leave before a tree is asked for."""
_PURE = 0.9
"""Purity of the excess tree's leaves: packets of this kind are nine times as common as in benign traffic."""
_SURE = 2.0
"""Volume logit that needs no second window: some seven times as rare in normal traffic as an alarm."""
_BRIEF = 3.0
"""Seconds after which the strangers' bucket goes unless the volume still alarms: it is hard on those who are new."""
_SURGE = 4.0
"""A source known from quiet times is dropped when its flagged packets are this many times the most it ever sent."""
_ESCAPED, _SPARED, _WIDE = 0.25, 0.02, 10.0
"""Drops hold for everybody, for so many seconds, once this share of the bits that pass them on a full link would not
pass if they did, and they would touch at most the other share of quiet packets."""
_DENSE = 24
"""Flagged addresses in one /24, none of them known, from which the prefix stands for them."""


Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Victims:
    """The destinations that rules speak of: `address` `(k, 2)` and in text; whether their volume is what alarms;
    `everybody` behind the link, and then no names."""

    address: NDArray[np.uint64]
    names: tuple[str, ...]
    flooded: bool
    everybody: bool = False

    @classmethod
    def of(cls, v: Verdicts) -> Victims:
        """The flooded destinations, or where volume shows none all in alarm; the busiest first, 64 at most."""
        flooded = v.alarm & (v.volume > 0)
        rows = np.flatnonzero(flooded if flooded.any() else v.alarm)
        rows = rows[np.argsort(-v.volumes.packets[rows], kind="stable")]
        _, first = np.unique(_one(v.volumes.address[rows]), return_index=True)
        address = v.volumes.address[rows[np.sort(first)]][:_MOST_VICTIMS]
        return cls(address, tuple(text(a) for a in address), bool(flooded.any()))

    def toward(self, h: Headers) -> Mask:
        """Which packets go to one of them."""
        return np.ones(len(h), dtype=bool) if self.everybody else _among(h.target, self.address)


@dataclass
class Mitigator:
    """A `link.Controller`: judges each window's arrivals and keeps the rules that follow from it.

    With `capacity`, bit/s of the protected link, rules are made only while arrivals fill it, and stages 3 and 4 are
    on; with None every alarm makes rules. `expires` seconds after which a rule that is not confirmed goes. `alarms` are
    the times at which some destination was under attack.
    """

    guard: Guard
    capacity: float | None = None
    expires: float = 30.0
    memory: Memory = field(default_factory=Memory)
    alarms: list[float] = field(default_factory=list[float])
    last: Verdicts | None = None
    _suspects: Evidence = field(default_factory=Evidence)
    _blocked: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    _flooded: float = -math.inf
    _wide: float = -math.inf
    _hosts: Hosts = field(default_factory=Hosts)
    _quiet: Headers = field(default_factory=empty)
    _recent: Headers = field(default_factory=empty)
    _rules: dict[str, tuple[Rule, float]] = field(default_factory=dict[str, tuple[Rule, float]])

    def decide(self, arrivals: Headers, begin: float) -> tuple[Rule, ...]:
        """The rules from this window on."""
        if len(arrivals):
            flows = windowed(arrivals, round(self.guard.seconds * 1e6))
            return self.follow(flows, self.guard.judge(flows, self.memory), begin)
        self._expire(begin)
        return self.rules

    def follow(self, flows: Windowed, verdicts: Verdicts, begin: float) -> tuple[Rule, ...]:
        """The rules after the verdicts on a window's flows."""
        self.last = verdicts
        self._expire(begin)
        convicted = self._convicted(flows, verdicts)
        if verdicts.alarm.any():
            self.alarms.append(begin)
        full = self.capacity is None or _bits(flows.headers, self.guard.seconds) > _FULL * self.capacity
        if not (full and verdicts.alarm.any()):
            self._learn(flows, verdicts)
            return self.rules
        victims = Victims.of(verdicts)
        if self._outrun(flows.headers, begin):
            victims = replace(victims, names=(), everybody=True)
        bad = verdicts.flagged[flows.flow] & _asking(flows) & victims.toward(flows.headers)
        left = self._sources(flows.headers, bad, victims, convicted, begin)
        self._tree(flows, bad, left, victims, begin)
        again = begin - self._flooded <= 1.5 * self.guard.seconds
        if victims.everybody or (victims.flooded and (again or float(verdicts.volume.max()) > _SURE)):
            self._excess(flows.headers, victims, begin)
            self._strangers(flows.headers, victims, begin)
        self._flooded = begin if victims.flooded else self._flooded
        return self.rules

    def _outrun(self, h: Headers, begin: float) -> bool:
        """Whether the attack moves on faster than rules about its victims come: they then hold for everybody."""
        drops = self._drops()
        if drops and self._too_full(passing := h.take(np.flatnonzero(~apply(drops, h)))):
            weight, wide = (passing.size + FRAME) * 8, tuple(replace(r, targets=()) for r in drops)
            caught = float(weight[apply(wide, passing)].sum())
            harmless = float(apply(wide, self._quiet).mean()) <= _SPARED if len(self._quiet) else False
            if harmless and caught > _ESCAPED * float(weight.sum()):
                self._wide = begin + _WIDE
        return self._wide > begin

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force: drops first."""
        return tuple(sorted((r for r, _ in self._rules.values()), key=lambda r: (r.action != "drop", r.reason)))

    def _keep(self, rule: Rule, begin: float) -> None:
        key = repr(replace(rule, rate=0.0, known=(), reason="", sources=()))
        self._rules[key] = (rule, begin + rule.expires)

    def _expire(self, begin: float) -> None:
        self._rules = {k: (r, t) for k, (r, t) in self._rules.items() if t > begin}
        self._blocked = {name: t for name, t in self._blocked.items() if t > begin}

    def _forget(self, stage: str) -> None:
        self._rules = {k: v for k, v in self._rules.items() if not v[0].reason.startswith(stage)}

    def _learn(self, flows: Windowed, verdicts: Verdicts) -> None:
        """In quiet windows: who is here and how much each sends, and what ordinary packets look like."""
        calm = flows.headers.take(np.flatnonzero(~verdicts.flagged[flows.flow]))
        both = joined([self._quiet, calm])
        self._quiet = both.take(slice(max(len(both) - _REFERENCE, 0), None))
        self._hosts.learn(calm)

    def _tree(self, flows: Windowed, bad: Mask, left: Mask, victims: Victims, begin: float) -> None:
        """Stage 2: what the flagged packets have in common that the sources' list leaves; nothing while it suffices."""
        if left.sum() <= _SUFFICES * bad.sum():
            if bad.sum() >= _ENOUGH:
                self._forget("tree")
            return
        h = flows.headers
        recent = joined([self._recent, h.take(_some(np.flatnonzero(left)))])
        self._recent = recent.take(slice(max(len(recent) - _RECENT, 0), None))
        if left.sum() < _ENOUGH:
            return
        self._forget("tree")
        served = np.flatnonzero(_talking(flows)[flows.flow] & victims.toward(h) & ~bad)
        benign = joined([self._benign(h, victims), h.take(served[:_REFERENCE])])
        for rule in tree_rules(self._recent, benign, victims.names, spare=self._hosts.exempt, expires=self.expires):
            self._keep(rule, begin)

    def _excess(self, h: Headers, victims: Victims, begin: float) -> None:
        """Stage 3: what the strangers' packets have in common that the link still carries, and benign ones lack."""
        passing = h.take(np.flatnonzero(~apply(self._drops(), h)))
        strange = np.flatnonzero(np.isin(kinds(passing), self._crowding(passing, victims)))
        strange = strange[self._strange(passing.take(strange), victims)]
        if len(strange) < _ENOUGH:
            return
        self._forget("excess")
        for rule in tree_rules(passing.take(_some(strange)), self._benign(h, victims), victims.names, label="excess",
                               fields=PORTLESS, purity=_PURE, spare=self._hosts.exempt,
                               expires=self.expires):  # fmt: skip
            self._keep(rule, begin)

    def _benign(self, h: Headers, victims: Victims) -> Headers:
        """Packets of quiet times, and those of now that known hosts send elsewhere: unflagged is not yet benign."""
        elsewhere = np.flatnonzero(~victims.toward(h) & ~self._hosts.strange(h))
        return joined([self._quiet, h.take(elsewhere[:_REFERENCE])])

    def _convicted(self, flows: Windowed, verdicts: Verdicts) -> NDArray[np.uint64]:
        """Clients whose own running evidence is above the limit that the guard has for a destination's, `(k, 2)`.

        A slow attacker is known by the time that it is found, and never sends more than it did: what tells it from a
        client that was flagged by mistake is that it goes on. Only connections that the server acknowledges speak
        against a client: whoever forges its address gets no further than the handshake.
        """
        client = np.where(flows.server[:, None], flows.source, flows.target)
        address, of = np.unique(client, axis=0, return_inverse=True)
        begin = np.full(len(address), flows.begin[-1] if len(flows) else 0)
        fresh = np.where(_acknowledged(flows), verdicts.fresh, np.minimum(verdicts.fresh, 0))
        held = self._suspects.add(begin, address, of.reshape(-1), fresh)
        return address[held > self.guard.limit]

    def _sources(self, h: Headers, bad: Mask, victims: Victims, convicted: NDArray[np.uint64], begin: float) -> Mask:
        """Stage 1: who sends flagged packets: strangers, known ones that send far more than they ever did, convicts.

        Gives which of the flagged packets `bad` no list of sources would have stopped, had it been kept packet by
        packet: those of sources that are spared, and the first of each that was not listed before.
        """
        rows = np.flatnonzero(bad & ~apply(tuple(replace(r, targets=()) for r in self._lists(())), h))
        left = np.zeros(len(h), dtype=bool)
        left[rows] = True
        address, of, weight = np.unique(h.source[bad], axis=0, return_inverse=True, return_counts=True)
        usual, guilty = self._hosts.usual(address), _among(address, convicted)
        top = np.flatnonzero((usual < 0) | (weight > _SURGE * usual) | guilty)
        if len(top) == 0:
            return left
        top = top[np.argsort(-weight[top], kind="stable")][:_MOST_SOURCES]
        before = np.cumsum(weight[top]) - weight[top]
        top = top[(before < _NEARLY_ALL * weight[top].sum()) | guilty[top]]
        listed = rows[_among(h.source[rows], address[top])]
        left[listed] = False
        left[listed[np.unique(_one(h.source[listed]), return_index=True)[1]]] = True
        guise = np.where(guilty, 0, main_kinds(h.take(bad), of.reshape(-1), len(address)))
        fresh = dict[tuple[str, str], float]()
        for k, kind in enumerate(KINDS):
            names = self._gathered(address[top[guise[top] == k]])
            fresh |= dict.fromkeys(((kind, name) for name in names), begin + self.expires)
        older = {name: until for name, until in self._blocked.items() if name not in fresh}
        every = fresh | older
        self._blocked = {key: every[key] for key in list(every)[:_MOST_SOURCES]}
        self._forget("sources")
        for rule in self._lists(victims.names):
            self._keep(rule, begin)
        return left

    def _lists(self, targets: tuple[str, ...]) -> list[Rule]:
        """The rules that drop listed sources, one for each kind of packets."""
        rules = list[Rule]()
        for kind, only in KINDS.items():
            names = tuple(name for k, name in self._blocked if k == kind)
            reason = f"sources: {len(names):,} with flagged flows" + (f", their {kind} alone" if kind else "")
            if names:
                rules.append(Rule("drop", targets, names, expires=self.expires, reason=reason, **only))
        return rules

    def _gathered(self, address: NDArray[np.uint64]) -> list[str]:
        """Addresses in text, those of a /24 that they fill as the prefix."""
        prefix = [prefix_of(a, 24) if a[0] == 0 else "" for a in address]
        spared = self._hosts.prefixes()
        names, count = np.unique(prefix, return_counts=True)
        dense = {n for n, c in zip(names.tolist(), count.tolist(), strict=True) if n and c >= _DENSE} - spared
        return [p if p in dense else text(a) for p, a in zip(prefix, address, strict=True)]

    def _strangers(self, h: Headers, victims: Victims, begin: float) -> None:
        """Stage 4: a token bucket for strangers' packets of the kind that fills the link, if all drops leave it so."""
        passing = h.take(np.flatnonzero(~apply(self._drops(), h)))
        of, strange, bits = kinds(passing), self._strange(passing, victims), (passing.size + FRAME) * 8
        capacity = float(self.capacity or 0)
        for kind in self._crowding(passing, victims):
            mine = strange & (of == kind)
            room = max(_FULL * capacity - bits[~mine].sum() / self.guard.seconds, 0.02 * capacity)
            rate = max(room / float(bits[mine].mean()), 10.0)
            only = list(KINDS.values())[kind]
            exempt = self._hosts.exempt(Rule("limit", **only))
            reason = f"strangers: {len(exempt)} known sources go first"
            self._keep(
                Rule("limit", victims.names, known=exempt, rate=rate, expires=_BRIEF, reason=reason, **only), begin
            )

    def _drops(self) -> tuple[Rule, ...]:
        return tuple(r for r in self.rules if r.action == "drop")

    def _crowding(self, passing: Headers, victims: Victims) -> list[int]:
        """The kinds of packets that strangers fill the link with, if it is too full: rules on others would hit users
        alone."""
        if not self._too_full(passing):
            return []
        bits = (passing.size + FRAME) * 8 * self._strange(passing, victims)
        sums = np.bincount(kinds(passing), bits, minlength=len(KINDS)) / self.guard.seconds
        return np.flatnonzero(sums > _MUCH * float(self.capacity or 0)).tolist()

    def _too_full(self, h: Headers) -> bool:
        return self.capacity is not None and _bits(h, self.guard.seconds) > _FULL * self.capacity

    def _strange(self, h: Headers, victims: Victims) -> Mask:
        """Packets on their way to a victim that nobody sent in quiet times."""
        return self._hosts.strange(h) & victims.toward(h)


def _acknowledged(flows: Windowed) -> Mask:
    """Tcp flows `(n,)` in which the serving side sent an ACK that neither opens nor resets."""
    h = flows.headers
    served = flows.forward != flows.server[flows.flow]
    told = served & (h.protocol == 6) & ((h.flags & (SYN | RST | ACK)) == ACK)
    return np.bincount(flows.flow[told], minlength=len(flows)) > 0


def _asking(flows: Windowed) -> Mask:
    """Packets `(k,)` toward the serving side: what it answers is nobody's attack."""
    return flows.forward == flows.server[flows.flow]


def _talking(flows: Windowed) -> Mask:
    """Flows `(n,)` in which both sides sent two packets or more: whoever forges its address hears no answer."""
    sides = np.minimum(flows.table["Total Fwd Packets"], flows.table["Total Backward Packets"])
    return np.asarray(sides >= 2, dtype=bool)


def _bits(h: Headers, seconds: float) -> float:
    """Bits per second on the wire."""
    return float((h.size + FRAME).sum()) * 8 / seconds


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most 6,000 of them, evenly spread."""
    return rows if len(rows) <= _SAMPLE else rows[np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64)]


def _among(address: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which addresses `(k, 2)` are one of the wanted."""
    return np.isin(_one(address), _one(wanted))


def _one(address: NDArray[np.uint64]) -> NDArray[Any]:
    return np.ascontiguousarray(address).view("V16").reshape(-1)
