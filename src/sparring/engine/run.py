"""The run folder: where one run keeps its configuration, figures, checkpoints, models and scorecard.

config.yaml          the resolved configuration        scorecard.json       what the evaluation found
run.json             seed, preset, seconds per phase   metrics.jsonl        figures along the way
model.safetensors    the kept model, with model.json   checkpoints/         to continue a killed run
figures/             pictures for the report
"""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import safetensors.torch
import torch
from torch import Tensor, nn

from sparring.engine import config as configs
from sparring.engine import streams, weights
from sparring.engine.environment import environment
from sparring.engine.loggers import JsonLines, Logger, tracker
from sparring.engine.progress import progress
from sparring.engine.runtime import Hardware, Runtime, is_main
from sparring.errors import BadInput
from sparring.files import write_bytes, write_text
from sparring.game import Task

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LOCKS: dict[Path, Any] = {}


@dataclass
class Run:
    """A handle on one run folder; the only thing an experiment needs besides its configuration.

    `Run.create` opens a folder with its checks; `Run(folder, seed)` is a bare handle (for tests and scripts).
    `checkpoint_seconds` and `checkpoint_steps` (whichever comes first) set how much a killed run repeats;
    `log_steps` how often figures within an epoch are logged (0: once an epoch). `system` is the name of the
    system that runs here, `data` the place where the user's copies of real data are (`--data`), `command` what
    to type to repeat the run.
    """

    folder: Path
    seed: int
    preset: str = "quick"
    hardware: Hardware = field(default_factory=Hardware)
    track: tuple[str, ...] = ()
    checkpoint_seconds: float = 30.0
    checkpoint_steps: int | None = None
    log_steps: int = 50
    quiet: bool = False
    system: str = ""
    data: Path | None = None
    command: str = ""

    @classmethod
    def create(
        cls, folder: Path, config: Any, *, seed: int, preset: str = "quick", resume: bool = True, **options: Any
    ) -> Run:
        """Open a run folder, a new one or (with `resume`) one of the same configuration, seed and preset.

        `config` is a configuration dataclass; `options` are `Run`'s further fields. Raises `BadInput`, without
        touching anything, if the folder holds something else or is in use by another process.
        """
        run = cls(Path(folder), seed, preset, **options)
        if not is_main():
            return run
        run._admit(configs.dump(config), resume)
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run that a folder already holds, for reading. Raises `BadInput` if it holds none."""
        path = Path(folder) / "run.json"
        if not path.exists():
            raise BadInput(f"{folder}: holds no run; give a folder that `sparring run` made")
        bare = cls(Path(folder), 0)
        record = bare._record()
        try:
            return cls(Path(folder), int(record["seed"]), str(record["preset"]), system=str(record["system"]))
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"{path}: damaged; choose another run") from None

    # --- random streams -----------------------------------------------------------------------------------------

    def seed_for(self, name: str) -> int:
        """A 63-bit seed for a library that wants a number; independent of every other name."""
        return streams.seed_for(self.seed, name)

    def generator(self, name: str) -> torch.Generator:
        """The named random stream, from its beginning on every call, so that skipped phases shift nothing."""
        return streams.generator_for(self.seed, name)

    # --- training, and phases that are not repeated ---------------------------------------------------------------

    @cached_property
    def runtime(self) -> Runtime:
        """Devices and processes; made (and Fabric imported) at first use."""
        return Runtime(self.hardware)

    def train(self, task: Task, name: str) -> nn.Module:
        """Play a task to its end through the loop, continuing from `checkpoints/NAME` if it is there.

        Returns the kept defender: bare, in evaluation mode, on the CPU for one process on a CPU.
        """
        from sparring.engine.loop import train

        return train(task, self.runtime, self, self._checked(name))

    def cached(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors computed once per run folder: a resumed run reads them back. `compute` sees no cached state."""
        path = self.folder / "checkpoints" / f"{self._checked(name)}.safetensors"
        if not path.exists():
            found = weights.tensors_of(compute())
            if is_main():
                write_bytes(path, safetensors.torch.save(found))
            return found
        return weights.parse(path.read_bytes(), path)

    def recorded(self, name: str, compute: Callable[[], T]) -> T:
        """Like `cached` for anything JSON holds (figures, lists, texts); floats come back to the same bits."""
        path = self.folder / "checkpoints" / f"{self._checked(name)}.json"
        if not path.exists():
            text = json.dumps(compute())
            if is_main():
                write_text(path, text)
            return json.loads(text)
        return json.loads(path.read_text("utf-8"))

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Time a phase; its wall-clock seconds add up in `run.json`, over interruptions too."""
        start = time.monotonic()
        try:
            yield
        finally:
            if is_main():
                record = self._record()
                spent = record.setdefault("seconds", {})
                spent[name] = spent.get(name, 0.0) + time.monotonic() - start
                write_text(self.folder / "run.json", json.dumps(record, indent=2) + "\n")

    @property
    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds per phase so far."""
        return dict(self._record().get("seconds", {}))

    # --- figures, models ------------------------------------------------------------------------------------------

    @cached_property
    def journal(self) -> JsonLines:
        """`metrics.jsonl`."""
        return JsonLines(self.folder / "metrics.jsonl")

    @cached_property
    def _loggers(self) -> list[Logger]:
        return [self.journal, *(tracker(name, self.folder) for name in self.track)]

    def log(self, figures: Mapping[str, float], *, name: str, step: int | None = None) -> None:
        """Append one line to metrics.jsonl and to the trackers that were asked for."""
        if is_main():
            for logger in self._loggers:
                logger.log(figures, name=name, step=step)

    def close(self) -> None:
        """Flush the trackers and let other processes open the folder."""
        for logger in self.__dict__.pop("_loggers", []):
            logger.close()
        lock = _LOCKS.pop(self.folder.resolve(), None)
        if lock is not None:
            lock.close()

    def progress(self, label: str, total: int, *, done: int = 0) -> Any:
        """Context manager that gives a `Progress`: a bar on a terminal, one line a note elsewhere."""
        return progress(label, total, done=done, quiet=self.quiet or not is_main())

    def save_model(
        self, model: nn.Module | Mapping[str, Tensor], name: str = "model", meta: Mapping[str, Any] | None = None
    ) -> Path:
        """Write `NAME.safetensors` and `NAME.json`; `meta` says as data which architecture it is. Returns the path."""
        path = self.folder / f"{self._checked(name)}.safetensors"
        tensors = weights.tensors_of(model)  # of a sharded model this takes every process
        if is_main():
            weights.save_model(path, tensors, meta)
        return path

    def load_model(self, name: str = "model") -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights and `meta` of `save_model`."""
        return weights.load_model(self.folder / f"{self._checked(name)}.safetensors")

    def figure(self, name: str) -> Path:
        """The path `figures/NAME` for a picture; the folder exists."""
        path = self.folder / "figures" / self._checked(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def environment(self) -> dict[str, str]:
        """Versions, processor, threads, for the scorecard."""
        return environment()

    # --- the folder -----------------------------------------------------------------------------------------------

    def _admit(self, tree: dict[str, Any], resume: bool) -> None:
        folder, record_path = self.folder, self.folder / "run.json"
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder}: is a file; choose a folder with --out")
        if not record_path.exists():
            if folder.exists() and any(not _ours(p.name) for p in folder.iterdir()):
                raise BadInput(f"{folder}: holds other files; choose a new or empty folder with --out")
            folder.mkdir(parents=True, exist_ok=True)
            self._lock()
            record = {"format": 1, "system": self.system, "seed": self.seed, "preset": self.preset, "config": tree}
            write_text(record_path, json.dumps(record, indent=2) + "\n")
            write_text(folder / "config.yaml", configs.tree_to_yaml(tree))
            return
        known = self._record()
        before = {key: known.get(key) for key in ("system", "seed", "preset")} | known.get("config", {})
        after = {"system": self.system, "seed": self.seed, "preset": self.preset} | json.loads(json.dumps(tree))
        if before != after:
            key, was, now = _first_difference(before, after)
            raise BadInput(f"{folder}: holds a run with {key}={was}, not {now}; choose another folder with --out")
        if not resume:
            raise BadInput(f"{folder}: holds this run already; resume it, or choose another folder with --out")
        self._lock()
        if not (folder / "config.yaml").exists():  # killed between the two files
            write_text(folder / "config.yaml", configs.tree_to_yaml(tree))

    def _record(self) -> dict[str, Any]:
        path = self.folder / "run.json"
        if not path.exists():
            return {"format": 1, "seed": self.seed, "preset": self.preset}
        try:
            return dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            raise BadInput(f"{path}: damaged; choose another folder with --out") from None

    def _lock(self) -> None:
        # Two processes in one folder would write over each other; the same process may open it again.
        key = self.folder.resolve()
        if key in _LOCKS:
            return
        handle = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise BadInput(f"{self.folder}: another process is running in it; choose another folder") from None
        _LOCKS[key] = handle

    def _checked(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a file name: use letters, digits, '_', '-' and '.'")
        return name


def _ours(name: str) -> bool:
    # What a run that was killed in its very first moment may have left.
    return name == ".lock" or name.startswith(".run.json.")


def _first_difference(before: Any, after: Any, at: str = "") -> tuple[str, Any, Any]:
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast(dict[str, Any], before), cast(dict[str, Any], after)
        for key in [*new, *old]:
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    return at, cast(Any, before), cast(Any, after)
