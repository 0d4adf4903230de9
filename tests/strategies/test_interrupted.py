"""A training with a second network or a proposer goes on from its checkpoint to the same bits."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring.engine.runtime import Hardware, Runtime
from sparring.engine.state import TrainState
from sparring.game import Game, Task
from sparring.objectives import cross_entropy, squared_error
from sparring.opponents import R1, WASSERSTEIN, DomainClassifier, GradientPenalty, perceptron, players
from sparring.proposals import CategoricalProposer, Preference
from sparring.strategies import Alternating, GradientReversal, SelfPlay, Standard

STEPS = 8


class Scores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = perceptron([4, 8, 1], generator=torch.Generator().manual_seed(1), activation=nn.Tanh)

    def forward(self, x):
        return self.net(x).squeeze(1)


def table(outputs, move):
    return F.one_hot(move, 3).float().mul(outputs).sum(1)


def choice() -> CategoricalProposer:
    def play(defender, batch, moves):
        outputs = defender(F.one_hot(batch[0], 4).float())
        return outputs.gather(1, moves)

    def respond(batch, move, active):
        return F.one_hot(batch[0], 4).float(), torch.where(active, move, batch[1])

    return CategoricalProposer(torch.zeros(4, 3), play=play, respond=respond, improver=Preference(temperature=0.5))


def make(kind: str) -> Task:
    rng = torch.Generator().manual_seed(0)
    body = nn.Sequential(perceptron([4, 6], generator=rng), nn.Dropout(0.2), perceptron([6, 3], generator=rng))
    x = torch.randn(32, 4, generator=rng)
    rows = torch.arange(32)
    if kind == "reversal":
        labels = torch.stack([rows % 3, rows % 2], 1).float()
        game = Game(body, DomainClassifier(6, 2, generator=rng), cross_entropy)
        strategy, batch = GradientReversal(layer="0"), (x, labels)
    elif kind == "alternating":
        body[2] = perceptron([6, 4], generator=rng)
        game = Game(body, Scores(), squared_error)
        strategy = Alternating(loss=WASSERSTEIN, penalties=(GradientPenalty(), R1()), opponent_steps=2, penalty_every=2)
        batch = (x, x + 1)
    else:
        game = Game(body, choice(), table)
        strategy = SelfPlay(inner=Standard(), every=2, pool=2)
        batch = (rows % 4, rows % 3)
    return Task(
        game=game,
        strategy=strategy,
        data=lambda generator: [batch] * STEPS,
        batches=STEPS,
        epochs=1,
        optimizers=players(lambda p: torch.optim.Adam(p, 0.01), lambda p: torch.optim.Adam(p, 0.02)),
    )


def go(state: TrainState, task: Task, steps: int) -> None:
    batch = next(iter(task.data(torch.Generator())))
    for _ in range(steps):
        state.advance(task.strategy.step(state.game, batch, state))


@pytest.mark.parametrize("kind", ["reversal", "alternating", "selfplay"])
def test_from_the_checkpoint_to_the_same_bits(tmp_path: Path, kind: str) -> None:
    torch.set_num_threads(1)
    runtime = Runtime(Hardware(device="cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)  # dropout
        whole = TrainState(make(kind), runtime, 3)
        go(whole, whole.task, 5)
        whole.save(tmp_path / "state.safetensors")
        go(whole, whole.task, STEPS - 5)
        again = TrainState(make(kind), runtime, 3)
        again.load(tmp_path / "state.safetensors")
        go(again, again.task, STEPS - 5)
    for one, other in (
        (whole.game.defender, again.game.defender),
        (whole.game.adversary, again.game.adversary),
    ):
        values = other.state_dict()
        assert all(torch.equal(value, values[name]) for name, value in one.state_dict().items())
    assert whole.memory.keys() == again.memory.keys()
    assert all(torch.equal(value, again.memory[name]) for name, value in whole.memory.items())
    assert whole.sums == again.sums
