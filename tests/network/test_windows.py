# pyright: basic
"""Streaming windows: cuts at multiples, both directions in one flow, odd clocks, bounded memory, and any block size."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparring.network.cicflowmeter import cicflowmeter_schema
from sparring.network.flows import ACK, SYN, Assembler
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.network.headers import Headers, empty, ipv4, joined
from sparring.network.windows import Windower, stream, whole, windowed

SECOND = 1_000_000


def packets(time: Any, source: Any = 1, target: Any = 2, source_port: Any = 5_000, target_port: Any = 80,
            protocol: int = 6, flags: int = ACK, payload: int = 10) -> Headers:  # fmt: skip
    n = len(time)

    def column(value):
        return np.broadcast_to(np.asarray(value, dtype=np.int64), n).copy()

    return Headers(
        np.asarray(time, dtype=np.int64), ipv4(column(source)), ipv4(column(target)), column(source_port),
        column(target_port), column(protocol), column(payload), column(20), column(flags), column(500),
    )  # fmt: skip


@pytest.fixture(scope="module")
def scene() -> Headers:
    attacks = (Attack("syn flood", 2, 3, 200), Attack("dns amplification", 4, 2, 200))
    return stage(Scene(8.0, rate=20.0, attacks=attacks), np.random.default_rng(0)).headers


def table_of(parts) -> list[tuple]:
    """All flows of some windows in an order of their own, with every feature."""
    rows = []
    for w in parts:
        matrix = np.column_stack([w.table[n] for n in cicflowmeter_schema().names])
        keys = zip(w.begin.tolist(), w.connection, w.bytes.tolist(), strict=True)
        rows += [(*key, *row) for key, row in zip(keys, matrix.tolist(), strict=True)]
    return sorted(rows)


def test_both_directions_are_one_flow_and_windows_cut_it():
    up, down = packets([0, 400_000, 1_200_000]), packets([100_000], 2, 1, 80, 5_000)
    w = windowed(joined([up, down]).ordered(), SECOND)
    assert w.begin.tolist() == [0, SECOND]
    assert w.table["Total Fwd Packets"].tolist() == [2, 1]
    assert w.table["Total Backward Packets"].tolist() == [1, 0]
    assert w.packets.tolist() == [3, 1]
    assert w.bytes.tolist() == [150, 50]
    assert w.forward.tolist() == [True, False, True, True]
    assert w.connection[0] == w.connection[1]


@pytest.mark.parametrize(
    ("flags", "ports", "protocol", "served"),
    [(SYN, (80, 5_000), 6, True), (SYN | ACK, (5_000, 80), 6, False), (ACK, (5_000, 80), 6, True),
     (ACK, (80, 5_000), 6, False), (0, (53, 4_000), 17, True)],
)  # fmt: skip
def test_the_serving_side_is_told_by_the_opening_or_else_by_ports(flags, ports, protocol, served):
    w = windowed(packets([0], source_port=ports[0], target_port=ports[1], flags=flags, protocol=protocol), SECOND)
    assert w.server.tolist() == [served]


def test_a_window_without_the_opening_agrees_with_the_finished_flow(scene):
    """One window as long as the scene has the flows, and the features, that the plain assembler makes."""
    quiet = stage(Scene(20.0, rate=10.0), np.random.default_rng(1)).headers
    # Connections that are opened twice are two flows to the one and one to the other: they are left out.
    fast = windowed(quiet, 100 * SECOND)
    assembler = Assembler()
    for packet in quiet.packets():
        assembler.add(packet)
    assembler.end()
    slow = assembler.finished()
    key = [(frozenset(((a, p), (b, q))), r) for a, p, b, q, r in slow.endpoints]
    once = {k for k, n in Counter(key).items() if n == 1}
    rows = {k: i for i, k in enumerate(key) if k in once}
    names = [n for n in cicflowmeter_schema().names if n != "Protocol"]
    matched = 0
    for i, ends in enumerate(zip(fast.source, fast.source_port, fast.target, fast.target_port, strict=True)):
        (a, p, b, q) = ends
        left, right = ((int(x[1]) & 0xFFFFFFFF).to_bytes(4, "big") for x in (a, b))
        found = rows.get((frozenset(((left, int(p)), (right, int(q)))), int(fast.protocol[i])))
        if found is not None:
            matched += 1
            for name in names:
                assert fast.table[name][i] == pytest.approx(slow.table[name][found], rel=1e-9, abs=1e-9), name
    assert matched > 0.8 * len(slow)


def test_every_block_size_gives_the_same_flows(scene):
    expected = table_of([whole([scene])])
    for size in (1, 7, 500, len(scene)):
        some = scene if size > 1 else scene.take(slice(0, 400))
        blocks = [some.take(slice(k, k + size)) for k in range(0, len(some), size)]
        wanted = expected if size > 1 else table_of([whole([some])])
        assert table_of(stream(blocks, Windower(1.0))) == wanted


def test_relations_of_the_features_hold_in_every_window(scene):
    w = whole([scene])
    assert cicflowmeter_schema().violations(w.table).sum() == 0
    assert w.packets.sum() == len(scene)


def test_memory_is_bounded_and_the_cut_is_counted():
    skipped = Counter[str]()
    windower = Windower(100.0, most=50, skipped=skipped)
    parts = list(stream([packets(np.arange(k, k + 20)) for k in range(0, 400, 20)], windower))
    assert skipped["windows cut for memory"] >= 4
    assert max(len(w.headers) for w in parts) <= 70
    assert sum(len(w.headers) for w in parts) == 400


def test_late_packets_take_the_clocks_time_and_are_counted():
    skipped = Counter[str]()
    parts = list(stream([packets([0, 2 * SECOND, SECOND, 3 * SECOND])], Windower(1.0, skipped=skipped)))
    assert skipped == {"out of order": 1}
    assert [w.begin[0] // SECOND for w in parts] == [0, 2, 3] or sum(len(w) for w in parts) == 3
    assert np.concatenate([w.headers.time for w in parts]).tolist() == [0, 2 * SECOND, 2 * SECOND, 3 * SECOND]


def test_one_stamp_from_the_future_does_not_drag_the_clock_along():
    skipped = Counter[str]()
    time = np.arange(10) * 100_000
    time[4] = 10**15
    parts = list(stream([packets(time)], Windower(1.0, skipped=skipped)))
    assert skipped == {"out of order": 1}
    assert {int(b) for w in parts for b in w.begin} == {0}


def test_a_capture_that_begins_anew_has_a_new_clock():
    """Two captures joined: an hour back in time for many packets is a new beginning and not a late packet."""
    skipped = Counter[str]()
    late, early = packets(3_600 * SECOND + np.arange(100)), packets(np.arange(100))
    parts = list(stream([late, early], Windower(1.0, skipped=skipped)))
    assert [int(w.begin[0]) for w in parts] == [3_600 * SECOND, 0]
    assert skipped == {}


def test_colliding_hashes_never_join_flows(monkeypatch):
    h = joined([packets([0, 10], source=k, source_port=1_000 + k) for k in range(20)]).ordered()
    expected = table_of([windowed(h, SECOND)])
    monkeypatch.setattr("sparring.network.windows._PRIMES", np.zeros(5, dtype=np.uint64))
    assert table_of([windowed(h, SECOND)]) == expected


def test_taken_flows_keep_their_packets(scene):
    w = whole([scene])
    odd = w.take(np.arange(len(w)) % 2 == 1)
    assert len(odd) == len(w) // 2
    assert len(odd.headers) == w.packets[1::2].sum()
    assert odd.connection == w.connection[1::2]
    assert np.array_equal(np.bincount(odd.flow, minlength=len(odd)), odd.packets)


def test_connections_differ_by_each_of_their_five_parts():
    one = packets([0])
    others = [replace(one, **{n: getattr(one, n) + 1}) for n in ("source_port", "target_port", "protocol")]
    others += [packets([0], source=9), packets([0], target=9)]
    keys = [windowed(h, SECOND).connection[0] for h in (one, *others)]
    assert len(set(keys)) == 6


def test_no_packets_no_windows():
    assert len(whole([])) == 0
    assert list(stream([empty()], Windower(1.0))) == []
    with pytest.raises(ValueError, match=r"0\.05 to 120 seconds"):
        Windower(0.01)
