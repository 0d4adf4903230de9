# pyright: basic

import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.systems.driving.build import procedural, with_slow
from sparring.systems.driving.episodes import play
from sparring.systems.driving.families import SPLITS, Draw
from sparring.systems.driving.geometry import boxes_overlap
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.scenes import FAMILIES, STEPS, Scenes
from sparring.systems.driving.simulator import Simulator


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_splits_share_no_shape():
    drawn = [Draw(4000, split, seeded()).shape(0.0, 30.0).long() for split in SPLITS]
    cells = [set(d.tolist()) for d in drawn]
    assert [len(c) for c in cells] == [10, 10, 10]
    assert len(set.union(*cells)) == 30


def test_the_roundabout_is_in_tests_alone():
    families = {split: procedural(7, split, seeded()).family for split in ("training", "test")}
    held_out = FAMILIES.index("roundabout")
    assert int((families["test"] == held_out).sum()) == 1
    assert not bool((families["training"] == held_out).any())


def test_what_is_kept_can_be_driven_and_nobody_touches_anybody_at_first():
    scenes = procedural(6, "training", seeded(1))
    assert scenes.log_prior.exp().sum(1).allclose(torch.ones(6))
    assert bool(scenes.feasible[:, 0].all())
    assert bool(scenes.avoidable[:, 0].all())
    out = play(Planner(), scenes, torch.arange(6))
    assert not bool(out.failed.any())
    assert torch.allclose(out.way, scenes.nominal)
    start = boxes_overlap(scenes.start[:, None], scenes.log[:, :, 0], scenes.size[:, :1], scenes.size[:, 1:])
    assert not bool(start.any())


def test_the_same_seed_makes_the_same_scenes():
    a, b = (procedural(2, "training", seeded(3), families=("merge",)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))
    c = procedural(2, "training", seeded(4), families=("merge",))
    assert not torch.equal(a.start, c.start)


def test_scenes_go_to_tensors_and_back():
    scenes = straight(nobody())
    again = Scenes.of(scenes.tensors())
    assert all(torch.equal(x, y) for x, y in zip(scenes.tensors().values(), again.tensors().values(), strict=True))
    both = Scenes.joined([scenes, again])
    assert len(both) == 2
    assert len(both.take(torch.tensor([True, False]))) == 1


def test_a_slowed_scene_is_the_same_way_at_a_share_of_the_speed():
    scene = straight(torch.tensor([[20.0, 3.5, 0.0, 10.0]]))
    half = scene.slowed(torch.tensor([0.5]))
    assert float(half.log[0, 0, STEPS, 0]) == float(scene.log[0, 0, STEPS // 2, 0])
    assert float(half.log[0, 0, 0, 3]) == 5.0
    assert float(half.pace[0]) == 5.0
    sim = Simulator(half, torch.tensor([0]))
    for _ in range(STEPS):
        sim.step(torch.zeros(1), torch.zeros(1))
    assert abs(float(sim.way[0]) - 40.0) < 0.1
    assert abs(float(sim.paid[0]) - 20.0) < 0.1


def test_only_a_share_of_the_scenes_is_slowed():
    scene = Scenes.joined([straight(nobody())] * 200)
    mixed = with_slow(scene, 0.3, seeded())
    slow = mixed.pace < 9.9
    assert 0.2 < float(slow.float().mean()) < 0.4
    assert float(mixed.pace.min()) >= 3.0
