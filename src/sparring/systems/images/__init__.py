"""One-step discrete image generation: a masked-diffusion teacher, distilled, and refined by a critic and a reward."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.images.config import PRESETS, Config
from sparring.systems.images.experiment import evaluate, experiment
from sparring.systems.images.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.images.commands import app

    return app


system = System(
    name="images",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    commands=_commands,
    papers=PAPERS,
)
