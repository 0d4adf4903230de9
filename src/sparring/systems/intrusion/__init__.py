"""Intrusion detection: layers that an adaptive attacker must beat together, and one that it cannot touch."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.intrusion.config import PRESETS, Config
from sparring.systems.intrusion.experiment import certify, evaluate, experiment
from sparring.systems.intrusion.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.intrusion.commands import app

    return app


system = System(
    name="intrusion",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    certify=certify,
    commands=_commands,
    papers=PAPERS,
)
