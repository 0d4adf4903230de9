"""Run folders: layout, refusals, streams, phases that are not repeated."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from sparring.engine.config import resolve
from sparring.engine.run import Run
from sparring.engine.weights import fill
from sparring.errors import BadInput


@dataclass(frozen=True)
class Config:
    steps: int = 3
    eps: float = float("inf")


def test_create_writes_the_resolved_configuration(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", Config(5), seed=1)
    assert resolve(Config, file=run.folder / "config.yaml") == Config(5)
    run.close()


def test_same_configuration_resumes(tmp_path: Path) -> None:
    first = Run.create(tmp_path, Config(), seed=1)
    first.save_model({"w": torch.ones(2)})
    first.close()
    again = Run.create(tmp_path, Config(), seed=1)
    assert again.load_model()[0]["w"].tolist() == [1, 1]
    again.close()
    with pytest.raises(BadInput, match="holds this run already"):
        Run.create(tmp_path, Config(), seed=1, resume=False)


def test_another_configuration_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    Run.create(tmp_path, Config(), seed=1).close()
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(BadInput, match="steps=3, not 4; choose another folder"):
        Run.create(tmp_path, Config(4), seed=1)
    with pytest.raises(BadInput, match="seed=1, not 2"):
        Run.create(tmp_path, Config(), seed=2)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="holds other files"):
        Run.create(tmp_path, Config(), seed=1)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(BadInput, match="is a file"):
        Run.create(tmp_path / "thesis.tex", Config(), seed=1)


def test_a_run_killed_while_it_was_created_can_start(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".run.json.a1b2c3").touch()
    Run.create(tmp_path, Config(), seed=1).close()
    (tmp_path / "config.yaml").unlink()
    Run.create(tmp_path, Config(), seed=1).close()
    assert resolve(Config, file=tmp_path / "config.yaml") == Config()


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    run = Run.create(tmp_path, Config(), seed=1)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_run import Config, Run\n"
        "Run.create(Path(sys.argv[1]), Config(), seed=1)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another process is running in it" in other.stderr
    run.close()


def test_streams_are_named_and_start_over(tmp_path: Path) -> None:
    run = Run(tmp_path, 7)
    a, b = (torch.rand(4, generator=run.generator(n)) for n in ("data", "attack"))
    assert torch.equal(a, torch.rand(4, generator=run.generator("data")))
    assert not torch.equal(a, b)
    assert not torch.equal(a, torch.rand(4, generator=Run(tmp_path, 8).generator("data")))
    assert run.seed_for("data") != run.seed_for("attack")


def test_phases_are_computed_once(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, torch.Tensor]:
        calls.append(1)
        return {"x": torch.tensor([0.1, 0.2], dtype=torch.float64)}

    for _ in range(2):
        found = Run(tmp_path, 0).cached("features", compute)
    assert calls == [1]
    assert torch.equal(found["x"], compute()["x"])
    values = [Run(tmp_path, 0).recorded("figures", lambda v=v: {"a": 0.1 + v, "b": [v]}) for v in (1, 2)]
    assert values == [{"a": 1.1, "b": [1]}] * 2
    with pytest.raises(ValueError, match="cannot be a file name"):
        Run(tmp_path, 0).cached("../up", compute)


def test_phase_seconds_add_up(tmp_path: Path) -> None:
    run = Run.create(tmp_path, Config(), seed=0)
    for _ in range(2):
        with run.phase("data"):
            pass
    assert list(run.seconds) == ["data"]
    assert run.seconds["data"] >= 0
    run.close()
    Run.create(tmp_path, Config(), seed=0).close()


def test_log_lines_and_rewind(tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    for step in range(3):
        run.log({"loss": 1 / (step + 1)}, name="a", step=step)
    run.log({"loss": float("nan")}, name="b", step=9)
    with run.journal.path.open("ab") as stream:
        stream.write(b'{"name": "a", "st')
    run.journal.rewind("a", 1, 9)
    lines = [json.loads(line) for line in run.journal.path.read_text().splitlines()]
    assert [(r["name"], r["step"]) for r in lines] == [("a", 0), ("a", 1), ("b", 9)]
    assert lines[2]["loss"] == "nan"


def test_models_round_trip(tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[0].bias = model[1].bias  # tied weights are stored as copies
    path = run.save_model(model, "kept", {"architecture": "mlp", "arguments": {"width": 2}})
    tensors, meta = run.load_model("kept")
    assert meta == {"architecture": "mlp", "arguments": {"width": 2}}
    fill(model, tensors, path)
    with pytest.raises(BadInput, match=r"tensor 0.weight is \(2, 3\), the model wants \(2, 4\)"):
        fill(nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)), tensors, path)
    with pytest.raises(BadInput, match="no place for it"):
        fill(nn.Sequential(nn.Linear(3, 2)), tensors, path)


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    path = run.save_model({"w": torch.ones(3)})
    with pytest.raises(BadInput, match="cannot be read"):
        run.load_model("absent")
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    with pytest.raises(BadInput, match="checksum"):
        run.load_model()
    side = path.with_suffix(".json")
    side.write_text("[]")
    with pytest.raises(BadInput, match="side file"):
        run.load_model()


def test_unknown_tracker(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="choose from: tensorboard"):
        Run(tmp_path, 0, track=("neptune",)).log({"a": 1.0}, name="x")


def test_environment_and_figure_folder(tmp_path: Path) -> None:
    run = Run(tmp_path, 0)
    assert {"python", "torch", "numpy", "sparring", "cpu", "threads", "os"} <= run.environment().keys()
    assert run.figure("a.svg").parent.is_dir()


def test_importing_the_engine_leaves_lightning_out() -> None:
    code = "import sys, sparring.engine.run; assert not [m for m in sys.modules if 'lightning' in m]"
    subprocess.run([sys.executable, "-c", code], check=True)
