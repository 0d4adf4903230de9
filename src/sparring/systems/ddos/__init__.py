"""DDoS: detect and mitigate, robust to an evading attacker."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.ddos.config import PRESETS, Config
from sparring.systems.ddos.experiment import evaluate, experiment
from sparring.systems.ddos.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.ddos.commands import app

    return app


system = System(
    name="ddos",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    commands=_commands,
    papers=PAPERS,
)
