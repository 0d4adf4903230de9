"""Small tasks for the engine's tests, and the script that trains one of them until it is killed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.attacks.pgd import PGD
from sparring.engine.run import Run
from sparring.game import Batch, Game, Task
from sparring.objectives import cross_entropy, misclassified
from sparring.strategies import AWP, EMA, MART, PGDAT, TRADES, Fast, Free, Standard
from sparring.threats.lp import LInf

STRATEGIES: dict[str, Any] = {
    "standard": Standard(),
    "pgd_at": PGDAT(),
    "trades": TRADES(beta=3.0),
    "mart": MART(beta=2.0),
    "free": Free(m=3),
    "fast": Fast(check_every=5, drop=1.1),
    "awp": AWP(inner=PGDAT(), gamma=0.01),
    "ema": EMA(inner=PGDAT(clean=0.5), decay=0.9),
}


def blobs(n: int = 96, classes: int = 3, features: int = 6) -> tuple[Tensor, Tensor]:
    """Gaussian classes in [0, 1], always the same."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % classes
    x = torch.rand(classes, features, generator=g)[y] + 0.15 * torch.randn(n, features, generator=g)
    return x.clamp(0, 1), y


def network(features: int = 6, classes: int = 3, *, dropout: float = 0.1, width: int = 16) -> nn.Module:
    """An MLP with batch norm and dropout, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        return nn.Sequential(
            nn.Linear(features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes)
        )


def batches_of(x: Tensor, y: Tensor, size: int) -> Any:
    def data(generator: torch.Generator) -> Iterator[Batch]:
        for rows in torch.randperm(len(x), generator=generator).split(size):
            yield x[rows], y[rows]

    return data


def task(name: str = "pgd_at", *, epochs: int = 3, size: int = 20, **changes: Any) -> Task:
    x, y = blobs()
    attack = PGD(steps=3)

    def validate(defender: nn.Module) -> dict[str, float]:
        generator = torch.Generator().manual_seed(5)
        result = attack(defender, (x, y), LInf(0.05, 0, 1), generator=generator)
        with torch.no_grad():
            clean = 1 - float(misclassified(defender(x), y).float().mean())
        return {"robust": 1 - float(result.success.float().mean()), "clean": clean}

    made = Task(
        game=Game(network(), attack, cross_entropy, LInf(0.05, 0, 1)),
        strategy=STRATEGIES[name],
        data=batches_of(x, y, size),
        batches=-(-len(x) // size),
        epochs=epochs,
        optimizers=lambda game: {"defender": torch.optim.SGD(game.defender.parameters(), 0.1, 0.9, weight_decay=1e-3)},
        schedulers=lambda opts, total: [
            torch.optim.lr_scheduler.SequentialLR(
                opts["defender"],
                [
                    torch.optim.lr_scheduler.LinearLR(opts["defender"], 0.3, total_iters=4),
                    torch.optim.lr_scheduler.CosineAnnealingLR(opts["defender"], total),
                ],
                [4],
            )
        ],
        validate=validate,
        select="robust",
    )
    return replace(made, **changes)


def shoot(folder: Path, strategy: str, epochs: int, kills: int) -> int:
    """Train in forked children, each killed at a random moment while at work, until `kills` are dead; then to the end.

    Returns how many were killed. Forking saves the imports; the process must have one thread.
    """
    chance = random.Random(kills)
    for count in range(kills):
        child = os.fork()
        if child == 0:
            Run(folder, 3, checkpoint_steps=3, log_steps=1, quiet=True).train(task(strategy, epochs=epochs), "hardened")
            os._exit(0)
        if not _progressed(child, folder, chance.randrange(1, 9)):
            return count
        time.sleep(chance.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            return count
    Run(folder, 3, checkpoint_steps=3, log_steps=1, quiet=True).train(task(strategy, epochs=epochs), "hardened")
    return kills


def _progressed(child: int, folder: Path, lines: int) -> bool:
    """Wait until the journal has grown by so many lines; False if the child ended before."""
    journal, least = folder / "metrics.jsonl", None
    while True:
        now = journal.read_bytes().count(b"\n") if journal.exists() else 0
        least = now if least is None else min(least, now)
        if now - least >= lines:
            return True
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)


if __name__ == "__main__":
    import lightning_fabric  # noqa: F401 - once, before the forks

    torch.set_num_threads(1)
    Run(Path(sys.argv[1]) / "whole", 3, checkpoint_steps=3, log_steps=1, quiet=True).train(
        task(sys.argv[2], epochs=int(sys.argv[3])), "hardened"
    )
    print(shoot(Path(sys.argv[1]) / "cut", sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
