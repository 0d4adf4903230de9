# pyright: basic
"""`sparring seismic ...` as a user meets it: files in and out, exit codes, nothing left behind after an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import segyio

from sparring.cli import main
from sparring.evaluation.scorecard import Scorecard


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Call the command line in this process, in an empty folder: `(exit code, standard output, standard error)`."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sparring", "seismic", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


GRID = ("--spacing", 40, "--peak", 4)


@pytest.fixture
def scene(cli) -> Path:
    """shots.sgy over true.npy, and start.npy, on cells of 40 m."""
    assert cli("model", "faulted", "-o", "true.npy", "--depth", 20, "--width", 32, "--spacing", 40, "--seed", 3)[0] == 0
    assert cli("model", "gradient", "-o", "start.npy", "--depth", 20, "--width", 32)[0] == 0
    code, out, _ = cli("simulate", "true.npy", *GRID, "--shots", 4, "--samples", 160)
    assert (code, out) == (0, "shots.sgy: 4 shots, 32 receivers, 160 samples of 4 ms\n")
    return Path.cwd()


def test_an_inversion_says_what_it_needs_and_leaves_models_gathers_and_a_report(cli, scene: Path) -> None:
    words = ("invert", "shots.sgy", "--start", "start.npy", *GRID, "--epochs", 4, "--water", 2, "-o", "out")
    code, out, err = cli(*words)
    assert code == 0
    assert "MiB at the peak" in err
    assert "40 wave solves" in err
    assert out.startswith("relative data residual ")
    before, after = (r.value for r in Scorecard.load(scene / "out/scorecard.json").rows)
    assert after < before
    found, start = np.load(scene / "out/velocity.npy"), np.load(scene / "start.npy")
    assert np.array_equal(found[:2], start[:2])
    with segyio.open("out/velocity.sgy", ignore_geometry=True, strict=False) as f:
        assert np.array_equal(f.trace.raw[:].T, found)
    with segyio.open("out/predicted.sgy", ignore_geometry=True) as f:
        assert f.trace.raw[:].shape == (128, 160)
    for name in ("report.html", "config.yaml", "metrics.jsonl", "figures/gathers.png", "figures/illumination.png"):
        assert (scene / "out" / name).exists()
    again = (scene / "out/velocity.npy").read_bytes()
    assert cli(*words)[0] == 0  # the finished folder: nothing is repeated, nothing changes
    assert (scene / "out/velocity.npy").read_bytes() == again
    code, _, err = cli(*words, "--water", 1)
    assert (code, "holds a run with water=2, not 1" in err) == (2, True)


def test_data_in_any_unit_invert_alike(cli, scene: Path) -> None:
    """Field data are in counts: the source's strength comes from the start's own gathers."""
    (scene / "counts.sgy").write_bytes((scene / "shots.sgy").read_bytes())
    with segyio.open("counts.sgy", "r+", ignore_geometry=True) as f:
        for k in range(f.tracecount):
            f.trace[k] = 1000 * f.trace[k]
    words = ("--start", "start.npy", *GRID, "--epochs", 4, "-o")
    code, _, err = cli("invert", "counts.sgy", *words, "counts")
    assert code == 0
    assert "times as strong" in err
    assert cli("invert", "shots.sgy", *words, "plain")[0] == 0
    start, plain, counts = (np.load(scene / n) for n in ("start.npy", "plain/velocity.npy", "counts/velocity.npy"))
    assert np.linalg.norm(counts - start) > 0.5 * np.linalg.norm(plain - start)
    before, after = (r.value for r in Scorecard.load(scene / "counts/scorecard.json").rows)
    assert after < 0.95 * before


def test_critic_stages_and_wavelet_work_from_the_command_line_and_speak_json(cli, scene: Path) -> None:
    words = ("invert", "shots.sgy", "--start", "start.npy", *GRID, "--epochs", 1, "--critic", 0.3, "--stages", "3,all",
             "--joint-wavelet", "--parameters", "deep-prior", "--json", "-o", "out")  # fmt: skip
    code, out, _ = cli(*words)
    assert code == 0
    found = json.loads(out)
    assert 0 < found["residual_after"] < 1
    assert found["estimate"]["solves"] == 16


def test_an_inversion_killed_at_any_moment_continues_to_the_same_bits(cli, scene: Path) -> None:
    words = ["seismic", "invert", "shots.sgy", "--start", "start.npy", "--spacing", "40", "--peak", "4", "--epochs",
             "3", "--batch", "1"]  # fmt: skip
    assert cli(*words[1:], "-o", "whole")[0] == 0
    kill = (
        "import os, signal, sys\n"
        "from sparring.engine import loop\n"
        "real, calls = loop._step, [0]\n"
        "def step(*words):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == 8: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*words)\n"
        "loop._step = step\n"
        f"sys.argv = ['sparring', *{words!r}, '-o', 'cut']\n"
        "from sparring.cli import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", kill], capture_output=True, check=False)
    assert done.returncode == -9
    assert not Path("cut/velocity.npy").exists()
    assert cli(*words[1:], "-o", "cut")[0] == 0
    assert Path("cut/velocity.npy").read_bytes() == Path("whole/velocity.npy").read_bytes()


def test_a_file_of_gathers_is_inspected(cli, scene: Path) -> None:
    with segyio.open("shots.sgy", "r+", ignore_geometry=True, strict=False) as f:
        f.trace[5] = np.zeros(160, np.float32)
    code, out, _ = cli("inspect", "shots.sgy", "--json")
    found = json.loads(out)
    assert (code, found["shots"], found["receivers a shot"], found["interval ms"]) == (0, 4, 32, 4.0)
    assert found["dead traces"] == 1
    assert found["x m"] == [20, 1260]
    assert 0 <= found["band Hz"][0] < 4 < found["band Hz"][1] < 15
    text = cli("inspect", "shots.sgy")[1]
    assert "20 to 1260" in text
    assert "1 traces are dead" in text


def bad_cases() -> list[tuple[list[object], str]]:
    start = ["--start", "start.npy"]
    return [
        (["invert", "none.sgy", *start, *GRID], "none.sgy: no such file"),
        (["invert", "start.npy", *start, *GRID], "start.npy: not a readable SEG-Y file"),
        (["invert", "shots.sgy", "--start", "none.npy", *GRID], "none.npy: no such file"),
        (["invert", "shots.sgy", *start, "--spacing", 20, "--peak", 4], "lies outside the model"),
        (["invert", "shots.sgy", *start, *GRID, "--batch", 3], "batch=3: does not divide the 4 shots"),
        (["invert", "shots.sgy", *start, *GRID, "--misfit", "siamese", "--critic", 1], "cannot be joined"),
        (["invert", "shots.sgy", *start, *GRID, "--stages", "7,3"], "--stages 7,3: give rising frequencies"),
        (["invert", "shots.sgy", *start, *GRID, "--bounds", 5000, 2000], "give the slower speed first"),
        (["invert", "shots.sgy", *start, *GRID, "--bounds", 2000, 5000], "start.npy: velocity at row 0, column 0"),
        (["invert", "shots.sgy", *start, *GRID, "--water", 99], "the model has 20 rows"),
        (["invert", "shots.sgy", *start, "--spacing", 40, "--peak", 12], "cells on the shortest wavelength"),
        (["simulate", "true.npy", *GRID, "-o", "x.su"], "--out x.su: the name must end in .sgy"),
        (["simulate", "true.npy", *GRID, "--shots", 40], "two shots have one source position"),
        (["model", "salt", "-o", "x.tif"], "--out x.tif: the name must end in .npy"),
    ]


@pytest.mark.parametrize(("words", "said"), bad_cases(), ids=lambda v: v if isinstance(v, str) else "")
def test_bad_input_gets_one_line_exit_code_2_and_nothing_is_written(cli, scene: Path, words, said: str) -> None:
    before = sorted(os.listdir())
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len([line for line in err.splitlines() if not line.startswith("note:")]) == 1
    assert sorted(os.listdir()) == before


def test_run_is_the_same_as_sparring_run(cli) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparring", "seismic", "run", "--set", "model=marble", "--out", "x"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "model 'marble'" in done.stderr
