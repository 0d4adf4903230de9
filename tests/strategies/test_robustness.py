"""Adversarial training does what it is for: handwritten digits, a small network, PGD afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks.pgd import PGD
from sparring.engine.run import Run
from sparring.game import Batch, Game, Task
from sparring.objectives import cross_entropy, misclassified
from sparring.strategies import AWP, EMA, MART, PGDAT, TRADES, Fast, Free, Standard
from sparring.threats.lp import LInf

THREAT = LInf(0.15, 0, 1)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn's digits")
    x, y = datasets.load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]


def robust_accuracy(folder: Path, digits: tuple[Tensor, ...], strategy: Any, epochs: int) -> tuple[float, float]:
    x, y, x_test, y_test = digits

    def data(generator: torch.Generator) -> Iterator[Batch]:
        for rows in torch.randperm(len(x), generator=generator).split(100):
            yield x[rows], y[rows]

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    game = Game(model, PGD(steps=7), cross_entropy, THREAT)
    adam = lambda g: {"defender": torch.optim.Adam(g.defender.parameters(), 5e-3)}  # noqa: E731
    kept = Run(folder, 0, quiet=True).train(Task(game, strategy, data, 12, epochs, adam), "x")
    result = PGD(steps=20)(kept, (x_test, y_test), THREAT, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        clean = 1 - float(misclassified(kept(x_test), y_test).float().mean())
    return clean, 1 - float(result.success.float().mean())


def test_every_strategy_beats_plain_training(tmp_path: Path, digits: tuple[Tensor, ...]) -> None:
    clean, plain = robust_accuracy(tmp_path / "plain", digits, Standard(), 20)
    assert clean > 0.95
    strategies = {
        "pgd": PGDAT(),
        "trades": TRADES(),
        "mart": MART(),
        "free": Free(m=4),
        "fast": Fast(check_every=0),
        "awp": AWP(inner=PGDAT()),
        "ema": EMA(inner=PGDAT()),
    }
    for name, strategy in strategies.items():
        clean, robust = robust_accuracy(tmp_path / name, digits, strategy, 5 if name == "free" else 20)
        assert robust > plain + 0.3, name
        assert clean > 0.85, name
