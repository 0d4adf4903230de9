"""A matrix of a tiny system: resumed, killed, and the same on both back ends."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparring import matrix
from sparring.cli import main
from sparring.errors import BadInput

TINY = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from sparring.engine.system import System, scorecard
from sparring.evaluation.scorecard import Row, Verdict

@dataclass(frozen=True)
class Config:
    size: int = 8
    dies: bool = False

def experiment(config, run):
    mark = run.folder / "checkpoints" / "died"
    if config.dies and not mark.exists():
        mark.parent.mkdir(exist_ok=True)
        mark.write_text("once")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    value = float(run.generator("data").initial_seed() % 1000) / 1000
    row = dict(metric="accuracy", value=value, interval=(0.0, 1.0), n=config.size, seeds=(run.seed,))
    rows = (Row(model="m", condition="clean", **row), Row(model="m", condition="adversary", adversary="a", seen=False,
            kind="upper bound", budget=1.0, threat="LInf(eps=1)", **row))
    return scorecard(run, config, title="tiny", data=(), seeds=(run.seed,), rows=rows,
                     verdicts=(Verdict(model="m", status="upper bound"),))

system = System("tiny", "a tiny system", Config, experiment, presets={"quick": {}})
"""


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system as an installed package brings it: an entry point on the path of every process."""
    place = tmp_path / "site"
    info = place / "tiny-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[sparring.systems]\ntiny = tiny_system:system\n")
    (place / "tiny_system.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.delitem(sys.modules, "tiny_system", raising=False)


def figures(folder: Path) -> list[Any]:
    """What was measured in every cell: all but the time, the machine's threads and the command."""
    found = []
    for path in sorted(folder.glob("*/scorecard.json")):
        card = json.loads(path.read_text())
        found.append({k: card[k] for k in ("system", "config", "rows", "verdicts", "seeds", "environment")})
    return found


def test_cells_are_all_combinations_and_checked_first(tmp_path: Path) -> None:
    todo = matrix.cells(["tiny"], [0, 1], ["size=4,8"], tmp_path)
    assert [c.name for c in todo] == ["tiny-quick-size=4-0", "tiny-quick-size=4-1", "tiny-quick-size=8-0",
                                      "tiny-quick-size=8-1"]  # fmt: skip
    for systems, seeds, vary, match in [
        (["tiny"], [0], ["sice=4"], "did you mean size"),
        (["tiny"], [0], ["size"], "key=value,value"),
        (["tinny"], [0], [], "choose one of"),
        (["tiny"], [], [], "one seed"),
    ]:
        with pytest.raises(BadInput, match=match):
            matrix.cells(systems, seeds, vary, tmp_path)


def test_a_matrix_survives_kills_goes_on_and_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    out = tmp_path / "out"
    command = ["sparring", "matrix", "tiny", "--seeds", "0-1", "--vary", "dies=true", "--on", "local", "--workers", "2",
               "--out", str(out)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "[2/2]" in capsys.readouterr().err
    record = json.loads((out / "matrix.json").read_text())
    assert [(c["state"], c["tries"]) for c in record["cells"]] == [("done", 2), ("done", 2)]
    assert (out / "leaderboard.html").exists()
    again = matrix.run(matrix.cells(["tiny"], [0, 1], ["dies=true"], out), out, workers=1, on="local")
    assert [p.tries for p in again] == [0, 0]


def test_a_cell_that_fails_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "tiny-quick-0").mkdir()
    (tmp_path / "tiny-quick-0" / "mine.txt").write_text("not a run")
    played = matrix.run(matrix.cells(["tiny"], [0, 1], [], tmp_path), tmp_path, workers=2, on="local")
    assert [p.state for p in played] == ["failed", "done"]
    assert "holds other files" in played[0].error


def test_a_worker_killed_from_outside_is_started_again(tmp_path: Path) -> None:
    shots = []

    def shoot(cell: matrix.Cell, pid: int) -> None:
        if not shots:
            shots.append(pid)
            os.kill(pid, signal.SIGKILL)

    (played,) = matrix.run(matrix.cells(["tiny"], [0], [], tmp_path), tmp_path, workers=1, on="local", started=shoot)
    assert (played.state, played.tries) == ("done", 2)


def test_ray_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"sparring\[ray\]"):
        matrix.run([], tmp_path, workers=1, on="ray")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra: ray)")
def test_ray_and_the_local_pool_give_the_same_scorecards(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sparring import matrix\n"
        "out = Path(sys.argv[1]); todo = matrix.cells(['tiny'], [0, 1], ['size=4,8', 'dies=true'], out)\n"
        "assert all(p.state == 'done' and p.tries == 2 for p in matrix.run(todo, out, workers=2, on=sys.argv[2]))\n"
    )
    for on in ("local", "ray"):
        command = [sys.executable, "-c", code, str(tmp_path / on), on]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
        assert done.returncode == 0, done.stderr[-3000:]
    assert len(figures(tmp_path / "ray")) == 4
    assert figures(tmp_path / "ray") == figures(tmp_path / "local")
