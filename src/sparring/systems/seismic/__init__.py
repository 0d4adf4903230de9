"""Full-waveform inversion in which a critic can be the misfit, beside the classical misfits."""

from typing import Any

from sparring.engine.system import System
from sparring.systems.seismic.config import PRESETS, Config
from sparring.systems.seismic.experiment import evaluate, experiment
from sparring.systems.seismic.tell import PAPERS, TITLE


def _commands() -> Any:
    from sparring.systems.seismic.commands import app

    return app


system = System(
    name="seismic",
    title=TITLE,
    config=Config,
    experiment=experiment,
    presets=PRESETS,
    evaluate=evaluate,
    commands=_commands,
    papers=PAPERS,
)
