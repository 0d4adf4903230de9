"""Many runs as one: systems × settings × seeds, on Ray where it is installed, else on a pool of local processes.

Every cell is `sparring run` in a process of its own, pinned to one thread, with a folder of its own below the
matrix's. A finished cell is not repeated; one whose process was killed is started again and goes on from its last
checkpoint. Both back ends start the same command, so they give the same scorecards. With Ray on several machines the
folder has to be on a disk that all of them share.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sparring import registry
from sparring.engine import config as configs
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.files import write_text
from sparring.launch import preset_of

TRIES = 3
"""How often a cell is started whose process is killed."""


@dataclass(frozen=True)
class Cell:
    """One run of the matrix: a system, the settings that differ from its preset, a seed, and its folder."""

    system: str
    preset: str
    settings: tuple[str, ...]
    seed: int
    folder: str
    data: str | None = None

    @property
    def name(self) -> str:
        """The folder's own name."""
        return Path(self.folder).name

    def command(self) -> list[str]:
        """What is started for it, after the interpreter."""
        settings = [part for text in self.settings for part in ("--set", text)]
        data = ["--data", self.data] if self.data else []
        base = ["-m", "sparring", "run", self.system, "--preset", self.preset, "--seed", str(self.seed)]
        return [*base, *data, *settings, "--out", self.folder, "--json"]


@dataclass(frozen=True)
class Played:
    """How a cell ended: "done", or "failed" with the last line it said; `tries` counts its processes."""

    cell: Cell
    state: Literal["done", "failed"]
    tries: int
    error: str = ""


def cells(
    systems: Sequence[str],
    seeds: Sequence[int],
    vary: Sequence[str],
    out: Path,
    *,
    preset: str = "quick",
    overrides: Sequence[str] = (),
    data: Path | None = None,
) -> list[Cell]:
    """All cells: each system with every combination of the varied settings, for every seed.

    `vary` are texts `key=value,value,...`; `overrides` hold for every cell. Raises `BadInput` for an unknown system,
    preset, key or value before anything is started.
    """
    if not systems or not seeds:
        raise BadInput("a matrix needs at least one system and one seed")
    found: list[Cell] = []
    for system in dict.fromkeys(systems):
        known = registry.load(system)
        for chosen in itertools.product(*(_choices(text) for text in vary)):
            settings = (*overrides, *chosen)
            configs.resolve(known.config, preset_of(known, preset), None, settings)
            for seed in dict.fromkeys(seeds):
                label = "-".join([system, preset, *(re.sub(r"[^A-Za-z0-9.=_]+", "_", c) for c in chosen), str(seed)])
                place = str((out / label).resolve())
                found.append(Cell(system, preset, settings, seed, place, str(data) if data else None))
    return found


def play(cell: Cell, started: Callable[[int], None] | None = None) -> Played:
    """Run one cell to its end; a killed process is started again, at most `TRIES` times in all."""
    if (Path(cell.folder) / "scorecard.json").exists():
        return Played(cell, "done", 0)
    error = ""
    for attempt in range(1, TRIES + 1):
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            [sys.executable, *cell.command()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        )
        if started is not None:
            started(process.pid)
        _, said = process.communicate()
        if process.returncode in (0, 3):  # 3: evaluated, and found unreliable
            return Played(cell, "done", attempt)
        lines = said.strip().splitlines()
        error = lines[-1] if lines else f"exit code {process.returncode}"
        if process.returncode > 0:
            return Played(cell, "failed", attempt, error)
        error = f"killed by signal {-process.returncode}"
    return Played(cell, "failed", TRIES, error)


def run(
    todo: Sequence[Cell],
    out: Path,
    *,
    workers: int,
    on: Literal["auto", "local", "ray"] = "auto",
    seen: Callable[[Played], None] | None = None,
    started: Callable[[Cell, int], None] | None = None,
) -> list[Played]:
    """Play all cells and write `matrix.json`; results come in the order of `todo`.

    `seen` is told every ended cell at once, `started` every local process. Raises `BadInput` where Ray is asked for
    and not installed.
    """
    if on == "ray" and importlib.util.find_spec("ray") is None:
        raise BadInput("--on ray needs Ray: pip install 'sparring[ray]', or use --on local")
    ray = on == "ray" or (on == "auto" and importlib.util.find_spec("ray") is not None)
    done: dict[str, Played] = {}
    for played in _on_ray(todo, workers) if ray else _local(todo, workers, started):
        done[played.cell.folder] = played
        if seen is not None:
            seen(played)
    found = [done[cell.folder] for cell in todo]
    out.mkdir(parents=True, exist_ok=True)
    record = {"format": 1, "cells": [asdict(p) for p in found]}
    write_text(out / "matrix.json", json.dumps(record, indent=2) + "\n")
    return found


def scorecards(played: Sequence[Played]) -> list[tuple[str, Scorecard]]:
    """The scorecards of the cells that are done, with the cells' names."""
    return [(p.cell.name, Scorecard.load(Path(p.cell.folder) / "scorecard.json")) for p in played if p.state == "done"]


def _choices(text: str) -> list[str]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise BadInput(f"--vary {text}: write it as key=value,value, e.g. --vary queries=100,400")
    return [f"{key.strip()}={value.strip()}" for value in values.split(",")]


def _local(todo: Sequence[Cell], workers: int, started: Callable[[Cell, int], None] | None) -> Iterator[Played]:
    alive: set[int] = set()
    lock = threading.Lock()

    def one(cell: Cell) -> Played:
        def note(pid: int) -> None:
            with lock:
                alive.add(pid)
            if started is not None:
                started(cell, pid)

        return play(cell, note)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = [pool.submit(one, cell) for cell in todo]
        try:
            for ended in as_completed(waiting):
                yield ended.result()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def _on_ray(todo: Sequence[Cell], workers: int) -> Iterator[Played]:
    ray: Any = importlib.import_module("ray")
    own = not ray.is_initialized()
    if own:
        address = os.environ.get("RAY_ADDRESS")
        local: dict[str, Any] = {} if address else {"num_cpus": max(1, workers), "include_dashboard": False}
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
    try:
        remote = ray.remote(num_cpus=1, max_retries=TRIES - 1)(play)
        waiting = {remote.remote(cell): cell for cell in todo}
        while waiting:
            (ended,), _ = ray.wait(list(waiting), num_returns=1)
            cell = waiting.pop(ended)
            try:
                yield ray.get(ended)
            except ray.exceptions.RayError as error:
                yield Played(cell, "failed", TRIES, str(error).splitlines()[0])
    finally:
        if own:
            ray.shutdown()
