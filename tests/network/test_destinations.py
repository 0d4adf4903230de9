# pyright: basic
"""Columns of destinations: known values, floods beside crowds, levels over time, and who is served."""

import numpy as np
import pytest

from sparring.network.destinations import COLUMNS, Destinations
from sparring.network.flows import ACK, SYN
from sparring.network.headers import Headers, ipv4, joined, text
from sparring.network.windows import windowed

from .test_windows import SECOND, packets

AT = {name: i for i, name in enumerate(COLUMNS)}


def flood(n: int, second: int = 0, *, protocol: int = 6, flags: int = SYN, payload: int = 0) -> Headers:
    """So many packets from as many sources to one server, unanswered."""
    time = second * SECOND + np.arange(n)
    return packets(time, source=1_000 + np.arange(n), source_port=20_000, protocol=protocol, flags=flags,
                   payload=payload)  # fmt: skip


def columns(h: Headers, memory: Destinations | None = None):
    v = (memory or Destinations()).add(windowed(h.ordered(), SECOND))
    return v, {name: v.x[:, i] for name, i in AT.items()}


def test_a_syn_flood_has_the_known_columns():
    v, c = columns(flood(100))
    assert len(v) == 1
    assert (v.packets[0], v.flows[0], v.bytes[0]) == (100, 100, 4_000)
    assert c["log packets"][0] == pytest.approx(np.log(101) / 10)
    assert c["log sources"][0] == pytest.approx(np.log(101) / 10)
    assert c["source entropy"][0] == pytest.approx(1.0)
    for name in ("unanswered share", "single-packet share", "bare SYN share"):
        assert c[name][0] == 1.0
    for name in ("udp share", "size entropy", "log payload", "flows per source"):
        assert c[name][0] == pytest.approx(0.0)


def test_one_client_with_many_connections_is_no_crowd():
    v, c = columns(packets(np.arange(50), source_port=20_000 + np.arange(50)))
    assert c["log sources"][0] == pytest.approx(np.log(2) / 10)
    assert c["source entropy"][0] == 0.0
    assert c["flows per source"][0] == pytest.approx(np.log(50) / 10)
    assert v.flows[0] == 50


def test_answers_count_as_answers():
    up, down = packets([0, 1], source_port=[5_000, 5_001]), packets([2], 2, 1, 80, 5_000, payload=1_000)
    _, c = columns(joined([up, down]))
    assert c["unanswered share"][0] == 0.5
    assert c["log down/up"][0] == pytest.approx(np.log((1_000 + 100) / (20 + 100)) / 10)


def test_the_server_is_the_destination_whoever_speaks_first():
    first = packets([0], 2, 1, 80, 5_000, flags=ACK)  # a window that begins with the server's packet
    v, _ = columns(joined([first, packets([5])]))
    assert [text(a) for a in v.address] == ["0.0.0.2"]


def test_udp_share_and_spread_of_sizes():
    sizes = joined([flood(10, protocol=17, flags=0, payload=100), packets([50], source=9, payload=900)])
    _, c = columns(sizes)
    assert c["udp share"][0] == pytest.approx(10 / 11)
    assert 0 < c["size entropy"][0] < 1
    assert c["payload spread"][0] > 0.5


def test_the_level_follows_quiet_traffic_and_hardly_a_flood():
    memory = Destinations(usual=20.0)
    for k in range(100):
        _, quiet = columns(flood(50, k), memory)
    assert abs(quiet["level"][0]) < 0.01
    levels = [columns(flood(5_000, 100 + k), memory)[1]["level"][0] for k in range(5)]
    assert min(levels) > 0.3  # e^3 = 20 times the usual number still, after five seconds
    assert levels == sorted(levels, reverse=True)


def test_the_oldest_destination_is_forgotten(monkeypatch):
    monkeypatch.setattr("sparring.network.destinations._MOST", 2)
    memory = Destinations(usual=20.0)
    for server in (1, 2, 3):
        columns(packets(np.arange(200), target=server, source_port=20_000 + np.arange(200)), memory)
    assert len(memory._level) == 2
    _, again = columns(packets(np.arange(20), target=1, source_port=20_000 + np.arange(20)), memory)
    assert again["level"][0] == pytest.approx(0.0)


def test_windows_and_destinations_are_told_apart():
    h = joined([flood(3, 0), flood(4, 1), packets([10], target=9)])
    v, _ = columns(h)
    found = dict(zip([(int(b), text(a)) for b, a in zip(v.begin, v.address, strict=True)], v.packets, strict=True))
    assert found == {(0, "0.0.0.2"): 3, (SECOND, "0.0.0.2"): 4, (0, "0.0.0.9"): 1}
    assert v.packets.tolist() == np.bincount(v.of, minlength=len(v)).tolist()


def test_addresses_of_ipv4_and_ipv6_do_not_meet():
    one = packets([0])
    six = Headers(**{**one.__dict__, "target": ipv4(np.array([2])) + np.array([1, 0], dtype=np.uint64)})
    v, _ = columns(joined([one, six]))
    assert len(v) == 2
