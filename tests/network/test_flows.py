import numpy as np
import pytest

from sparring.network import cicflowmeter_schema
from sparring.network.flows import Assembler, Packet, Packets, features

SCHEMA = cicflowmeter_schema()


def made(times: list[int], forward: list[bool], payload: list[int]) -> Packets:
    k = len(times)
    return Packets(
        np.zeros(k, dtype=np.int64), np.array(times, dtype=np.int64), np.array(forward, dtype=bool),
        np.array(payload, dtype=np.int64), np.full(k, 20),
        np.full(k, 16), np.full(k, 512),
    )  # fmt: skip


def test_the_first_length_counts_twice_as_in_the_published_files() -> None:
    # The first row of the CIC-DDoS2019 sample: 44, 44 up and 60, 60 down within 20,777 microseconds.
    p = made([0, 2, 20_774, 20_777], [True, True, False, False], [44, 44, 60, 60])
    row = {n: c[0] for n, c in features(p, np.array([1]), np.array([53])).items()}
    assert row["Packet Length Mean"] == pytest.approx(50.4)
    assert row["Packet Length Variance"] == pytest.approx(76.8)
    assert row["Average Packet Size"] == pytest.approx(63.0)
    assert row["Flow Bytes/s"] == pytest.approx(10011.0699330991)
    assert row["Flow IAT Std"] == pytest.approx(11991.27642635818)
    assert (row["act_data_pkt_fwd"], row["Init_Win_bytes_forward"]) == (1, -1)


def test_active_and_idle_periods() -> None:
    second = 1_000_000
    p = made([0, second, 10 * second, 12 * second, 30 * second], [True] * 5, [1] * 5)
    row = {n: c[0] for n, c in features(p, np.array([0]), np.array([80])).items()}
    assert (row["Active Max"], row["Active Min"], row["Active Mean"]) == (2e6, 1e6, 1.5e6)
    assert (row["Idle Max"], row["Idle Min"]) == (18e6, 9e6)


def test_features_of_random_flows_keep_every_relation_in_any_packet_order() -> None:
    rng, n, k = np.random.default_rng(0), 300, 4000
    flow = np.r_[np.arange(n), rng.integers(n, size=k)]
    time = np.r_[np.zeros(n, dtype=np.int64), rng.integers(1, 120_000_000, k) // rng.choice([1, 1000, 10**6], k)]
    forward = np.r_[np.ones(n, dtype=bool), rng.random(k) < 0.6]
    p = Packets(
        flow, time, forward, rng.integers(0, 1460, n + k), rng.choice([20, 32], n + k), rng.integers(0, 256, n + k),
        rng.integers(0, 65_536, n + k),
    )  # fmt: skip
    protocol, port = np.zeros(n, dtype=np.int64), rng.integers(1, 65_536, n)
    table = features(p, protocol, port)
    assert SCHEMA.violations(table).sum() == 0
    assert SCHEMA.violations(SCHEMA.encode(table)).sum() == 0
    mixed = rng.permutation(k) + n
    again = features(p.take(np.r_[np.arange(n), mixed]), protocol, port)
    assert all(np.allclose(again[c], table[c]) for c in table if "Win" not in c and c != "act_data_pkt_fwd")


def test_no_flows_give_an_empty_table() -> None:
    none = made([], [], [])
    assert all(len(c) == 0 for c in features(none, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)).values())
    assert len(Assembler().finished()) == 0


def test_memory_stays_bounded_under_a_flood_of_one_flow_and_of_many() -> None:
    for ports in (1, 5000):
        assembler = Assembler(most=1000)
        seen = 0
        for i in range(5000):
            assembler.add(Packet(i, b"a", b"b", i % ports, 80, 6, 10, 20, 16, 100))
            assert assembler._buffered <= 1001
            if assembler.waiting() >= 100 or assembler._buffered >= 1000:
                out = assembler.finished()
                seen += int(out.table["Total Fwd Packets"].sum())
        assembler.end()
        one = assembler.finished(1)
        assert len(one) == 1
        seen += int(one.table["Total Fwd Packets"].sum())
        out = assembler.finished()
        assert seen + int(out.table["Total Fwd Packets"].sum()) == 5000
        assert assembler.cut > 0
