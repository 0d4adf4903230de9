# pyright: basic
"""Scenes: order, truth, load, crowds, mirrored captures, and what each attack looks like in packets."""

import numpy as np
import pytest

from sparring.errors import BadInput
from sparring.network.flows import ACK, SYN
from sparring.network.generator.attacks import KINDS, Attack, Shape
from sparring.network.generator.scene import CLIENTS, SERVERS, Crowd, Scene, mirrored, stage
from sparring.network.headers import ipv4
from sparring.network.windows import windowed


def made(seed: int = 0, **settings):
    return stage(Scene(**{"seconds": 12.0, "rate": 15.0, **settings}), np.random.default_rng(seed))


def test_packets_come_in_order_within_the_scene_and_the_seed_decides():
    one, two, other = made(1), made(1), made(2)
    assert (np.diff(one.headers.time) >= 0).all()
    assert 0 <= one.headers.time[0] <= one.headers.time[-1] < 12_000_000
    assert np.array_equal(one.headers.time, two.headers.time)
    assert not np.array_equal(one.headers.time[:100], other.headers.time[:100])
    assert not one.attack.any()


def test_every_conversation_is_of_one_pair_of_ends_and_one_kind():
    staged = made(attacks=(Attack("syn flood", 4, 4, 100), Attack("http flood", 4, 4, 5, bots=3)))
    order = np.argsort(staged.flow, kind="stable")
    flow = staged.flow[order]
    starts = np.flatnonzero(np.r_[True, np.diff(flow) > 0])
    for column in (staged.attack, staged.headers.protocol):
        high = np.maximum.reduceat(column[order], starts)
        assert np.array_equal(high, np.minimum.reduceat(column[order], starts))
    assert staged.flow[staged.attack > 0].min() > staged.flow[staged.attack == 0].max()
    assert set(staged.attack.tolist()) == {0, 1, 2}


def test_clients_and_servers_have_the_stated_addresses():
    h = made().headers
    low = [(side[:, 1] & np.uint64(0xFFFFFFFF)).astype(np.int64) for side in (h.source, h.target)]
    client = [(a >= CLIENTS) & (a < CLIENTS + 400) for a in low]
    server = [(a > SERVERS) & (a < SERVERS + 256) for a in low]
    assert ((client[0] & server[1]) | (server[0] & client[1])).all()


def test_the_load_follows_the_hour_and_the_rate():
    night, noon = (len(np.unique(made(hour=h, seconds=60.0).flow)) for h in (3.0, 14.0))
    assert noon > 1.2 * night
    assert len(made(rate=45.0).headers) > 1.8 * len(made(rate=15.0).headers)


@pytest.mark.parametrize("kind", KINDS)
def test_each_attack_reaches_its_victim_in_its_time(kind):
    attack = Attack(kind, start=4.0, seconds=4.0, rate=60.0, bots=20)
    staged = made(attacks=(attack,))
    h = staged.headers.take(staged.attack == 1)
    toward = (h.target == ipv4(np.array([attack.victim]))[0]).all(1)
    assert toward.sum() > 50
    assert h.time.min() >= 4_000_000
    assert attack.family in ("volumetric", "protocol", "reflection", "application")
    assert (h.payload >= 0).all()
    assert (h.size <= 1_460 + 20 + 60).all()


def test_a_syn_flood_is_bare_syns_and_spoofing_gives_every_packet_a_source_of_its_own():
    plain, forged = (made(attacks=(Attack("syn flood", 2, 8, 300, bots=10, spoofed=s),)) for s in (False, True))
    for staged, most in ((plain, 10), (forged, 10**9)):
        h = staged.headers.take(staged.attack == 1)
        sent = h.take((h.target == ipv4(np.array([0xCB007101]))[0]).all(1))
        assert ((sent.flags & (SYN | ACK)) == SYN).all()
        assert len(np.unique(sent.source, axis=0)) <= most
    h = forged.headers.take((forged.attack == 1) & ((forged.headers.flags & ACK) == 0))
    assert len(np.unique(h.source, axis=0)) > 0.9 * len(h)


def test_amplified_answers_are_large_and_come_from_reflectors():
    staged = made(attacks=(Attack("dns amplification", 2, 8, 100),))
    h = staged.headers.take(staged.attack == 1)
    assert (h.protocol == 17).all()
    assert (h.source_port == 53).mean() > 0.9
    assert np.median(h.payload) > 500


def test_shapes_pad_mix_and_make_themselves_known():
    def flood(**shape):
        staged = made(attacks=(Attack("syn flood", 10, 2, 300, bots=20, shape=Shape(**shape)),))
        return staged.headers.take(staged.attack == 1)

    assert np.median(flood(pad=100).payload) >= 100
    assert len(np.unique(flood(mix=1.0).size)) > 3 * len(np.unique(flood().size))
    early = flood(dummies=1.0)
    assert (early.time < 10_000_000).any()
    assert not (flood().time < 10_000_000).any()


def test_a_crowd_is_many_new_people_at_one_server_and_no_attack():
    with_crowd, without = made(crowd=Crowd(2.0, 8.0, 10.0, 3)), made()
    assert not with_crowd.attack.any()
    assert len(with_crowd.headers) > 1.5 * len(without.headers)
    low = (with_crowd.headers.source[:, 1] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    new = (low >= CLIENTS + 400) & (low < CLIENTS + 65_536)
    targets = np.unique(with_crowd.headers.target[new], axis=0)
    assert len(targets) == 1
    assert targets[0, 1] & np.uint64(0xFF) == 3


def test_a_mirrored_capture_holds_every_packet_twice():
    staged = made()
    twice = mirrored(staged, np.random.default_rng(0))
    assert len(twice.headers) == 2 * len(staged.headers)
    assert (np.diff(twice.headers.time) >= 0).all()
    one, two = (windowed(s.headers, 60_000_000) for s in (staged, twice))
    assert len(one) == len(two)
    assert np.array_equal(np.sort(two.packets), 2 * np.sort(one.packets))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"kind": "smurf"}, "no attack is called 'smurf'"), ({"kind": "syn flood", "bots": 0}, "1 to 65,000 bots"),
     ({"kind": "syn flood", "rate": 0.0}, "rate above 0"), ({"kind": "syn flood", "seconds": 0.0}, "length above 0")],
)  # fmt: skip
def test_attacks_that_cannot_be_are_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        Attack(**settings)
