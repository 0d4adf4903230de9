# pyright: basic
"""From verdicts to rules: the tree, sources and prefixes, strangers, and what is left alone."""

from dataclasses import replace

import numpy as np
import pytest
from tests.systems.ddos.drawn import VICTIM, packets

from sparring.network.flows import ACK, SYN
from sparring.network.generator.attacks import Shape
from sparring.network.headers import Headers, ipv4, joined, parsed
from sparring.network.windows import windowed
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.link import Link, carry
from sparring.systems.ddos.mitigate import Mitigator, Victims
from sparring.systems.ddos.model import Memory, Verdicts
from sparring.systems.ddos.raid import Raid, Raiders
from sparring.systems.ddos.rules import Rule, to_json, to_nftables
from sparring.systems.ddos.trial import capacity_of, mixed, simulated, toward, try_out, users


def marked(n: int, source, *, victim=VICTIM) -> Headers:
    """Opening packets in order of time, one from each of the sources."""
    h = packets(n, flags=SYN, size=(0, 1))
    return replace(h, source=ipv4(np.asarray(source)), target=ipv4(np.full(n, victim)))


def listed(guard, h: Headers) -> tuple[Mitigator, np.ndarray]:
    ours = Mitigator(guard)
    every = np.ones(len(h), dtype=bool)
    victims = Victims(ipv4(np.array([VICTIM])), ("203.0.113.8",), True)
    return ours, ours._sources(h, every, victims, np.zeros((0, 2), dtype=np.uint64), 0.0)


def test_of_one_bot_the_list_leaves_one_packet_and_of_forged_sources_all(guard):
    ours, left = listed(guard, marked(500, [0xC6120001] * 500))
    assert left.sum() == 1
    assert left[0]
    assert ours.rules[0].sources == ("198.18.0.1",)
    assert listed(guard, marked(500, 0x0B000000 + 997 * np.arange(500)))[1].all()


def test_what_the_list_left_in_the_window_before_it_leaves_no_more(guard):
    h = marked(400, 0xC6120000 + 256 * (np.arange(400) % 100))
    ours, left = listed(guard, h)
    assert 100 <= left.sum() <= 104  # the last hundredth of the packets is not listed
    victims = Victims(ipv4(np.array([VICTIM])), ("203.0.113.8",), True)
    again = ours._sources(h, np.ones(400, dtype=bool), victims, np.zeros((0, 2), dtype=np.uint64), 1.0)
    assert again.sum() <= 4


def test_a_stranger_flagged_by_mistake_beside_a_flood_is_not_listed(guard):
    source = np.full(1_000, 0xC6120001)
    source[500] = 0x0A01008F
    ours, _ = listed(guard, marked(1_000, source))
    assert ours.rules[0].sources == ("198.18.0.1",)


def test_a_flood_of_few_bots_gets_no_tree(guard, quiet):
    _net, link, attack = flooded(quiet, bots=2)
    ours = Mitigator(guard, link.capacity)
    carry(*mixed(quiet, attack), link, ours)
    assert any(rule.sources for rule in ours.rules)
    assert not any(rule.reason.startswith("tree") for rule in ours.rules)


@pytest.fixture(scope="module")
def quiet():
    return users(16, 4, rate=15.0)


def flooded(quiet, bots=200, **shape):
    capacity = capacity_of(quiet, 16)
    net = Botnet(1.2 * capacity, bots, 5.0, 11.0, VICTIM)
    return net, Link(capacity), toward(net.plain(), 0, net.bits)


def test_a_flood_is_met_within_three_seconds_and_most_of_the_users_pass(guard, quiet):
    _net, link, attack = flooded(quiet)
    trial = try_out("flood", quiet, attack, link, (5.0, 16.0), Mitigator(guard, link.capacity))
    assert trial.delay is not None
    assert trial.delay <= 3.0
    assert trial.goodput("ours") > trial.goodput("none")
    assert trial.goodput("ours") >= 0.8 * trial.goodput("oracle")
    assert trial.passages["ours"].benign_blocked() <= 0.02


def test_rules_speak_of_the_victim_alone(guard, quiet):
    _net, link, attack = flooded(quiet)
    ours = Mitigator(guard, link.capacity)
    carry(*mixed(quiet, attack), link, ours)
    assert ours.rules
    assert all("203.0.113.8" in rule.targets for rule in ours.rules)


@pytest.mark.parametrize("aim", ["rotate", "carpet"])
def test_a_flood_that_moves_on_is_met_by_rules_for_everybody(guard, quiet, aim):
    """Rules about each second's victim come when the next one is flooded."""
    net, link, _ = flooded(quiet)
    raiders = Raiders(net, quiet)
    attack = raiders.packets(Raid(net.plain(), aim), 0)
    trial = try_out(aim, quiet, attack, link, (5.0, 16.0), Mitigator(guard, link.capacity))
    gap = trial.goodput("oracle") - trial.goodput("none")
    assert trial.goodput("ours") - trial.goodput("none") >= 0.5 * gap
    assert trial.delay is not None
    assert trial.delay <= 3.0


def test_a_flood_in_the_users_names_does_not_turn_the_rules_against_them(guard, quiet):
    net, link, _ = flooded(quiet)
    attack = Raiders(net, quiet).packets(Raid(net.shaped("udp flood", Shape(mix=1.0), False, 200), forged="users"), 0)
    ours = Mitigator(guard, link.capacity)
    h, bad = mixed(quiet, attack)
    done = carry(h, bad, link, ours)
    own = ~bad & (h.target == ipv4(np.array([VICTIM]))[0]).all(1) & (h.time >= 5_000_000)
    assert done.blocked[bad].mean() >= 0.5
    assert not done.blocked[own & (h.protocol == 6)].any()
    assert all(rule.protocol == "udp" for rule in ours.rules if rule.action == "drop")


def test_quiet_traffic_within_the_capacity_gets_no_rules(guard, quiet):
    ours = Mitigator(guard, 1e9)
    done = carry(quiet, np.zeros(len(quiet), dtype=bool), Link(1e9), ours)
    assert ours.rules == ()
    assert done.benign_blocked() == 0.0


def test_rules_expire_when_nothing_confirms_them(guard):
    ours = Mitigator(guard, expires=5.0)
    ours._keep(Rule("drop", expires=5.0, reason="tree"), 10.0)
    ours._keep(Rule("limit", expires=3.0, rate=5.0, reason="strangers"), 10.0)
    assert len(ours.rules) == 2
    ours.decide(packets(0), 14.0)
    assert [r.action for r in ours.rules] == ["drop"]
    ours.decide(packets(0), 15.0)
    assert ours.rules == ()


def test_a_full_prefix_stands_for_its_addresses_unless_somebody_known_lives_there(guard):
    ours = Mitigator(guard)
    dense = np.array([parsed(f"198.18.5.{i}") for i in range(30)])
    few = np.array([parsed(f"198.18.6.{i}") for i in range(3)])
    names = set(ours._gathered(np.concatenate([dense, few])))
    assert names == {"198.18.5.0/24", "198.18.6.0", "198.18.6.1", "198.18.6.2"}
    ours._hosts.learn(replace(packets(3), source=np.repeat(parsed("198.18.5.77")[None], 3, axis=0)))
    assert len(set(ours._gathered(dense))) == 30


def test_a_flood_weighs_what_was_asked_for():
    net = Botnet(2e6, 100, 5.0, 10.0, VICTIM)
    for attack in net.openings():
        h = toward(attack, 3, net.bits)
        flood = h.take(h.time >= 5_000_000)
        assert float((flood.size + 14).sum()) * 8 / 10 == pytest.approx(2e6, rel=0.03)
        assert (h.target == ipv4(np.array([VICTIM]))[0]).all()
    known = toward(replace(net.openings()[3]), 3, net.bits)
    assert (known.time < 5_000_000).any()


def test_users_and_crowds_are_the_same_in_the_same_seed():
    assert np.array_equal(users(6, 1).time, users(6, 1).time)
    assert len(users(6, 1, crowd=True)) > len(users(6, 1))
    both, bad = mixed(users(6, 1), packets(10))
    assert bad.sum() == 10
    assert (np.diff(both.time) >= 0).all()
    assert len(joined([both])) == len(bad)


def test_a_simulated_crowd_has_no_attack(guard):
    found = simulated(guard, kind="syn flood", bots=10, spoofed=False, mix=0.0, crowd=True, seconds=12, seed=0)
    assert sum(w.attack for w in found.passages["ours"].windows) == 0


def requests(second: int, ports, *, source: int = 0x0A010005, answered: bool = True) -> Headers:
    """One web request from each of these ports to the victim within a second, and its answer."""
    parts: list[Headers] = []
    for k, port in enumerate(ports):
        one = np.ones(1, dtype=np.int64)
        time, client, server = (second * 1_000_000 + 10_000 * k) * one, ipv4(source * one), ipv4(VICTIM * one)
        fixed = (6 * one, 20 * one, (ACK | 8) * one, 500 * one)
        protocol, header, flags, window = fixed
        parts.append(Headers(time, client, server, port * one, 80 * one, protocol, 300 * one, header, flags, window))
        if answered:
            parts.append(
                Headers(time + 5_000, server, client, 80 * one, port * one, protocol, 900 * one, header, flags, window)
            )
    return joined(parts).ordered()


def judged(guard, h: Headers, logit: dict[int, float], memory: Memory):
    """The guard's verdicts as if its flow layer said of each client port what `logit` says."""
    flows = windowed(h, 1_000_000)
    plain = guard.judge(flows, Memory())
    port = np.where(flows.server, flows.source_port, flows.target_port)
    flow = np.array([logit[int(p)] for p in port])
    fresh = memory.connections.fresh(flows, flow)
    v = plain.volumes
    held = memory.evidence.add(v.begin, v.address, v.of, fresh)
    volume, alarm = np.full(len(v), -5.0), held > guard.limit
    return flows, Verdicts(plain.x, v, flow, volume, fresh, held, flow, flow > 0, alarm)


def watched(guard, seconds, logit_of, source: int = 0x0A010005):
    ours, memory = Mitigator(guard, expires=60.0), Memory()
    for second in range(seconds):
        port = 5_000 + second
        h = requests(second, [port], source=source)
        ours.follow(*judged(guard, h, {port: logit_of(second)}, memory), float(second))
    return ours


def test_a_slow_attacker_known_from_quiet_windows_gets_a_rule_by_its_own_evidence(guard):
    quiet = 10  # it begins unnoticed, so its source is known, and never sends more in a second than it did then
    ours = watched(guard, 30, lambda k: -1.0 if k < quiet else 2.5)
    (rule,) = ours.rules
    assert (rule.action, rule.sources) == ("drop", ("10.1.0.5",))
    assert rule.targets == ("203.0.113.8",)
    assert rule.matches(requests(40, [6_000, 6_001], answered=False)).all()
    assert not rule.matches(requests(40, [6_000], source=0x0A010006)).any()
    assert "10.1.0.5" in to_json(ours.rules)
    assert "10.1.0.5 timeout 60s" in to_nftables(ours.rules)


def test_a_known_client_flagged_by_mistake_now_and_then_is_left_alone(guard):
    """Every tenth connection of a client is called an attack: its own evidence falls back, whatever the others do."""
    ours, memory = Mitigator(guard, expires=60.0), Memory()
    for second in range(60):
        mistaken, bad = 5_000 + second, 7_000 + second
        h = joined([requests(second, [mistaken]), requests(second, [bad], source=0x0A010009)]).ordered()
        logit = {mistaken: 2.0 if second % 10 == 9 else -2.0, bad: -1.0 if second < 10 else 3.0}
        ours.follow(*judged(guard, h, logit, memory), float(second))
    (rule,) = ours.rules
    assert rule.sources == ("10.1.0.9",)


def test_a_blocked_source_is_let_go_when_nothing_confirms_it_though_others_are(guard):
    ours, memory = Mitigator(guard, expires=20.0), Memory()
    for second in range(60):
        ports, logit = [5_000 + second], {5_000 + second: 3.0}
        h = requests(second, ports, source=0x0A010009)
        if second < 10:
            h = joined([h, requests(second, [8_000 + second], source=0x0A010007)]).ordered()
            logit[8_000 + second] = 3.0
        ours.follow(*judged(guard, h, logit, memory), float(second))
        if second == 9:
            assert set(ours.rules[0].sources) == {"10.1.0.7", "10.1.0.9"}
    assert ours.rules[0].sources == ("10.1.0.9",)


def test_whoever_forges_a_known_clients_address_does_not_get_it_blocked(guard):
    """Opening packets in its name, answered with SYN-ACK and reset, are flagged: they speak against nobody known."""
    ours, memory = Mitigator(guard, expires=60.0), Memory()
    for second in range(40):
        port = 5_000 + second
        h = requests(second, [port])
        if second >= 10:
            h = replace(
                h, flags=np.where(h.source_port == port, SYN, SYN | ACK), payload=np.zeros(len(h), dtype=np.int64)
            )
        ours.follow(*judged(guard, h, {port: -1.0 if second < 10 else 3.0}, memory), float(second))
    assert ours.alarms
    assert not any(rule.sources for rule in ours.rules)
