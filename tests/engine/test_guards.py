"""A number that is not finite stops the training before any update, by name."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tests.engine.tasks import task
from torch import nn

from sparring.engine.guards import NonFiniteTraining, check_gradients
from sparring.engine.run import Run
from sparring.game import Batch, Game, State, StepResult


@dataclass(frozen=True)
class Breaks:
    """Goes wrong at step 4, in the loss's second term or in the gradient."""

    gradient: bool

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        outputs = game.defender(batch[0])
        terms = {"task": outputs.square().mean(), "price": outputs.abs().mean()}
        if state.step == 4 and self.gradient:
            terms["price"] = (outputs - outputs.detach()).square().sum().sqrt()  # 0, with the slope of sqrt at 0
        elif state.step == 4:
            terms["price"] = terms["price"] * torch.nan
        loss = terms["task"] + terms["price"]
        state.descend(loss, terms=terms)
        return StepResult(loss)


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (False, r"step 4: the defender's loss is nan; term price = nan"),
        (True, r"step 4: the defender's gradient of defender\.0\.weight is not finite in 96 of 96"),
    ],
)
def test_the_culprit_is_named(tmp_path: Path, gradient: bool, said: str) -> None:
    made = task(strategy=Breaks(gradient))
    with pytest.raises(NonFiniteTraining, match=said):
        Run(tmp_path, 0, quiet=True).train(made, "x")
    assert all(bool(torch.isfinite(p).all()) for p in made.game.defender.parameters())


def test_a_nan_in_the_data_is_named_with_its_step(tmp_path: Path) -> None:
    made = task()

    def poisoned(generator: torch.Generator) -> Iterator[Batch]:
        for i, (x, y) in enumerate(made.data(generator)):
            yield (x.clone().index_fill_(0, torch.tensor([2]), torch.nan) if i == 1 else x), y

    with pytest.raises(NonFiniteTraining, match=r"step 1: non-finite input: 1 of 20 samples, first at index 2"):
        Run(tmp_path, 0, quiet=True).train(replace(made, data=poisoned), "x")


def test_unknown_player(tmp_path: Path) -> None:
    class Wrong:
        def step(self, game: Game, batch: Batch, state: State) -> StepResult:
            loss = game.defender(batch[0]).sum()
            state.descend(loss, "referee")
            return StepResult(loss)

    with pytest.raises(ValueError, match="no optimiser for the player 'referee'; the task has: defender"):
        Run(tmp_path, 0, quiet=True).train(task(strategy=Wrong()), "x")


def test_a_large_but_finite_gradient_passes() -> None:
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.full((2,), 1e30)
    check_gradients([("p", p)], step=0, player="defender")


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    made = task(epochs=1, schedulers=None)
    before = [p.detach().clone() for p in made.game.defender.parameters()]
    sgd = lambda game: {"defender": torch.optim.SGD(game.defender.parameters(), 1.0)}  # noqa: E731
    clipped = replace(made, clip=0.01, optimizers=sgd, validate=None, select=None)
    after = [p.detach() for p in Run(tmp_path, 0, quiet=True).train(clipped, "x").parameters()]
    moved = torch.cat([(a - b).flatten() for a, b in zip(after, before, strict=True)]).norm()
    assert 0 < float(moved) <= 5 * 0.01 + 1e-6
