# pyright: basic
import itertools

import numpy as np
import pytest

from sparring.network.headers import Headers, ipv4
from sparring.network.windows import windowed
from sparring.systems.ddos.evidence import CEILING, HIGHEST, LOWEST, Connections, Evidence, Incidents

HERE = np.array([[0, 7]], dtype=np.uint64)


def seen(evidence: Evidence, second: float, *fresh: float) -> float:
    flows = np.array(fresh, dtype=np.float64)
    begin = np.array([round(second * 1e6)], dtype=np.int64)
    return float(evidence.add(begin, HERE, np.zeros(len(flows), dtype=np.int64), flows)[0])


def opened(*ports: int, second: int = 0, back: bool = False):
    """A window with one packet of a connection from each of these ports; `back`: a packet of the server's."""
    one = np.ones(len(ports), dtype=np.int64)
    client, server = ipv4(0x0A000001 * one), ipv4(0x0A000002 * one)
    own, other = np.array(ports, dtype=np.int64), 80 * one
    ends = (server, client, other, own) if back else (client, server, own, other)
    return windowed(
        Headers(second * 1_000_000 * one, *ends, 6 * one, 9 * one, 20 * one, 16 * one, 500 * one), 1_000_000
    )


def test_a_connection_says_its_highest_logit_once():
    memory = Connections()
    assert memory.fresh(opened(5000, 5001), np.array([50.0, -50.0])).tolist() == [HIGHEST, LOWEST]
    assert memory.fresh(opened(5000, 5001, second=1), np.array([50.0, -50.0])).tolist() == [0.0, 0.0]
    assert memory.fresh(opened(5000, 5001, second=2), np.array([-50.0, 1.0])).tolist() == [0.0, 3.0]
    assert memory.fresh(opened(5001, second=3), np.array([1.5])).tolist() == [0.5]


def test_a_connection_is_the_same_from_either_side_and_another_port_is_another():
    memory = Connections()
    assert opened(5000).connection == opened(5000, second=3, back=True).connection
    assert memory.fresh(opened(5000), np.array([1.0])).tolist() == [1.0]
    assert memory.fresh(opened(5000, second=1, back=True), np.array([1.0])).tolist() == [0.0]
    assert memory.fresh(opened(5002, second=1), np.array([1.0])).tolist() == [1.0]


def test_one_odd_connection_never_convicts_and_many_new_ones_do():
    one, many = (Connections(), Evidence()), (Connections(), Evidence())
    for k in range(30):
        lonely = seen(one[1], k, *one[0].fresh(opened(5000, second=k), np.array([2.0])))
        crowd = seen(many[1], k, *many[0].fresh(opened(5000 + k, second=k), np.array([2.0])))
    assert lonely < 2.0 < 3.2 < crowd == CEILING


def test_the_oldest_connection_is_forgotten(monkeypatch):
    monkeypatch.setattr("sparring.systems.ddos.evidence._MOST", 2)
    memory = Connections()
    memory.fresh(opened(1, 2, 3), np.array([1.0, 1.0, 1.0]))
    assert memory.fresh(opened(3, 1, second=1), np.array([1.0, 1.0])).tolist() == [0.0, 1.0]


def test_benign_connections_take_evidence_off():
    evidence = Evidence()
    assert seen(evidence, 0, 3.0) == 3.0
    assert seen(evidence, 0, -2.0) == 1.0
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


def test_in_an_incident_a_flagged_flow_is_enough_for_half_a_minute():
    memory = Incidents(hold=30.0)

    def seen(second: float, alarm: bool, flagged: bool, host: int = 7) -> bool:
        begin, address = np.array([round(second * 1e6)]), np.array([[0, host]], dtype=np.uint64)
        return bool(memory.lasting(begin, address, np.array([alarm]), np.array([flagged]))[0])

    assert not seen(0, alarm=False, flagged=True)
    assert seen(1, alarm=True, flagged=True)
    assert not seen(2, alarm=False, flagged=True, host=8)
    assert not seen(3, alarm=False, flagged=False)
    assert seen(31, alarm=False, flagged=True)
    assert seen(61, alarm=False, flagged=True)  # every one of them holds on
    assert not seen(92, alarm=False, flagged=True)
    assert not seen(50, alarm=False, flagged=True)  # a clock that jumped back


def test_incidents_are_forgotten_the_oldest_first(monkeypatch):
    monkeypatch.setattr("sparring.systems.ddos.evidence._MOST", 2)
    memory, ends = Incidents(), np.array([[0, k] for k in range(3)], dtype=np.uint64)
    memory.lasting(np.zeros(3, dtype=np.int64), ends, np.ones(3, dtype=bool), np.ones(3, dtype=bool))
    again = memory.lasting(np.ones(3, dtype=np.int64), ends, np.zeros(3, dtype=bool), np.ones(3, dtype=bool))
    assert again.tolist() == [False, True, True]
