# pyright: basic
from dataclasses import replace

import pytest
import torch
from tests.systems.driving.worlds import straight

from sparring.engine.run import Run
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import Learning
from sparring.systems.driving.arena import ATTACKERS, Course, Judged, Sizes, area, judge, replayed
from sparring.systems.driving.attacks import Search
from sparring.systems.driving.realism import realism
from sparring.systems.driving.render import LANES, corners, films, gif, shown_scene, still
from sparring.systems.driving.response import Budget, prior
from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.tell import checks, curves, notes, rows, tables, verdicts


class Blind:
    def act(self, sim):
        return torch.zeros(sim.batch, 2)


class Still:
    """Full braking at once: few crashes, no way made."""

    def act(self, sim):
        return torch.tensor([-1.0, 0.0]).repeat(sim.batch, 1)


def scenes(n=3):
    found = []
    for i in range(n):
        scene = straight(torch.tensor([[17.0 + i, 0.0, 0.0, 10.0]]))
        moves = []
        for accel in (0.0, -0.5, -4.0, -7.0):
            speed = (10 + accel * torch.arange(STEPS + 1) * DT).clamp_min(0)
            way = torch.cat([torch.zeros(1), (0.5 * (speed[1:] + speed[:-1]) * DT).cumsum(0)])
            moves.append(torch.stack([17.0 + i + way, 0 * way, 0 * way, speed], dim=1))
        found.append(replace(scene, moves=torch.stack(moves)[None]))
    return Scenes.joined(found)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("arena"), 0, quiet=True)
    test = scenes()
    course = Course.of(test)
    sizes = Sizes(Budget(3, 3, 20, 8), Search(3, 1, 1))
    found = {
        name: judge(driver, lambda: course, test, Learning(), sizes, run, name)
        for name, driver in (("baseline", Blind()), ("hardened", Still()))
    }
    return test, found, run


def test_attackers_stand_in_the_order_that_theory_demands(judged):
    _, found, _ = judged
    for j in found.values():
        worst, exact, natural = (j.mean("ret", k) for k in ("worst of 32", "exact Gibbs", "prior"))
        assert worst <= exact + 1e-4 <= natural + 2e-4
        assert j.mean("ret", "fresh best response") >= worst - 1e-4


def test_the_exact_gibbs_row_is_the_gibbs_law_of_the_table(judged):
    test, found, _ = judged
    j = found["baseline"]
    p = gibbs(prior(test), -j.table, 4.0).exp()
    assert torch.allclose(j.ret["exact Gibbs"], (p * j.table).sum(1), atol=1e-4)


def test_causes_are_probabilities_and_agree_with_the_crash_rates(judged):
    _, found, _ = judged
    for j in found.values():
        for attacker in (*ATTACKERS, "pursuit"):
            assert torch.allclose(j.cause[attacker].sum(1), torch.ones(3), atol=1e-5)
            assert torch.allclose(j.cause[attacker][:, 1], j.crash[attacker], atol=1e-5)


def test_standing_still_has_few_crashes_and_is_flagged(judged):
    _, found, _ = judged
    assert found["hardened"].mean("crash", "worst of 32") <= found["baseline"].mean("crash", "worst of 32")
    told = {(c.model, c.name): c.passed for c in checks(found)}
    assert told["hardened", "drives on"] is False
    assert told["baseline", "drives on"] is True
    assert {v.model: v.status for v in verdicts(checks(found))}["hardened"] == "unreliable"


def test_avoidable_rates_are_over_the_avoidable_scenes(judged):
    _, found, _ = judged
    j = replace(found["baseline"], crash={"x": torch.tensor([1.0, 0.0, 1.0])},
                escape={"x": torch.tensor([True, True, False])})  # fmt: skip
    assert j.mean("crash", "x") == pytest.approx(2 / 3)
    assert j.avoidable("x") == pytest.approx(0.5)
    assert 0 <= area(found["baseline"]) <= 1


def test_what_was_judged_is_read_back_and_not_judged_again(judged):
    test, found, run = judged
    again = Judged.of(found["baseline"].tensors())
    assert torch.equal(again.table, found["baseline"].table)

    def never():
        raise AssertionError("judged twice")

    kept = judge(Blind(), never, test, Learning(), Sizes(), run, "baseline")
    assert torch.equal(kept.ret["pursuit"], found["baseline"].ret["pursuit"])


def test_what_people_read_speaks_of_all_of_it(judged):
    test, found, _ = judged
    told = rows(found, 0)
    assert {r.model for r in told} == {"baseline", "hardened"}
    assert all(r.interval[0] <= r.value <= r.interval[1] for r in told)
    assert {t.title for t in tables(found, test)} >= {"By family", "Certificates", "How episodes end"}
    assert len(curves(found, test)) == 2
    assert any("abstract" in n for n in notes(test))


def test_replayed_counts_whoever_is_touched():
    apart = straight(torch.tensor([[40.0, 3.5, 0.0, 10.0], [14.0, 0.0, 0.0, 0.0]]))
    assert replayed(Blind(), apart).tolist() == [True]
    assert replayed(Blind(), straight(torch.tensor([[40.0, 3.5, 0.0, 10.0]]))).tolist() == [False]


def test_the_logs_are_as_natural_as_themselves():
    test = scenes()
    logs = torch.full((3, 4), -torch.inf)
    logs[:, 0] = 0.0
    calm, harsh = realism(test, logs), realism(test, logs.flip(1))
    assert calm["W1 acceleration"] == pytest.approx(0.0, abs=1e-5)
    assert harsh["acceleration"] > calm["acceleration"] + 1
    assert harsh["W1 acceleration"] > 0.5


def test_pictures_show_both_defenders_twice(judged, tmp_path):
    from PIL import Image

    test, found, _ = judged
    scene, move = shown_scene(found, test)
    shot = films({"baseline": Blind(), "hardened": Still()}, test, scene, move)
    assert [f.title.split(",")[1] for f in shot] == [" plain traffic", " attack"] * 2
    gif(shot, test, scene, tmp_path / "a.gif")
    still(shot, test, scene, tmp_path / "a.png")
    with Image.open(tmp_path / "a.gif") as film, Image.open(tmp_path / "a.png") as picture:
        assert film.size == picture.size
        film.seek(STEPS)
        colours = {c for _, c in picture.convert("RGB").getcolors(100_000) or ()}
    assert (31, 111, 235) in colours
    assert (209, 36, 47) in colours


def test_the_lane_is_drawn_on_which_another_vehicle_comes_from_the_side(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    scene = scenes(1)
    log = scene.log.clone()
    log[0, 0, :, 1] = torch.linspace(15, 5, STEPS + 1)
    scene = replace(scene, log=log)
    still(films({"baseline": Blind()}, scene, 0, 0), scene, 0, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert LANES in {c for _, c in picture.convert("RGB").getcolors(100_000) or ()}


def test_a_box_has_its_size_and_its_heading():
    box = corners(torch.tensor([1.0, 2.0, torch.pi / 2, 0.0]), torch.tensor([4.0, 2.0]))
    assert box.amin(0).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert box.amax(0).tolist() == pytest.approx([2.0, 4.0], abs=1e-5)
