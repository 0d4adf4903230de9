# pyright: basic
"""CommonRoad scenarios: what is read, and what is refused in one line."""

import math

import numpy as np
import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.driving.commonroad import commonroad, tracks
from sparring.systems.driving.episodes import play
from sparring.systems.driving.planner import Planner


def state(tag, t, x, y, h, v):
    return (
        f"<{tag}><position><point><x>{x}</x><y>{y}</y></point></position><orientation><exact>{h}</exact></orientation>"
        f"<time><exact>{t}</exact></time><velocity><exact>{v}</exact></velocity></{tag}>"
    )


def vehicle(number, x, y, speed, steps=90, dt=0.1, *, old=False, first=0, turn=0.0):
    places = [(first + i, x + speed * i * dt, y, turn * i, speed) for i in range(steps)]
    shape = "<shape><rectangle><length>4.4</length><width>1.8</width></rectangle></shape>"
    body = (
        state("initialState", *places[0])
        + f"<trajectory>{''.join(state('state', *p) for p in places[1:])}</trajectory>"
    )
    if old:
        return f'<obstacle id="{number}"><role>dynamic</role><type>car</type>{shape}{body}</obstacle>'
    return f'<dynamicObstacle id="{number}"><type>car</type>{shape}{body}</dynamicObstacle>'


def scenario(*vehicles, dt=0.1):
    return f'<commonRoad benchmarkID="A" commonRoadVersion="2020a" timeStepSize="{dt}">{"".join(vehicles)}</commonRoad>'


@pytest.fixture
def written(tmp_path):
    def write(text, name="a.xml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("old", [False, True])
def test_both_formats_give_the_recorded_tracks(written, old):
    path = written(scenario(vehicle(1, 0, 0, 10, old=old), vehicle(2, 20, 3.5, 9, first=5, steps=30, old=old)))
    traj, lw = tracks(path)
    assert traj.shape == (2, 90, 4)
    np.testing.assert_allclose(traj[0, 10], [10.0, 0.0, 0.0, 10.0], atol=1e-5)
    assert np.isnan(traj[1, :5]).all()
    assert np.isnan(traj[1, 35:]).all()
    assert np.isfinite(traj[1, 5:35]).all()
    np.testing.assert_allclose(lw, [[4.4, 1.8]] * 2, rtol=1e-6)


def test_other_time_steps_are_read_each_tenth_of_a_second(written):
    path = written(scenario(vehicle(1, 0, 0, 10, steps=41, dt=0.2, turn=0.01), dt=0.2))
    traj, _ = tracks(path)
    assert traj.shape == (1, 81, 4)
    np.testing.assert_allclose(traj[0, :, 0], np.arange(81), atol=1e-3)
    np.testing.assert_allclose(traj[0, :, 2], np.arange(81) * 0.005, atol=1e-5)


def test_headings_are_interpolated_the_short_way(written):
    places = [(0, 0.0, 0.0, math.pi - 0.1, 5.0), (1, 1.0, 0.0, -math.pi + 0.1, 5.0)]
    body = state("initialState", *places[0]) + f"<trajectory>{state('state', *places[1])}</trajectory>"
    path = written(scenario(f'<dynamicObstacle id="1">{body}</dynamicObstacle>', dt=0.2))
    assert abs(abs(float(tracks(path)[0][0, 1, 2])) - math.pi) < 1e-5


def test_a_scenario_becomes_scenes_that_can_be_driven_and_attacked(written):
    path = written(scenario(vehicle(1, 0, 0, 10), vehicle(2, 22, 0, 10), vehicle(3, -25, 3.5, 11)))
    scenes = commonroad(path, torch.Generator().manual_seed(0))
    assert len(scenes) >= 2
    assert scenes.candidates == 32
    assert scenes.avoidable.any(1).all()
    out = play(Planner(), scenes, torch.arange(len(scenes)))
    assert float(out.completion.min()) > 0.9


def test_nobody_to_drive_is_said(written):
    path = written(scenario(vehicle(1, 0, 0, 10, steps=20), vehicle(2, 20, 0, 10, steps=20)))
    with pytest.raises(BadInput, match="lasts 4 s"):
        commonroad(path, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<commonRoad", "not XML"),
        ("<osm/>", "its root is <osm>"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><commonRoad/>", "declares entities"),
        (scenario(), "no dynamicObstacle"),
        (scenario(vehicle(1, 0, 0, 10), dt=0), "timeStepSize"),
        (scenario(vehicle(1, 0, 0, 10)).replace('timeStepSize="0.1"', ""), "timeStepSize is None"),
        (scenario(vehicle(7, 0, 0, float("nan"), steps=2)), "dynamicObstacle 7"),
        (scenario(vehicle(7, 0, 0, 10, steps=2)).replace("<width>1.8", "<width>-1"), "obstacle 7: a shape"),
        (scenario(vehicle(7, 0, 0, 10, first=-3, steps=2)), "obstacle 7: time -3"),
        (scenario(vehicle(7, 0, 0, 10, steps=2)).replace("velocity", "haste"), "velocity/exact is None"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(written, text, told):
    path = written(text)
    with pytest.raises(BadInput) as refused:
        tracks(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        tracks(tmp_path / "gone.xml")
