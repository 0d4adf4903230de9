# pyright: basic
import json
import shutil
import subprocess
from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.network.flows import ACK, SYN, Packet
from sparring.network.headers import of_packets, parsed
from sparring.systems.ddos.rules import Rule, to_json, to_nftables, within


def packet(source="198.18.0.1", target="203.0.113.1", sport=40_000, dport=80, protocol=6, payload=0, flags=SYN):
    ends = ip_address(source).packed, ip_address(target).packed
    header = 20 if protocol == 6 else 8
    return Packet(0, *ends, sport, dport, protocol, payload, header, flags, 512)


def hits(rule, *packets):
    return rule.matches(of_packets(list(packets))).tolist()


def test_every_condition_narrows():
    both = packet(), packet(protocol=17, flags=0)
    assert hits(Rule("drop"), *both) == [True, True]
    assert hits(Rule("drop", protocol="tcp"), *both) == [True, False]
    assert hits(Rule("drop", set=("syn",), unset=("ack",)), packet(), packet(flags=SYN | ACK)) == [True, False]
    assert hits(Rule("drop", ports=(80, 90)), packet(dport=80), packet(dport=91)) == [True, False]
    assert hits(Rule("drop", source_ports=(53, 53)), packet(sport=53), packet(sport=54)) == [True, False]
    assert hits(Rule("drop", size=(0, 40)), packet(), packet(payload=1)) == [True, False]
    assert hits(Rule("drop", ("203.0.113.1",)), packet(), packet(target="203.0.113.2")) == [True, False]
    assert hits(Rule("drop", sources=("198.18.0.0/24",)), packet(), packet(source="198.18.1.1")) == [True, False]
    assert hits(Rule("drop", known=("198.18.0.1",)), packet(), packet(source="198.18.1.1")) == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), min_size=1, max_size=5),
)
def test_within_agrees_with_the_standard_library(address, networks):
    names = [str(ip_network((base, bits), strict=False)) for base, bits in networks]
    wanted = any(ip_address(address) in ip_network(n) for n in names)
    assert within(parsed(str(ip_address(address)))[None], names).tolist() == [wanted]


def test_within_keeps_the_families_apart():
    addresses = np.array([parsed("2001:db8::1"), parsed("1.2.3.4")])
    assert within(addresses, ["2001:db8::/32"]).tolist() == [True, False]
    assert within(addresses, ["0.0.0.0/0"]).tolist() == [False, True]
    assert within(addresses, []).tolist() == [False, False]


RULES = (
    Rule("drop", ("203.0.113.1", "2001:db8::5"), ("198.18.0.0/24", "198.18.7.9", "2001:db8:1::/64"), reason="sources"),
    Rule("drop", ("203.0.113.1",), protocol="tcp", ports=(80, 80), size=(0, 60), set=("syn",), unset=("ack", "rst"),
         known=("10.0.0.1",), reason='tree: 99% "quoted"'),
    Rule("drop", protocol="udp", source_ports=(53, 123), reason="amplification"),
    Rule("limit", ("203.0.113.1",), rate=123.4, reason="strangers"),
)  # fmt: skip


def test_json_leaves_out_what_holds_for_all():
    listed = json.loads(to_json(RULES))
    assert listed[0]["targets"] == ["203.0.113.1", "2001:db8::5"]
    assert "ports" not in listed[0]
    assert listed[3] == {"action": "limit", "targets": ["203.0.113.1"], "rate": 123.4, "expires": 300.0,
                         "reason": "strangers"}  # fmt: skip


def test_nftables_text_has_a_line_for_each_family_that_a_rule_speaks_of():
    text = to_nftables(RULES)
    assert text.count("counter drop") == 2 + 1 + 2 + 1
    assert "ip daddr @rule0_targets_4 ip saddr @rule0_sources_4" in text
    assert "tcp flags & (syn | ack | rst) == syn" in text
    assert "limit rate over 123/second burst 25 packets" in text
    assert "198.18.0.0/24 timeout 300s" in text


def test_no_rule_outlives_its_time_in_nftables():
    text = to_nftables((Rule("drop", ("203.0.113.1", "203.0.113.2"), protocol="tcp", set=("syn",), expires=30.0),))
    assert "203.0.113.1 timeout 30s, 203.0.113.2 timeout 30s" in text
    assert "daddr 203" not in text


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed: apt-get install nftables")
@pytest.mark.parametrize("rules", [RULES, (), RULES[2:3]], ids=["all", "none", "both families"])
def test_nft_accepts_the_text(tmp_path, rules):
    path = tmp_path / "rules.nft"
    path.write_text(to_nftables(rules))
    done = subprocess.run(["nft", "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("nft -c needs rights that this process lacks")
    assert done.returncode == 0, done.stderr


def test_rules_are_told_in_words():
    assert (
        RULES[1].told() == "tcp, to port 80, size 0-60, syn set, ack not set, rst not set, but not from 1 known sources"
    )
    assert Rule("drop").told() == "all"
    assert RULES[3].told() == "above 123 a second"
