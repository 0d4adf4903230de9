"""Fitting a classifier through the engine's loop: victims, references, repairs with and without a generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.game import Batch, Game, Strategy, Task
from sparring.objectives import cross_entropy
from sparring.strategies.standard import Standard
from sparring.systems.backdoor.model import Classifier, copied
from sparring.systems.backdoor.texts import Texts


@dataclass(frozen=True)
class Plan:
    """How long and how fast. `rate` is the highest learning rate; it falls linearly to 0 after a tenth of the steps."""

    epochs: int = 2
    rate: float = 2e-4
    batch: int = 32
    decay: float = 0.0


VICTIM: Mapping[str, Plan] = {"minilm": Plan(2, 3e-4), "cnn": Plan(5, 2e-3, 32, 1e-4)}
"""Plans of the victims; full MiniLM with its word vectors frozen."""


def fit(
    model: Classifier,
    texts: Texts,
    plan: Plan,
    run: Run,
    name: str,
    *,
    strategy: Strategy | None = None,
    adversary: Any = None,
) -> Classifier:
    """A copy of the model, trained on the texts; with a strategy and an adversary, in the game against it."""
    ids = model.encode(texts.texts)
    lengths = (ids != model.pad).sum(1)

    def batches(generator: torch.Generator) -> Iterable[Batch]:
        for rows in bucketed(lengths, plan.batch, generator):
            if adversary is not None:  # the adversary knows the texts by their row numbers
                yield rows, texts.labels[rows]
            else:
                yield ids[rows][:, : int(lengths[rows].max())], texts.labels[rows]

    game = Game(copied(model), adversary, cross_entropy)
    task = Task(
        game,
        strategy or Standard(),
        batches,
        -(-len(texts) // plan.batch),
        plan.epochs,
        optimizers=lambda g: {
            "defender": torch.optim.AdamW(
                [p for p in g.defender.parameters() if p.requires_grad], lr=plan.rate, weight_decay=plan.decay
            )
        },
        schedulers=_schedules,
        clip=1.0,
    )
    trained: Any = run.train(task, name)
    return trained


def bucketed(lengths: Tensor, batch: int, generator: torch.Generator) -> list[Tensor]:
    """Row numbers in batches of like length (short ones waste no padding), batches in random order."""
    order = torch.randperm(len(lengths), generator=generator)
    parts: list[Tensor] = []
    for chunk in torch.split(order, 16 * batch):
        parts += torch.split(chunk[lengths[chunk].argsort()], batch)
    return [parts[i] for i in torch.randperm(len(parts), generator=generator)]


def _schedules(optimizers: Mapping[str, torch.optim.Optimizer], total: int) -> Iterable[Any]:
    warm = max(1, total // 10)

    def rise(step: int) -> float:
        return (step + 1) / warm if step < warm else max(0.0, (total - step) / max(1, total - warm))

    return [torch.optim.lr_scheduler.LambdaLR(o, rise) for o in optimizers.values()]
