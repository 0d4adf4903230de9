"""What a system is: a configuration, an experiment that plays the game, and commands for its users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sparring.engine import config as configs
from sparring.engine.run import Run
from sparring.evaluation.scorecard import Scorecard


@dataclass(frozen=True)
class System:
    """One complete system.

    `config` is a frozen dataclass whose fields all have defaults; `presets` maps "quick" and "paper" to the
    fields they change. `experiment(config, run)` tells the whole story (data, baseline, hardened, evaluate),
    leaves the models in the run folder and returns the scorecard. `evaluate(config, run, source)` attacks the
    models of the finished run in the folder `source` again; `certify` likewise, where a certificate exists.
    `commands()` returns the typer application behind `sparring NAME`, imported only when it is called.
    """

    name: str
    title: str
    config: type[Any]
    experiment: Callable[[Any, Run], Scorecard]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    evaluate: Callable[[Any, Run, Path], Scorecard] | None = None
    certify: Callable[[Any, Run, Path], Scorecard] | None = None
    commands: Callable[[], Any] | None = None
    papers: tuple[str, ...] = ()


def scorecard(run: Run, config: Any, **parts: Any) -> Scorecard:
    """A scorecard with what every run has in common filled in; `parts` are the scorecard's other fields."""
    return Scorecard(
        system=run.system,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=run.command,
        config=configs.dump(config),
        environment=run.environment(),
        preset=run.preset,
        seconds=sum(run.seconds.values()),
        **parts,
    )
