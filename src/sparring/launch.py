"""Run a system from start to finish: configuration, run folder, experiment, scorecard, report, model card."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from sparring import registry
from sparring.engine import config as configs
from sparring.engine.run import Run
from sparring.engine.runtime import Hardware
from sparring.engine.system import System
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.report import write

_OPENING = {"run.json", "config.yaml", ".lock"}
"""What `Run.create` writes before the experiment begins."""


def launch(
    name: str,
    *,
    preset: str = "quick",
    file: Path | None = None,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    seed: int = 0,
    out: Path | None = None,
    hardware: Hardware | None = None,
    track: Sequence[str] = (),
    quiet: bool = False,
) -> tuple[Scorecard, Path]:
    """Run the system `name`; returns its scorecard and the run folder (default `runs/NAME-PRESET-SEED`).

    A stopped run in the same folder continues; a finished one is returned as it is. Raises `BadInput` for an
    unknown system, preset or setting, before anything is written.
    """
    system: System = registry.load(name)
    config = configs.resolve(system.config, preset_of(system, preset), file, overrides)
    folder = out or Path("runs") / f"{name}-{preset}-{seed}"
    command = ["sparring", "run", name, "--preset", preset, "--seed", str(seed)]
    command += ["--config", str(file)] if file else []
    command += ["--data", str(data)] if data else []
    command += [part for text in overrides for part in ("--set", text)]
    with _nothing_left(folder):
        run = Run.create(
            folder,
            config,
            seed=seed,
            preset=preset,
            system=name,
            data=data,
            command=shlex.join(command),
            hardware=hardware or Hardware(),
            track=tuple(track),
            quiet=quiet,
        )
        try:
            done = folder / "scorecard.json"
            if done.exists():
                return Scorecard.load(done), folder
            return _finish(run, system.experiment(config, run)), folder
        finally:
            run.close()


def again(
    verb: Literal["evaluate", "certify"],
    source: Path,
    *,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    out: Path | None = None,
) -> tuple[Scorecard, Path]:
    """Evaluate or certify the models of a finished run once more, with changed settings, into a folder of its own."""
    origin = Run.open(source)
    system: System = registry.load(origin.system)
    action = system.evaluate if verb == "evaluate" else system.certify
    if action is None:
        raise BadInput(f"{source}: the system {origin.system!r} has nothing to {verb}")
    config = configs.resolve(system.config, None, source / "config.yaml", overrides)
    folder = out or source / verb
    command = ["sparring", verb, str(source), *(part for text in overrides for part in ("--set", text))]
    with _nothing_left(folder):
        run = Run.create(
            folder,
            config,
            seed=origin.seed,
            preset=origin.preset,
            system=origin.system,
            data=data,
            command=shlex.join(command),
        )
        try:
            return _finish(run, action(config, run, source)), folder
        finally:
            run.close()


def preset_of(system: System, name: str) -> dict[str, object]:
    """The fields that a preset changes. Raises `BadInput` that names the presets there are."""
    if name not in system.presets:
        raise BadInput(f"--preset {name}: {system.name} has {', '.join(system.presets)}")
    return dict(system.presets[name])


@contextmanager
def _nothing_left(folder: Path) -> Generator[None]:
    """Where bad input ends a run before it produced anything, the folders made for it go again."""
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        yield
    except BadInput:
        if made and folder.is_dir() and {p.name for p in folder.iterdir()} <= _OPENING:
            for path in folder.iterdir():
                path.unlink()
            with suppress(OSError):  # another run may have moved in beside it
                for path in made:
                    path.rmdir()
        raise


def _finish(run: Run, card: Scorecard) -> Scorecard:
    """Write report and model card, and the scorecard last: it marks the run as finished."""
    write(card, run.folder)
    card.save(run.folder / "scorecard.json")
    return card
