"""ADV-0: a zero-sum Markov game between a driving policy and adversarial traffic."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.driving.config import PRESETS, Config
from sparring.systems.driving.experiment import evaluate, experiment
from sparring.systems.driving.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.driving.commands import app

    return app


system = System(
    name="driving",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    commands=_commands,
    papers=PAPERS,
)
