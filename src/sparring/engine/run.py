"""The run folder: where one run keeps its configuration, figures, checkpoints, models and scorecard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from sparring.game import Task


@dataclass
class Run:
    """A handle on one run folder; the only thing an experiment needs besides its configuration.

    To be filled by the engine; the signatures are the contract.
    """

    folder: Path
    seed: int
    preset: str = "quick"

    def generator(self, name: str) -> torch.Generator:
        """The named random stream of this run, independent of every other name."""
        raise AssertionError("contract only")

    def train(self, task: Task, name: str) -> nn.Module:
        """Play a task to its end through the loop, resuming from `checkpoints/NAME`; returns the kept defender."""
        raise AssertionError("contract only")

    def log(self, figures: dict[str, float], *, name: str) -> None:
        """Append one line to metrics.jsonl and to the trackers that were asked for."""
        raise AssertionError("contract only")
