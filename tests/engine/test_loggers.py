# pyright: basic
"""Trackers: what they are told, without the services themselves."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sparring.engine.loggers import tracker
from sparring.engine.run import Run
from sparring.errors import BadInput


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs)) or self


def test_every_tracker_gets_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorders = {name: Recorder() for name in ("torch.utils.tensorboard", "wandb", "mlflow")}
    for name, recorder in recorders.items():
        module = ModuleType(name)
        module.__getattr__ = recorder.__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    run = Run(tmp_path / "mine", 0, track=("tensorboard", "wandb", "mlflow"))
    run.log({"loss": 0.5}, name="hardened", step=3)
    run.close()
    board, wandb, mlflow = (r.calls for r in recorders.values())
    assert ("add_scalar", ("hardened/loss", 0.5, 3), {}) in board
    assert ("log", ({"hardened/loss": 0.5, "hardened/step": 3},), {}) in wandb
    assert ("log_metrics", ({"hardened/loss": 0.5},), {"step": 3}) in mlflow
    assert [calls[-1][0] for calls in (board, wandb, mlflow)] == ["close", "finish", "end_run"]
    assert (tmp_path / "mine" / "metrics.jsonl").read_text() == '{"name": "hardened", "step": 3, "loss": 0.5}\n'


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("mlflow", "mlflow-skinny")])
def test_an_uninstalled_tracker_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadInput, match=rf"needs the package {package}: pip install 'sparring\[track\]'"):
        tracker(name, tmp_path)


def logged(folder: Path, name: str) -> Path:
    """A run of three steps through one real tracker."""
    run = Run(folder / "mine", 0, track=(name,))
    for step, loss in enumerate((0.5, 0.25, 0.125)):
        run.log({"loss": loss}, name="hardened", step=step)
    run.close()
    return folder / "mine"


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_back_what_was_logged(tmp_path: Path) -> None:
    place = "tensorboard.backend.event_processing.event_accumulator"
    reader: Any = pytest.importorskip(place, reason="TensorBoard is not installed")
    events = reader.EventAccumulator(str(logged(tmp_path, "tensorboard") / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("hardened/loss")] == [(0, 0.5), (1, 0.25), (2, 0.125)]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_back_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow: Any = pytest.importorskip("mlflow", reason="MLflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "tracked").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    logged(tmp_path, "mlflow")
    client = mlflow.MlflowClient((tmp_path / "tracked").as_uri())
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    history = client.get_metric_history(run.info.run_id, "hardened/loss")
    assert run.info.run_name == "mine"
    assert [(m.step, m.value) for m in history] == [(0, 0.5), (1, 0.25), (2, 0.125)]


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="W&B is not installed")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    folder = logged(tmp_path, "wandb")
    (written,) = (folder / "wandb").glob("offline-run-*/run-mine.wandb")
    assert written.stat().st_size > 0
    assert (folder / "metrics.jsonl").read_text().count("loss") == 3
