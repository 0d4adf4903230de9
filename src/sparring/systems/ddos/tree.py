"""A decision tree on packet headers, read off as rules that people can check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sparring.network.headers import Headers
from sparring.systems.ddos.rules import FLAGS, Range, Rule

FIELDS = ("tcp", "udp", "target port", "source port", "size", *FLAGS)
PORTLESS = ("tcp", "udp", "size", *FLAGS)
"""What tells an attack from a crowd that nobody flagged: people who all want one service share its port, too."""
_LEAVES = 24
BENIGN_COST, SPARED_COST = 0.005, 0.08
"""The rules for everybody may match this share of benign packets and touch this share of benign conversations: one lost
opening is a lost conversation. Those that spare known sources may match the other share of the packets."""
_CONVERSATIONS = 30
"""Benign conversations that must have been seen before a rule may hold for everybody."""
_SAMPLE = 12_000
"""Benign packets that a tree is grown on, evenly spread; a rule's harm is measured on all."""
_LEAST = 0.01
"""Each leaf must speak of at least this share of the attack."""


def tree_rules(
    attack: Headers,
    benign: Headers,
    targets: tuple[str, ...],
    *,
    label: str = "tree",
    fields: Sequence[str] = FIELDS,
    purity: float = 0.85,
    spare: Callable[[Rule], tuple[str, ...]] | None = None,
    expires: float = 30.0,
) -> list[Rule]:
    """Drop rules toward `targets`: the leaves of a tree on `fields` between packets of an attack and benign ones.

    A leaf must be as pure as `purity` at equal weights of both sides. Leaves are taken in order of harm: those that
    hardly touch benign packets and conversations hold for everybody, those that touch some spare the known sources that
    `spare` gives for them, and are left out where nobody is known. `label` begins the rules' reasons.
    """
    if len(attack) == 0 or len(benign) == 0:
        return []
    from sklearn.tree import DecisionTreeClassifier

    some = benign if len(benign) <= _SAMPLE else benign.take(np.linspace(0, len(benign) - 1, _SAMPLE).astype(np.int64))
    x = np.concatenate([_columns(attack, fields), _columns(some, fields)])
    y = np.r_[np.ones(len(attack)), np.zeros(len(some))]
    tree: Any = DecisionTreeClassifier(
        max_leaf_nodes=_LEAVES, min_samples_leaf=max(len(y) // 400, 5), class_weight="balanced", random_state=0
    )
    tree.fit(x, y)
    leaf: NDArray[np.int64] = np.asarray(tree.apply(x), dtype=np.int64)
    found: list[tuple[float, float, float, int]] = []
    for node in np.unique(leaf).tolist():
        hits, harm = float((leaf[y == 1] == node).mean()), float((leaf[y == 0] == node).mean())
        if hits >= _LEAST and hits / (hits + harm) >= purity:
            found.append((harm / hits, harm, hits, node))
    talk = _conversations(benign)
    rules, spent, touched = list[Rule](), 0.0, np.zeros(int(talk.max(initial=-1)) + 1, dtype=bool)
    for _, harm, hits, node in sorted(found):
        rule = Rule("drop", expires=expires, **conditions(tree.tree_, node, fields))
        mine = touched.copy()
        mine[talk[rule.matches(benign)]] = True
        everybody = len(mine) >= _CONVERSATIONS and max(spent + harm, float(mine.mean())) <= BENIGN_COST
        if spent + harm > SPARED_COST:
            break
        known = () if everybody or spare is None else spare(rule)
        if not (everybody or known):
            continue
        spent, touched = spent + harm, mine if everybody else touched
        reason = f"{label}: {hits:.0%} of the attack's packets, {harm:.2%} of benign ones"
        rules.append(replace(rule, targets=targets, known=known, reason=reason))
    return rules


def _conversations(h: Headers) -> NDArray[np.int64]:
    """The number of each packet's conversation, `(k,)`: equal ends, ports and protocol."""
    key = np.zeros(len(h), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in (*h.source.T, *h.target.T, h.source_port, h.target_port, h.protocol):
            key = (key ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
    return np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _columns(h: Headers, fields: Sequence[str]) -> NDArray[np.float64]:
    every: dict[str, NDArray[Any]] = {
        "tcp": h.protocol == 6,
        "udp": h.protocol == 17,
        "target port": h.target_port,
        "source port": h.source_port,
        "size": h.size,
        **{name: (h.flags & bit) > 0 for name, bit in FLAGS.items()},
    }
    return np.column_stack([np.asarray(every[name], dtype=np.float64) for name in fields])


def conditions(tree: Any, node: int, fields: Sequence[str] = FIELDS) -> dict[str, Any]:
    """The way from a scikit-learn tree's root to a leaf as conditions of a `Rule`."""
    low: dict[str, float] = dict.fromkeys(FIELDS, -np.inf)
    high: dict[str, float] = dict.fromkeys(FIELDS, np.inf)
    left = cast("Sequence[int]", tree.children_left)
    right = cast("Sequence[int]", tree.children_right)
    parent = {int(child): at for at in range(len(left)) for child in (left[at], right[at]) if child >= 0}
    at = node
    while at:
        above = parent[at]
        name, cut = fields[int(tree.feature[above])], float(tree.threshold[above])
        if left[above] == at:
            high[name] = min(high[name], cut)
        else:
            low[name] = max(low[name], cut)
        at = above

    def span(name: str, most: int) -> Range | None:
        if np.isinf(low[name]) and np.isinf(high[name]):
            return None
        return int(max(np.floor(low[name]) + 1, 0)), int(min(np.floor(high[name]), most))

    flags = [f for f in FLAGS if not (np.isinf(low[f]) and np.isinf(high[f]))]
    ports, source_ports = span("target port", 65_535), span("source port", 65_535)
    return {
        "protocol": _protocol(low, high, bool(flags), bool(ports or source_ports)),
        "ports": ports,
        "source_ports": source_ports,
        "size": span("size", 65_535),
        "set": tuple(f for f in flags if low[f] > 0),
        "unset": tuple(f for f in flags if high[f] < 1),
    }


def _protocol(low: dict[str, float], high: dict[str, float], flags: bool, ports: bool) -> str:
    """The protocol that the way names, or that its other conditions need."""
    if low["tcp"] > 0 or (flags and low["udp"] <= 0):
        return "tcp"
    if low["udp"] > 0 or (high["tcp"] < 1 and (ports or high["udp"] >= 1)):
        return "udp"
    return ""
