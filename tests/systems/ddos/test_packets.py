# pyright: basic
"""Actions on packets, the search's model, and the way through a capture file."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from sparring.attacks.search import ConstrainedSearch
from sparring.network import pcap
from sparring.network.actionthreat import ActionThreat
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.systems.ddos.adversary import ALL_ACTIONS, Botnet, roster
from sparring.systems.ddos.data import Stretch, picked
from sparring.systems.ddos.packets import PacketSpace, Played, act, conversations, round_trip, spread, windows_of

KINDS = ("syn flood", "udp flood", "http flood")


@pytest.fixture(scope="module")
def stretch() -> Stretch:
    attacks = tuple(Attack(k, 4.0 + 4 * i, 3.0, 8.0 if "http" in k else 60.0, 20) for i, k in enumerate(KINDS))
    return Stretch(stage(Scene(18.0, rate=8.0, attacks=attacks), np.random.default_rng(1)), KINDS)


@pytest.fixture(scope="module")
def chosen(stretch):
    return picked(stretch, 24, np.random.default_rng(0))


@pytest.fixture(scope="module")
def made(stretch, chosen):
    return conversations(stretch.staged, chosen[0])


@pytest.fixture(scope="module")
def rest(stretch, chosen):
    return stretch.staged.headers.take(~np.isin(stretch.staged.flow, chosen[0]))


def values(n: int, **given: float) -> dict[str, np.ndarray]:
    neutral = {p.name: p.low for p in PacketSpace().parameters}
    return {name: np.full(n, given.get(name, low)) for name, low in neutral.items()}


def test_every_kind_of_attack_is_picked_in_equal_parts(chosen):
    numbers, kinds = chosen
    assert len(numbers) == len(kinds) == 24
    assert {k: kinds.count(k) for k in KINDS} == dict.fromkeys(KINDS, 8)


def test_the_attacker_sent_the_first_packet_of_each(made):
    first = made.edges[:-1]
    assert made.forward[first].all()
    assert np.array_equal(made.headers.time[first], made.begin)


def test_nothing_done_changes_nothing(made):
    done = act(made, values(len(made)))
    for name in ("time", "payload", "window", "source", "flags"):
        assert np.array_equal(getattr(done.headers, name), getattr(made.headers, name))


def test_padding_adds_to_the_attackers_packets_alone_up_to_a_full_one(made):
    done = act(made, values(len(made), pad=1_400))
    grown = done.headers.payload - made.headers.payload
    assert (grown[~made.forward] == 0).all()
    assert ((grown[made.forward] == 1_400) | (done.headers.payload[made.forward] >= 1_460)).all()


def test_stretching_moves_packets_away_from_the_first(made):
    done = act(made, values(len(made), stretch=2.5))
    before, after = made.headers.time - made.begin[made.flow], done.headers.time - made.begin[made.flow]
    assert np.abs(after - 2.5 * before).max() <= 1


def test_dummies_follow_the_last_packet_at_their_gap_and_size(made):
    done = act(made, values(len(made), dummies=3, dummy_size=77, dummy_gap=0.5))
    assert len(done.flow) == len(made.flow) + 3 * len(made)
    last = done.edges[1:] - 1
    assert (done.headers.payload[last] == 77).all()
    assert (np.diff(done.headers.time)[last - 1] == 500_000).all()
    assert done.forward[last].all()


def test_the_window_is_set_on_tcp_packets_of_the_attacker(made):
    done = act(made, values(len(made), window=1_234))
    tcp = made.headers.protocol == 6
    assert (done.headers.window[tcp & made.forward] == 1_234).all()
    assert np.array_equal(done.headers.window[~tcp], made.headers.window[~tcp])


def test_only_unanswered_conversations_spread_over_sources(made):
    done = spread(act(made, values(len(made), dummies=7)), np.full(len(made), 4.0))
    answered = np.zeros(len(made), dtype=bool)
    answered[made.flow[~made.forward]] = True
    for i in range(len(made)):
        rows = slice(done.edges[i], done.edges[i + 1])
        sources = len(np.unique(done.headers.source[rows][done.forward[rows]], axis=0))
        assert sources == (1 if answered[i] else 4)


def test_one_action_alone_leaves_the_others_neutral():
    space = PacketSpace().only("pad")
    assert space.width == 1
    told = space.values(np.ones((2, 1)))
    assert told["pad"].tolist() == [1_400, 1_400]
    assert told["window"].tolist() == [-1, -1]
    assert told["spread"].tolist() == [1, 1]


def test_what_the_search_scores_is_what_the_capture_gives(guard, stretch, made, rest):
    played = Played.among(guard, made, stretch.staged.headers)
    x = torch.zeros(len(made), 1 + played.space.width, dtype=torch.float64)
    x[:, 0] = torch.arange(len(made))
    back = round_trip(guard, rest, made)
    agree = (played(x) > 0).numpy() == back.flagged
    assert agree.mean() > 0.9
    assert back.packets == len(stretch.staged.headers)


def test_a_kept_capture_holds_every_packet(guard, made, rest, tmp_path):
    path = tmp_path / "kept.pcap"
    done = act(made, values(len(made), dummies=2))
    found = round_trip(guard, rest, done, path)
    assert sum(len(h) for h in pcap.headers(path)) == found.packets == len(rest) + len(done.flow)
    assert 0 <= found.alarms[0] <= found.alarms[1]


def test_windows_are_those_of_the_reader(guard, made):
    x, owner = windows_of(made, guard)
    assert x.shape[1] == guard.schema.width
    assert set(owner.tolist()) == set(range(len(made)))


def test_a_search_lowers_the_score_within_its_threat(guard, stretch, made):
    space = PacketSpace()
    played = Played.among(guard, made, stretch.staged.headers).on(space)
    x = torch.zeros(len(made), 1 + space.width, dtype=torch.float64)
    x[:, 0] = torch.arange(len(made))
    search = ConstrainedSearch(queries=40, population=8)
    found = search(
        played,
        (x, torch.ones(len(x), dtype=torch.long)),
        ActionThreat(space),
        generator=torch.Generator().manual_seed(0),
    )
    before = played(x)
    standing = before > 0
    assert (played(found.x_adv)[standing] <= before[standing] + 1e-9).all()
    assert torch.equal(found.x_adv[:, 0], x[:, 0])


def test_the_roster_marks_what_was_trained_and_combines_everything(guard, stretch, made):
    played = Played.among(guard, made, stretch.staged.headers)
    everybody = roster(10, played)
    assert [a.name for a in everybody if a.seen] == ["actions as trained"]
    everything = next(a for a in everybody if a.name == ALL_ACTIONS)
    assert cast(Any, everything.threat).space.width == len(PacketSpace().parameters)
    assert sum(a.access == "transfer" for a in everybody) == 1


def test_a_botnets_shapes_keep_its_bits_and_its_bounds():
    net = Botnet(1e6, 400, 5.0, 10.0, 0xCB007101)
    rng = np.random.default_rng(0)
    best = net.plain()
    for _ in range(30):
        one = net.drawn(rng)
        assert 10 <= one.bots <= 400
        near = net.near(best, rng)
        changed = [getattr(near.shape, f) != getattr(best.shape, f) for f in ("pad", "jitter", "mix", "dummies")]
        assert sum(changed) + (near.spoofed != best.spoofed) + (near.bots != best.bots) <= 1
    assert len({repr(a) for a in net.openings()}) == 6
