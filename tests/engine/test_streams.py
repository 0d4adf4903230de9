"""Random streams: independent by name and process, and their positions can be stored."""

import torch

from sparring.engine.streams import Streams, generator_for, seed_for


def draw(streams: Streams, name: str) -> torch.Tensor:
    return torch.rand(3, generator=streams.generator(name))


def test_streams_do_not_shift_each_other() -> None:
    a, b = Streams(0), Streams(0)
    draw(b, "data")
    assert torch.equal(draw(a, "attack"), draw(b, "attack"))
    assert not torch.equal(draw(a, "attack"), draw(b, "data"))


def test_positions_are_restored() -> None:
    streams = Streams(4)
    draw(streams, "attack")
    saved = streams.state()
    expected = draw(streams, "attack"), draw(streams, "later")
    other = Streams(4)
    draw(other, "later")
    other.restore(saved)
    assert torch.equal(draw(other, "attack"), expected[0])
    assert torch.equal(draw(other, "later"), expected[1])


def test_processes_draw_differently_and_the_first_like_a_lone_one() -> None:
    assert torch.equal(draw(Streams(1, rank=0), "a"), torch.rand(3, generator=generator_for(1, "a")))
    assert not torch.equal(draw(Streams(1, rank=1), "a"), draw(Streams(1), "a"))


def test_seeds_are_stable_and_in_range() -> None:
    assert seed_for(0, "data") == 3401158284908828999
    assert all(0 <= seed_for(s, n) < 2**63 for s in range(50) for n in "ab")
