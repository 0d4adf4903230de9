"""Graph neural flows that stay stable under attack, with certificates."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.graph.config import PRESETS, Config
from sparring.systems.graph.experiment import certify, evaluate, experiment
from sparring.systems.graph.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.graph.commands import app

    return app


system = System(
    name="graph",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    certify=certify,
    commands=_commands,
    papers=PAPERS,
)
