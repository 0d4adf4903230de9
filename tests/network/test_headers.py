# pyright: basic
"""Header columns: addresses of both families, order, joining, and back to single packets."""

from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.network.flows import Packet
from sparring.network.headers import (
    Headers,
    empty,
    halves,
    ipv4,
    joined,
    of_packets,
    packed,
    parsed,
    prefix_of,
    text,
)

FOUR, SIX = ip_address("192.0.2.7").packed, ip_address("2001:db8::7").packed
PACKETS = [
    Packet(5, FOUR, SIX, 1, 2, 6, 10, 20, 16, 500),
    Packet(3, SIX, FOUR, 3, 4, 17, 0, 8, 0, -1),
    Packet(5, FOUR, FOUR, 0, 0, 1, 0, 64, 0, -1),
]


def test_single_packets_come_back_as_they_were():
    assert list(of_packets(PACKETS).packets()) == PACKETS
    assert list(empty().packets()) == []


def test_sizes_count_the_ip_header_of_the_family():
    h = of_packets([Packet(0, FOUR, FOUR, 1, 2, 6, 10, 20, 0, 0), Packet(0, SIX, SIX, 1, 2, 17, 10, 8, 0, -1)])
    assert h.v6.tolist() == [False, True]
    assert h.size.tolist() == [50, 58]


def test_order_is_of_time_and_stable():
    ordered = of_packets(PACKETS).ordered()
    assert ordered.time.tolist() == [3, 5, 5]
    assert ordered.source_port.tolist() == [3, 1, 0]


def test_taking_and_joining_are_inverse():
    h = of_packets(PACKETS)
    parts = [h.take(slice(0, 1)), h.take(np.array([False, True, False])), h.take(np.array([2]))]
    assert list(joined(parts).packets()) == PACKETS
    assert len(joined([])) == 0
    assert joined([h]) is h


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_addresses_survive_text_and_bytes(address):
    columns = parsed(str(address))
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:a.b.c.d is the IPv4 address itself
    assert text(columns) == str(mapped or address)
    assert packed(columns[None])[0] == (mapped or address).packed
    assert np.array_equal(halves([address.packed])[0], columns)


@given(st.integers(0, 2**32 - 1))
def test_whole_numbers_are_ipv4_addresses(number):
    assert text(ipv4(np.array([number]))[0]) == str(ip_address(number))


@pytest.mark.parametrize(
    ("address", "bits", "network"),
    [("10.1.2.3", 24, "10.1.2.0/24"), ("10.1.2.3", 32, "10.1.2.3/32"), ("10.1.2.3", 0, "0.0.0.0/0"),
     ("2001:db8:1:2::9", 64, "2001:db8:1:2::/64")],
)  # fmt: skip
def test_prefixes_count_within_their_own_family(address, bits, network):
    assert prefix_of(parsed(address), bits) == network


@pytest.mark.parametrize("word", ["", "10.0.0", "10.0.0.256", "example.org", "10.0.0.0/8"])
def test_what_is_no_address_is_refused(word):
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        parsed(word)


def test_all_columns_have_one_length():
    h: Headers = of_packets(PACKETS)
    assert {len(getattr(h, n)) for n in ("time", "source", "target", "payload", "window")} == {len(h)}
