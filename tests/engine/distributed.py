"""The script that the tests of several processes start: FOLDER MODE [rank 1's fatal batch].

MODE is ddp, fsdp or one (a lone process). Where a fatal batch is given, rank 1 kills itself when it draws it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.engine.tasks import STRATEGIES, task

from sparring.engine.run import Run
from sparring.engine.runtime import Hardware
from sparring.errors import LostProcess
from sparring.game import Batch


def plain() -> nn.Module:
    """A network whose rows do not see each other, so that half batches add up to the whole."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(2)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def main(folder: Path, mode: str, strategy: str, fatal: int) -> None:
    torch.set_num_threads(1)
    base = task("pgd_at", epochs=2, size=24, schedulers=None)
    drawn = 0

    def data(generator: torch.Generator) -> Iterator[Batch]:
        nonlocal drawn
        for batch in base.data(generator):
            drawn += 1
            if drawn == fatal and os.environ.get("RANK") == "1":
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    game = replace(base.game, defender=plain())
    if strategy != "random":  # the attack's start is each process's own draw: without it, two halves are the whole
        game = replace(game, adversary=replace(base.game.adversary, random_start=False))
    chosen: Any = STRATEGIES["pgd_at" if strategy == "random" else strategy]
    made = replace(base, game=game, strategy=chosen, data=data)
    hardware = Hardware("cpu", devices=1 if mode == "one" else 2, strategy="fsdp" if mode == "fsdp" else "auto")
    run = Run(folder, 0, log_steps=1, checkpoint_steps=1, quiet=True, hardware=hardware)
    model = run.train(made, "x")
    run.save_model(model)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    except LostProcess as error:
        sys.exit(f"error: {error}")
