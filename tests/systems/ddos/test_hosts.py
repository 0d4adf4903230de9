# pyright: basic
"""Who is known from quiet times, and of what kinds of packets."""

from dataclasses import replace

import numpy as np
import pytest
from tests.systems.ddos.drawn import packets

from sparring.network.flows import ACK, SYN
from sparring.network.headers import ipv4, joined, text
from sparring.systems.ddos import hosts
from sparring.systems.ddos.hosts import Hosts, kinds, main_kinds
from sparring.systems.ddos.rules import Rule

A, B, C = 0x0A000001, 0x0A000002, 0xC6120001


def sent(source: int, n: int = 4, *, protocol: int = 6, flags: int = ACK):
    h = packets(n, protocol=protocol, flags=flags)
    return replace(h, source=ipv4(np.full(n, source)))


@pytest.fixture
def known() -> Hosts:
    """A opens and talks tcp; B sends udp."""
    found = Hosts()
    found.learn(joined([sent(A, 2, flags=SYN), sent(A, 6), sent(B, 3, protocol=17, flags=0)]))
    return found


def test_the_most_of_any_quiet_window_is_remembered_and_strangers_have_none(known):
    known.learn(sent(A, 3))
    address = ipv4(np.array([A, B, C]))
    assert known.usual(address).tolist() == [8, 3, -1]


def test_a_kind_that_a_host_never_sent_is_strange_though_the_host_is_known(known):
    assert not known.strange(sent(A)).any()
    assert known.strange(sent(A, protocol=17, flags=0)).all()
    assert known.strange(sent(B)).all()
    assert not known.strange(sent(B, protocol=17, flags=0)).any()
    assert known.strange(sent(C)).all()


@pytest.mark.parametrize(
    ("rule", "spared"),
    [
        (Rule("drop", protocol="udp"), {"10.0.0.2"}),
        (Rule("drop", protocol="tcp"), {"10.0.0.1"}),
        (Rule("drop", protocol="tcp", set=("syn",), unset=("ack",)), {"10.0.0.1"}),
        (Rule("limit"), {"10.0.0.1", "10.0.0.2"}),
    ],
)
def test_a_rule_spares_those_who_sent_what_it_speaks_of(known, rule, spared):
    assert set(known.exempt(rule)) == spared


def test_who_never_opened_is_not_spared_by_a_rule_on_openings():
    found = Hosts()
    found.learn(sent(A))
    assert found.exempt(Rule("drop", protocol="tcp", set=("syn",))) == ()


def test_only_the_last_seen_are_kept(known, monkeypatch):
    monkeypatch.setattr(hosts, "_MOST", 1)
    known.learn(sent(C))
    assert [text(a) for a in ipv4(np.array([C])) if known.usual(a[None])[0] >= 0] == ["198.18.0.1"]
    assert known.usual(ipv4(np.array([A])))[0] == -1


def test_each_packet_has_one_kind_and_groups_the_commonest():
    h = joined([sent(A, 3, flags=SYN), sent(A, 2), sent(B, 1, protocol=17, flags=0), sent(C, 1, protocol=1, flags=0)])
    assert kinds(h).tolist() == [2] * 3 + [3] * 2 + [1, 0]
    assert main_kinds(h, np.array([0] * 5 + [1, 2]), 3).tolist() == [2, 1, 0]
    assert known_prefixes(h) == {"10.0.0.0/24", "198.18.0.0/24"}


def known_prefixes(h) -> set[str]:
    found = Hosts()
    found.learn(h)
    return found.prefixes()
