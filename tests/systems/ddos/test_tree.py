# pyright: basic
"""Trees on headers: what separates, what is left alone, and rules that say exactly what a leaf says."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier
from tests.systems.ddos.drawn import packets

from sparring.network.flows import ACK, PSH, SYN
from sparring.network.headers import Headers, joined
from sparring.systems.ddos.rules import Rule
from sparring.systems.ddos.tree import FIELDS, PORTLESS, _columns, conditions, tree_rules


def test_a_tree_separates_what_differs_and_its_rules_match_it():
    attack, benign = packets(2_000, 1, flags=SYN, size=(0, 1), port=80), packets(2_000, 2)
    rules = tree_rules(attack, benign, ("203.0.113.8",))
    hit = np.any([r.matches(attack) for r in rules], axis=0)
    assert hit.mean() > 0.95
    assert np.any([r.matches(benign) for r in rules], axis=0).mean() < 0.01
    assert all(r.targets == ("203.0.113.8",) for r in rules)


def test_what_looks_alike_gets_no_rule():
    assert tree_rules(packets(2_000, 1), packets(2_000, 2), ()) == []
    assert tree_rules(packets(0), packets(10), ()) == []


def talks(n: int, seed: int = 0) -> Headers:
    """Conversations of an opening and a hundred packets after it."""
    opening, after = packets(n, seed, flags=SYN, size=(0, 1)), packets(n, seed, size=(40, 1_400))
    h = joined([opening, *[after] * 100])
    ports = np.tile(np.arange(n) + 2_000, 101)
    return replace(h, source=np.tile(opening.source, (101, 1)), source_port=ports)


def test_openings_are_dropped_for_strangers_alone_though_few_packets_are_openings():
    """One packet in a hundred opens a conversation: to drop every opening is to end all new ones."""
    attack = packets(2_000, 1, flags=SYN, size=(0, 1))
    assert tree_rules(attack, talks(60), ("203.0.113.8",), fields=PORTLESS) == []
    rules = tree_rules(attack, talks(60), ("203.0.113.8",), fields=PORTLESS, spare=lambda rule: ("10.1.0.5",))
    assert rules
    assert all(r.known == ("10.1.0.5",) for r in rules)


def test_where_few_benign_conversations_were_seen_no_rule_holds_for_everybody():
    attack, few = packets(2_000, 1, flags=SYN, size=(0, 1), port=81), talks(5)
    assert tree_rules(attack, few, ()) == []
    assert tree_rules(attack, talks(60), ()) != []


def test_without_ports_a_crowd_at_one_port_gets_no_rule():
    crowd, benign = packets(2_000, 1, port=8_080), packets(2_000, 2, port=443)
    assert tree_rules(crowd, benign, ()) != []
    assert tree_rules(crowd, benign, (), fields=PORTLESS, purity=0.9) == []


@pytest.mark.parametrize("protocol", [6, 17])
def test_rules_of_a_flood_name_its_protocol(protocol):
    flags = SYN if protocol == 6 else 0
    flood = packets(1_000, 1, protocol=protocol, flags=flags, size=(10, 12))
    other = packets(1_000, 2, protocol=23 - protocol, flags=ACK if protocol == 17 else 0)
    for rule in tree_rules(flood, other, ()):
        assert rule.protocol in ("", {6: "tcp", 17: "udp"}[protocol])
        assert rule.matches(flood).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_leaf_and_its_rule_hold_for_the_same_packets(seed):
    """Against scikit-learn's own walk down the tree, on packets it was not grown on."""
    rng = np.random.default_rng(seed)

    def drawn(n: int, at: int) -> Headers:
        parts = [
            packets(n, at, flags=int(rng.choice([SYN, ACK, SYN | ACK, ACK | PSH])), port=int(rng.integers(1, 9_000))),
            packets(n, at + 1, protocol=17, flags=0, size=(8, 600), port=53),
        ]
        return joined(parts)

    seen, new = drawn(300, 10 * seed), drawn(400, 10 * seed + 5)
    tree = DecisionTreeClassifier(max_leaf_nodes=12, random_state=seed)
    tree.fit(_columns(seen, FIELDS), rng.random(len(seen)) < seen.size / seen.size.max())
    leaf = np.asarray(tree.apply(_columns(new, FIELDS)))
    for node in np.unique(tree.apply(_columns(seen, FIELDS))).tolist():
        rule = Rule("drop", **conditions(tree.tree_, node))
        assert np.array_equal(rule.matches(new), leaf == node)


def test_rules_come_in_order_of_harm_and_stay_within_what_may_be_lost():
    opening, large = packets(1_500, 1, flags=SYN, size=(0, 1), port=81), packets(1_500, 2, size=(900, 1_400))
    attack = joined([opening, large])
    benign = talks(60)
    rules = tree_rules(attack, benign, ("203.0.113.8",), spare=lambda rule: ("10.1.0.5",))
    lost = [float(r.matches(benign).mean()) for r in rules]
    assert rules
    assert sum(lost) <= 0.08
    assert all(r.action == "drop" and r.expires == 30.0 for r in rules)
    assert float(np.any([r.matches(benign) for r in rules if not r.known], axis=0).mean()) <= 0.005
