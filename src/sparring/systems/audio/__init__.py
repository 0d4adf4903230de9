"""Audio quality assessment freed of spurious cues by domain-adversarial training."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.audio.config import PRESETS, Config
from sparring.systems.audio.experiment import experiment
from sparring.systems.audio.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.audio.commands import app

    return app


system = System(
    name="audio",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    commands=_commands,
    papers=PAPERS,
)
