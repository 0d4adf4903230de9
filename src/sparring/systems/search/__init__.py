"""A shop's search model: its products injected, its alignment played against an adversary, served with its facts."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.search.config import PRESETS, Config
from sparring.systems.search.experiment import evaluate, experiment
from sparring.systems.search.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.search.commands import app

    return app


system = System(
    name="search",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    commands=_commands,
    papers=PAPERS,
)
