"""Backdoor: find a text model's trigger with a language model, then repair the model in the game against it."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.backdoor.config import PRESETS, Config
from sparring.systems.backdoor.experiment import evaluate, experiment
from sparring.systems.backdoor.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.backdoor.commands import app

    return app


system = System(
    name="backdoor",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    commands=_commands,
    papers=PAPERS,
)
