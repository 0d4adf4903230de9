# pyright: basic
"""What a botnet may do on the link: the flood's weight stays, its aim and its addresses change."""

import numpy as np
import pytest
from tests.systems.ddos.drawn import VICTIM

from sparring.network.headers import ipv4
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.raid import Raid, Raiders, worst_raid
from sparring.systems.ddos.trial import users

NET = Botnet(2e6, 100, 5.0, 7.0, VICTIM)


@pytest.fixture(scope="module")
def raiders() -> Raiders:
    return Raiders(NET, users(12, 4))


def during(raiders: Raiders, raid: Raid):
    h = raiders.packets(raid, 3)
    return h.take(h.time >= 5_000_000)


def test_whatever_the_aim_the_flood_weighs_the_same(raiders):
    for raid in raiders.openings():
        h = during(raiders, raid)
        assert float((h.size + 14).sum()) * 8 / 7 == pytest.approx(2e6, rel=0.05)


def test_aims(raiders):
    plain = NET.plain()
    victim = ipv4(np.array([VICTIM]))[0]
    assert (during(raiders, Raid(plain)).target == victim).all()
    turning = during(raiders, Raid(plain, "rotate"))
    second = turning.time // 1_000_000
    for s in np.unique(second):
        assert len(np.unique(turning.target[second == s], axis=0)) == 1
    assert len(np.unique(turning.target, axis=0)) == len(np.unique(second))
    everybody = np.unique(during(raiders, Raid(plain, "carpet")).target, axis=0)
    assert len(everybody) > 20


def test_forged_addresses_are_those_of_users(raiders):
    quiet = raiders.quiet
    own = quiet.take((quiet.target == ipv4(np.array([VICTIM]))[0]).all(1))
    users_ = {a.tobytes() for a in own.source}
    forged = during(raiders, Raid(NET.plain(), forged="users"))
    assert {a.tobytes() for a in forged.source} <= users_
    known = during(raiders, Raid(NET.plain(), forged="known"))
    assert {a.tobytes() for a in known.source} <= {a.tobytes() for a in quiet.source}


def test_the_search_keeps_the_worst_and_its_history_never_rises(raiders):
    tried = []

    def goodput(raid):
        tried.append(raid)
        return 1.0 - 0.3 * raid.flood.shape.mix - 0.1 * raid.flood.spoofed - 0.2 * (raid.aim == "carpet")

    best, low, history = worst_raid(raiders, goodput, 20, np.random.default_rng(0))
    assert len(tried) == len(history) == 20
    assert low == min(history) == goodput(best)
    assert history == sorted(history, reverse=True)
    assert len({repr(r) for r in tried}) > 15


def test_every_raid_is_told_in_words_of_its_own(raiders):
    words = [raid.told() for raid in raiders.openings()]
    assert len(set(words)) == len(words)
    assert "toward everybody" in words[1]
    assert "as the victim's users" in words[4]


def test_the_net_s_own_openings_are_all_among_the_raids(raiders):
    plain = [raid.flood for raid in raiders.openings() if raid.aim == "victim" and not raid.forged]
    assert sorted(map(repr, plain)) == sorted(map(repr, NET.openings()))
