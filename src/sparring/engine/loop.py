"""The training loop: the only one, for every system. What differs lies in the task's game and strategy.

A run killed at any moment continues from its last checkpoint to the same bits on a CPU: the batches of an
epoch come from a generator seeded for that epoch, the consumed ones are drawn again and skipped, and all
other state is in the checkpoint. The task keeps its side of this if `data` draws from the given generator
alone and `validate` makes its own generator anew on every call.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch import nn

from sparring.attacks.base import NonFinite
from sparring.engine.guards import NonFiniteTraining
from sparring.engine.runtime import Runtime
from sparring.engine.state import TrainState
from sparring.engine.streams import generator_for, seed_for
from sparring.engine.weights import fill, parse, tensors_of
from sparring.files import write_bytes
from sparring.game import Batch, StepResult, Task
from sparring.strategies.base import defender_of
from sparring.typed import forked_rng

if TYPE_CHECKING:
    from sparring.engine.run import Run


def train(task: Task, runtime: Runtime, run: Run, name: str) -> nn.Module:
    """Play the task to its end, or on from where a killed run stopped, and return the kept defender.

    Kept is the epoch with the highest `task.select` figure, or the last one. The defender comes back bare, in
    evaluation mode, on the runtime's device. Ctrl-C and SIGTERM save a checkpoint first. Of several
    processes the first one logs: the means over all.
    """
    seed, folder = run.seed_for(name), run.folder / "checkpoints" / name
    with _own_randomness(seed, runtime), _Interrupt() as interrupt, runtime.watching():
        state = TrainState(task, runtime, seed)
        _resume(state, run, name, folder)
        saver = _Saver(run.checkpoint_seconds, run.checkpoint_steps)
        with run.progress(name, state.total_steps, done=state.step) as bar:
            while state.epoch < task.epochs and not state.out_of_patience:
                batches = task.data(generator_for(seed, f"data/{state.epoch}"))
                for batch in state.unseen(batches):
                    result = _step(task, state, runtime.shard(batch))
                    figures = state.advance(result)
                    bar.advance()
                    if run.log_steps and state.step % run.log_steps == 0:
                        run.log(figures, name=name, step=state.step)
                    stop = runtime.any(interrupt.asked)
                    if stop or runtime.any(saver.due(state.step)):
                        state.save(folder / "last.safetensors")
                        saver.saved(state.step)
                    if stop:
                        interrupt.obey()
                figures = _judge(task, state, folder)
                run.log({"epoch": state.epoch, **figures}, name=name, step=state.step)
                bar.note(f"epoch {state.epoch}/{task.epochs}", figures)
                state.save(folder / "last.safetensors")
                saver.saved(state.step)
                if runtime.any(interrupt.asked):
                    interrupt.obey()
        return _kept(task, state, folder)


def _resume(state: TrainState, run: Run, name: str, folder: Path) -> None:
    if state.runtime.rank == 0:
        for stale in folder.glob(".*.safetensors.*"):  # a write that was cut off
            stale.unlink()
    if (folder / "last.safetensors").exists():
        state.load(folder / "last.safetensors")
    if state.runtime.rank == 0:
        run.journal.rewind(name, state.step, state.epoch)


def _step(task: Task, state: TrainState, batch: Batch) -> StepResult:
    state.game.defender.train()
    try:
        return task.strategy.step(state.game, batch, state)
    except NonFiniteTraining:
        raise
    except NonFinite as error:  # from an attack, which knows no steps
        raise NonFiniteTraining(f"step {state.step}: {error}") from error


def _judge(task: Task, state: TrainState, folder: Path) -> Mapping[str, float]:
    """Close the epoch: validate the defender as the strategy would hand it over, and keep it if it is the best."""
    figures: dict[str, float] = state.close_epoch()
    defender = defender_of(task.strategy, state.game, state)
    if task.validate is not None:
        defender.eval()
        figures |= {f"valid/{k}": float(v) for k, v in task.validate(defender).items()}
    if task.select is None:
        better = state.epoch == task.epochs
    else:
        if f"valid/{task.select}" not in figures:
            raise ValueError(f"validate gave no figure {task.select!r} to select by")
        figure = figures[f"valid/{task.select}"]
        better = math.isfinite(figure) and (state.best is None or figure > state.best)
        state.best = figure if better else state.best
        state.waited = 0 if better else state.waited + 1
    if better:
        kept = tensors_of(defender)  # of a sharded module this takes every process
        if state.runtime.rank == 0:
            write_bytes(folder / "kept.safetensors", safetensors.torch.save(kept))
    return figures


def _kept(task: Task, state: TrainState, folder: Path) -> nn.Module:
    state.runtime.barrier()
    kept = folder / "kept.safetensors"
    if not kept.exists():
        raise NonFinite(f"no epoch had a finite {task.select!r}; there is no defender to keep")
    defender = state.unwrap(state.game.defender)
    fill(defender, parse(kept.read_bytes(), kept), kept)
    return defender.eval()


class _Saver:
    """When a checkpoint is due: after so many seconds or so many steps, whichever comes first."""

    def __init__(self, seconds: float, steps: int | None) -> None:
        self.seconds, self.steps = seconds, steps
        self._at, self._step = time.monotonic(), -1

    def due(self, step: int) -> bool:
        by_steps = self.steps is not None and step % self.steps == 0
        return step != self._step and (by_steps or time.monotonic() - self._at >= self.seconds)

    def saved(self, step: int) -> None:
        self._at, self._step = time.monotonic(), step


class _Interrupt:
    """Turns the first Ctrl-C or SIGTERM into a request; a second one acts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._signal = 0
        self._before: dict[int, signal.Handlers | int | None] = {}

    def __enter__(self) -> _Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)  # type: ignore[assignment]
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._signal = number
            self.obey()
        self.asked, self._signal = True, number

    def obey(self) -> None:
        """Stop the training, now that it is saved."""
        if self._signal == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt


@contextmanager
def _own_randomness(seed: int, runtime: Runtime) -> Generator[None]:
    # Dropout and the like draw from PyTorch's global state: give them the run's own, and the caller's back after.
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with forked_rng(devices):
        own = seed_for(seed, f"torch@{runtime.rank}")
        torch.default_generator.manual_seed(own)
        if devices:
            with torch.cuda.device(runtime.device):
                torch.cuda.manual_seed(own)
        yield
