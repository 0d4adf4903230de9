"""The loop: the same bits twice, the kept epoch, selection, interruption, wrong data."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.tasks import STRATEGIES, task
from torch import nn

from sparring.attacks.base import NonFinite
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.game import Batch, Game, State, StepResult, Task
from sparring.objectives import squared_error
from sparring.strategies import EMA, PGDAT, Alternating


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {n: v.clone() for n, v in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def trained(folder: Path, made: Any, seed: int = 3, **options: Any) -> dict[str, torch.Tensor]:
    return weights(Run(folder, seed, quiet=True, **options).train(made, "hardened"))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_bits_twice_whatever_the_global_random_state(tmp_path: Path, name: str) -> None:
    before = torch.get_rng_state()
    first = trained(tmp_path / "a", task(name))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert same(first, trained(tmp_path / "b", task(name), checkpoint_steps=2))
    assert not same(first, trained(tmp_path / "c", task(name), seed=4))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = trained(tmp_path, task())

    class Broken:
        def step(self, game: Game, batch: Batch, state: State) -> StepResult:
            raise AssertionError("trained again")

    assert same(first, trained(tmp_path, task(epochs=3)))
    assert same(first, trained(tmp_path, replace(task(), strategy=Broken())))


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    figures = iter([0.2, 0.9, 0.5])
    seen = []

    def validate(defender: nn.Module) -> dict[str, float]:
        assert not defender.training
        seen.append(weights(defender))
        return {"robust": next(figures)}

    kept = trained(tmp_path, task(validate=validate))
    assert same(kept, seen[1])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["valid/robust"] for line in lines] == [0.2, 0.9, 0.5]
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 5), (2, 10), (3, 15)]


def test_without_select_the_last_epoch_is_kept(tmp_path: Path) -> None:
    seen = []
    made = task(validate=lambda d: seen.append(weights(d)) or {}, select=None)
    assert same(trained(tmp_path, made), seen[-1])


def test_no_finite_figure_leaves_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(NonFinite, match="no epoch had a finite 'robust'"):
        trained(tmp_path, task(validate=lambda d: {"robust": float("nan")}))
    with pytest.raises(ValueError, match="no figure 'robust'"):
        trained(tmp_path / "b", task(validate=lambda d: {"clean": 1.0}))


def test_the_average_is_what_ema_validates_and_keeps(tmp_path: Path) -> None:
    seen = []
    made = task("ema", validate=lambda d: seen.append(weights(d)) or {}, select=None)
    kept = trained(tmp_path, made)
    assert same(kept, seen[-1])
    plain = trained(tmp_path / "plain", replace(made, strategy=PGDAT(clean=0.5)))
    assert not same(kept, plain)


@dataclass(frozen=True)
class Interrupted:
    """Sends a signal to the process itself at one step."""

    inner: Any
    at: int
    number: int

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        if state.step == self.at:
            os.kill(os.getpid(), self.number)
        return self.inner.step(game, batch, state)


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_ctrl_c_saves_and_the_run_goes_on(tmp_path: Path, number: int, raised: type[BaseException]) -> None:
    whole = trained(tmp_path / "whole", task("ema"))
    handler = signal.getsignal(number)
    with pytest.raises(raised):
        trained(tmp_path / "cut", task("ema", strategy=Interrupted(STRATEGIES["ema"], 7, number)))
    assert signal.getsignal(number) is handler
    calls = []

    class Counted:
        inner = STRATEGIES["ema"]

        def step(self, game: Game, batch: Batch, state: State) -> StepResult:
            calls.append(state.step)
            return self.inner.step(game, batch, state)

    assert same(whole, trained(tmp_path / "cut", task("ema", strategy=Counted())))
    assert calls[0] == 8  # the step that was under way had been finished and saved


def test_two_players_with_their_optimisers_go_on_where_they_stopped(tmp_path: Path) -> None:
    def duel(interrupt_at: int = -1) -> Task:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            generator, critic = (
                nn.Linear(6, 6),
                nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0)),
            )
        made = task()

        def data(stream: torch.Generator) -> Iterator[Batch]:
            for x, _ in made.data(stream):
                yield torch.rand(x.shape, generator=stream), x

        return replace(
            made,
            game=Game(generator, critic, squared_error),
            strategy=Interrupted(Alternating(opponent_steps=2), interrupt_at, signal.SIGINT),
            data=data,
            optimizers=lambda game: {
                "defender": torch.optim.Adam(game.defender.parameters(), 1e-2),
                "opponent": torch.optim.Adam(game.adversary.parameters(), 1e-2),
            },
            schedulers=None,
            validate=None,
            select=None,
        )

    whole = trained(tmp_path / "whole", duel())
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", duel(8))
    assert same(whole, trained(tmp_path / "cut", duel()))


@pytest.mark.parametrize(("claimed", "said"), [(4, "more than 4"), (6, "gave 5 batches")])
def test_a_wrong_number_of_batches_is_named(tmp_path: Path, claimed: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        trained(tmp_path, task(batches=claimed))


def test_a_checkpoint_of_another_task_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, task())
    with pytest.raises(BadInput, match="another task"):
        trained(tmp_path, task(epochs=4))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trained(tmp_path, task())
    path = tmp_path / "checkpoints" / "hardened" / "last.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match="damaged; delete it"):
        trained(tmp_path, task())


def test_progress_lines_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Run(tmp_path, 3).train(task(epochs=1), "hardened")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hardened epoch 1/1  loss" in captured.err


def test_a_round_based_defender_needs_no_gradient(tmp_path: Path) -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.seen.expand(len(x), 3)

    class Count:
        def step(self, game: Game, batch: Batch, state: State) -> StepResult:
            module = state.unwrap(game.defender)
            module.seen += torch.bincount(batch[1], minlength=3)
            return StepResult(torch.zeros(()))

    no_optimizers: Callable[[Game], dict[str, torch.optim.Optimizer]] = lambda game: {}  # noqa: E731
    game = replace(task().game, defender=Counter())
    made = task(game=game, strategy=Count(), optimizers=no_optimizers, schedulers=None, validate=None, select=None)
    assert trained(tmp_path, made)["seen"].tolist() == [96.0, 96.0, 96.0]


def test_ema_inside_another_wrapper_still_hands_over_the_average(tmp_path: Path) -> None:
    wrapped = Interrupted(EMA(inner=PGDAT(clean=0.5), decay=0.9), -1, 0)
    assert same(trained(tmp_path / "a", task("ema")), trained(tmp_path / "b", task("ema", strategy=wrapped)))
