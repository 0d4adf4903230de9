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
