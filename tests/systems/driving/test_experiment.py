# pyright: basic

"""The whole story in small: a run, its folder, what its commands make of it, a killed run, bad input."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys

import pytest
import torch

from sparring.cli import main
from sparring.errors import BadInput
from sparring.launch import again, launch
from sparring.systems.driving.experiment import load
from sparring.systems.driving.planner import Planner

SMALL = ("scenes=24", "test=14", "episodes=16", "start=2", "rounds=2", "response=8", "search=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return launch("driving", overrides=SMALL, out=tmp_path_factory.mktemp("run") / "a", quiet=True)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Call the command line in this process: `(exit code, standard output, standard error)`."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sparring", "driving", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def test_a_run_leaves_all_that_a_user_needs(finished):
    card, folder = finished
    for name in ("config.yaml", "scorecard.json", "model.safetensors", "baseline.safetensors", "report.html"):
        assert (folder / name).exists()
    assert (folder / "figures" / "scene.png").stat().st_size > 2000
    assert {d.role for d in card.data} == {"training", "test"}
    assert {d.source for d in card.data} == {"embedded"}


def test_every_crash_rate_has_the_return_beside_it_and_the_held_out_are_named(finished):
    card, _ = finished
    returns, crashes = (
        {r.adversary for r in card.rows if r.metric == metric} for metric in ("return", "attacker crash rate")
    )
    assert returns == crashes
    seen = {r.adversary: r.seen for r in card.rows if r.adversary}
    assert seen["fresh best response"] is True
    assert seen["pursuit"] is seen["CEM 1"] is False
    titles = [t.title for t in card.tables]
    assert "How episodes end" in titles


def test_evaluating_again_gives_the_same_figures(finished, tmp_path):
    card, folder = finished
    second, _ = again("evaluate", folder, out=tmp_path / "b")
    first = {(r.model, r.metric, r.adversary): r.value for r in card.rows}
    for r in second.rows:
        assert r.value == pytest.approx(first[r.model, r.metric, r.adversary], abs=1e-5)


@pytest.mark.slow
def test_a_run_continues_where_it_was_killed(finished, tmp_path, monkeypatch):
    card, _ = finished

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("sparring.systems.driving.experiment"), "judge", killed)
        with pytest.raises(KeyboardInterrupt):
            launch("driving", overrides=SMALL, out=tmp_path / "c", quiet=True)
    second, _ = launch("driving", overrides=SMALL, out=tmp_path / "c", quiet=True)
    assert [r.value for r in second.rows] == [r.value for r in card.rows]


def test_evaluate_and_render_speak_of_the_run(finished, cli, tmp_path):
    _, folder = finished
    code, out, _ = cli("evaluate", folder, "--search", 0, "--json")
    found = json.loads(out)
    assert code == 0
    assert {r["model"] for r in found["rows"]} == {"baseline", "hardened"}
    assert {r["attack"] for r in found["rows"]} == {"none", "worst candidate", "pursuit"}
    code, out, _ = cli("render", folder, "--scene", 3, "--move", 9, "-o", tmp_path / "film.gif")
    assert code == 0
    assert "scene 3, candidate 9" in out
    from PIL import Image

    with Image.open(tmp_path / "film.gif") as film:
        film.seek(40)
        assert film.size[0] > 900


@pytest.mark.skipif(importlib.util.find_spec("highway_env") is None, reason="highway-env is not installed")
def test_both_policies_drive_in_another_simulators_body(finished, cli):
    _, folder = finished
    code, out, _ = cli("evaluate", folder, "--simulator", "highway-env", "--count", 3, "--json")
    found = json.loads(out)["rows"]
    assert code == 0
    assert {r["scenes"] for r in found} == {"test in highway-env"}
    assert {r["attack"] for r in found} == {"none", "worst candidate in ours", "pursuit"}
    assert all(r["n"] == 3 for r in found)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("evaluate", "FOLDER", "--search", 1), "--search 1"),
        (("evaluate", "FOLDER", "--scenes", "gone.npz"), "gone.npz"),
        (("evaluate", "FOLDER", "--simulator", "carla"), "--simulator carla"),
        (("render", "FOLDER", "--scene", 999), "--scene 999"),
        (("render", "FOLDER", "--move", 99), "--move 99"),
        (("render", "FOLDER", "-o", "film.mp4"), ".gif"),
        (("render", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(finished, cli, words, told):
    _, folder = finished
    code, out, err = cli(*(folder if w == "FOLDER" else w for w in words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_another_systems_model_is_refused(finished, tmp_path):
    _, folder = finished
    for name in ("run.json", "config.yaml", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.json").write_text((folder / "model.json").read_text().replace('"ppo"', '"forest"'))
    with pytest.raises(BadInput, match="defender"):
        load(tmp_path)


@pytest.mark.slow
def test_the_planner_is_hardened_by_the_same_command(tmp_path):
    small = (*SMALL, "defender=planner", "rounds=6")
    card, folder = launch("driving", overrides=small, out=tmp_path / "p", quiet=True)
    assert {v.model for v in card.verdicts} == {"baseline", "hardened"}
    tuned = load(folder)
    assert isinstance(tuned, Planner)
    assert not torch.equal(tuned.place, Planner().place)
