# pyright: basic
import itertools

import numpy as np
import pytest

from sparring.systems.ddos.evidence import CEILING, HIGHEST, Evidence

HERE = np.array([[0, 7]], dtype=np.uint64)


def seen(evidence: Evidence, second: float, *logits: float) -> float:
    flows = np.array(logits, dtype=np.float64)
    begin = np.array([round(second * 1e6)], dtype=np.int64)
    return float(evidence.add(begin, HERE, np.zeros(len(flows), dtype=np.int64), flows)[0])


def test_one_flow_adds_at_most_the_highest_gain_and_benign_flows_take_it_off():
    evidence = Evidence()
    assert seen(evidence, 0, 50.0) == HIGHEST
    assert seen(evidence, 0, -50.0) == HIGHEST - 2.0
    assert seen(evidence, 0, -1.0, -1.0, -1.0) == 0.0


def test_it_halves_in_its_half_life_and_is_capped():
    evidence = Evidence(half_life=10.0)
    assert seen(evidence, 0, *[9.0] * 20) == CEILING
    assert seen(evidence, 10, 0.0) == pytest.approx(CEILING / 2)
    assert seen(evidence, 5, 0.0) == pytest.approx(CEILING / 2)  # a clock that jumps back adds nothing


def test_slow_flagged_flows_gather_where_single_ones_do_not():
    evidence = Evidence(half_life=120.0)
    sums = [seen(evidence, 30.0 * k, 1.0) for k in range(8)]
    assert all(b > a for a, b in itertools.pairwise(sums))
    assert sums[-1] > 3.2


def test_destinations_have_sums_of_their_own_and_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr("sparring.systems.ddos.evidence._MOST", 2)
    evidence = Evidence()
    ends = np.array([[0, k] for k in range(3)], dtype=np.uint64)
    first = evidence.add(np.zeros(3, dtype=np.int64), ends, np.arange(3), np.array([1.0, 2.0, 3.0]))
    assert first.tolist() == [1.0, 2.0, 3.0]
    again = evidence.add(np.zeros(1, dtype=np.int64), ends[:1], np.zeros(1, dtype=np.int64), np.array([0.0]))
    assert again.tolist() == [0.0]
