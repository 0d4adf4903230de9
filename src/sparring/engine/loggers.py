"""Where training figures go: a JSON-lines file always; TensorBoard, W&B and MLflow when asked for."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from sparring.errors import BadInput
from sparring.files import write_bytes

TRACKERS = ("tensorboard", "wandb", "mlflow")


class Logger(Protocol):
    """One destination of figures."""

    def log(self, figures: Mapping[str, float], *, name: str, step: int | None) -> None:
        """Record figures of the phase `name` (e.g. "hardened") at a training step."""
        ...

    def close(self) -> None:
        """Flush and release; called once."""
        ...


class JsonLines:
    """`metrics.jsonl`: one object a line, `{"name": ..., "step": ..., figure: value, ...}`.

    A value that is not finite is written as the text "nan", "inf" or "-inf", so that every line is JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, figures: Mapping[str, float], *, name: str, step: int | None) -> None:
        line: dict[str, Any] = {"name": name} if step is None else {"name": name, "step": step}
        line |= {k: float(v) if math.isfinite(v) else str(float(v)) for k, v in figures.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.write(json.dumps(line).encode() + b"\n")

    def rewind(self, name: str, step: int, epoch: int) -> None:
        """Drop what a killed run wrote past the checkpoint it continues from, and a last line cut in half."""
        if not self.path.exists():
            return
        kept: list[bytes] = []
        for line in self.path.read_bytes().splitlines(keepends=True):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            beyond = record.get("step", -1) > step or record.get("epoch", -1) > epoch
            if line.endswith(b"\n") and not (record.get("name") == name and beyond):
                kept.append(line)
        write_bytes(self.path, b"".join(kept))

    def close(self) -> None:
        """Nothing to release: the file is opened for each line."""


class TensorBoard:
    """Scalars `NAME/FIGURE` in the folder's `tensorboard/`."""

    def __init__(self, folder: Path) -> None:
        module = _optional("torch.utils.tensorboard", "tensorboard")
        self._writer = module.SummaryWriter(str(folder / "tensorboard"))

    def log(self, figures: Mapping[str, float], *, name: str, step: int | None) -> None:
        for figure, value in figures.items():
            self._writer.add_scalar(f"{name}/{figure}", value, step)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A Weights & Biases run named after the folder; a resumed run continues the same one."""

    def __init__(self, folder: Path) -> None:
        wandb = _optional("wandb", "wandb")
        self._run = wandb.init(project="sparring", name=folder.name, dir=str(folder), id=folder.name, resume="allow")

    def log(self, figures: Mapping[str, float], *, name: str, step: int | None) -> None:
        own = {f"{name}/{figure}": value for figure, value in figures.items()}
        self._run.log(own if step is None else own | {f"{name}/step": step})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """An MLflow run named after the folder, at the tracking address MLflow's own settings give."""

    def __init__(self, folder: Path) -> None:
        self._mlflow = _optional("mlflow", "mlflow-skinny")
        self._mlflow.start_run(run_name=folder.name)

    def log(self, figures: Mapping[str, float], *, name: str, step: int | None) -> None:
        self._mlflow.log_metrics({f"{name}/{figure}": float(v) for figure, v in figures.items()}, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


def tracker(name: str, folder: Path) -> Logger:
    """The tracker of that name. Raises `BadInput` for an unknown or uninstalled one."""
    makers = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
    if name not in makers:
        raise BadInput(f"no tracker is called {name!r}; choose from: {', '.join(TRACKERS)}")
    return makers[name](folder)


def _optional(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BadInput(f"the tracker needs the package {package}: pip install 'sparring[track]'") from None
