"""Self-play against a proposer: its best moves so far, and those of its past selves, join the training."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult, Strategy
from sparring.proposals.base import Proposer
from sparring.schedules import Linear, Schedule, progress

_POOL = "selfplay.pool"


@dataclass(frozen=True, kw_only=True)
class SelfPlay:
    """Adversary phases between defender steps; the defender's step itself is another strategy, `inner`.

    `game.adversary` is a `Proposer`. Every `every` steps the adversary has `rounds` rounds: propose `candidates`
    moves per context, score them against the present defender, improve. Then a copy of it joins the pool,
    which keeps the last `pool` copies. With `contexts` only that many of the batch's contexts are scored in a round.

    In each step one adversary is drawn: the present one with probability `latest`, else a past one, all
    equally likely. It plays against each sample with probability `ramp(progress)`; the other samples stay as
    they are. Then `inner` takes its step on that batch.

    Best responses alone may go round in circles; a mixture of past adversaries is fictitious play (Brown, 1951;
    Lanctot et al., "A Unified Game-Theoretic Approach to Multiagent RL", NeurIPS 2017). The default ramp goes in a
    straight line to .9 at half of the training.
    """

    inner: Strategy
    candidates: int = 8
    every: int = 1
    rounds: int = 1
    contexts: int | None = None
    pool: int = 5
    latest: float = 0.5
    ramp: Schedule = field(default_factory=lambda: Linear(final=0.9, until=0.5))

    def __post_init__(self) -> None:
        if min(self.candidates, self.every, self.rounds) < 1 or self.pool < 0:
            raise ValueError("candidates, every and rounds are at least 1, pool at least 0")
        if not 0 <= self.latest <= 1:
            raise ValueError(f"latest is a probability; got {self.latest}")

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        proposer: Proposer[Any] = _bare(game.adversary, state)
        figures: dict[str, float] = {}
        if state.step % self.every == 0:
            figures = self._improve(proposer, game, batch, state)
        slot = self._draw(state)
        chance = self.ramp(progress(state.step, state.total_steps))
        generator = state.generator("selfplay")
        x = batch[0]
        active = torch.rand(len(x), generator=generator, device=generator.device).to(x.device) < chance
        with _past_self(proposer, state, slot):
            moves = proposer.propose(x, 1, generator=state.generator("proposals"))
            played = proposer.respond(batch, moves, active)
        result = self.inner.step(game, played, state)
        figures |= {"attacked": float(active.float().mean()), "past_self": float(slot is not None)}
        return StepResult(result.loss, {**result.metrics, **figures})

    def _improve(self, proposer: Proposer[Any], game: Game, batch: Batch, state: State) -> dict[str, float]:
        figures: dict[str, float] = {}
        for _ in range(self.rounds):
            few = (batch[0][: self.contexts], batch[1][: self.contexts])
            moves = proposer.propose(few[0], self.candidates, generator=state.generator("proposals"))
            utility = proposer.score(state.unwrap(game.defender), few, moves)
            figures = dict(proposer.improve(few[0], moves, utility, state))
            feasible = utility[torch.isfinite(utility)]
            figures["utility"] = float(feasible.mean()) if len(feasible) else -torch.inf
        if self.pool:
            phase = int(state.memory.get(f"{_POOL}.size", torch.zeros((), dtype=torch.int64)))
            _store(proposer, state, phase % self.pool)
            state.memory[f"{_POOL}.size"] = torch.tensor(phase + 1)
        return figures

    def _draw(self, state: State) -> int | None:
        """The slot of the past adversary that plays this step; None is the present one."""
        size = min(int(state.memory.get(f"{_POOL}.size", torch.zeros((), dtype=torch.int64))), self.pool)
        generator = state.generator("selfplay")
        if size == 0 or float(torch.rand((), generator=generator, device=generator.device)) < self.latest:
            return None
        return int(torch.randint(size, (), generator=generator, device=generator.device))


def _bare(adversary: Any, state: State) -> Any:
    return state.unwrap(adversary) if isinstance(adversary, nn.Module) else adversary


def _store(proposer: Proposer[Any], state: State, slot: int) -> None:
    prefix = f"{_POOL}.{slot}."
    for name in [name for name in state.memory if name.startswith(prefix)]:
        del state.memory[name]
    for name, value in proposer.state_dict().items():
        if not isinstance(value, Tensor):
            raise TypeError(f"a proposer's state is tensors, but {name!r} is {type(value).__name__}")
        state.memory[prefix + name] = value.detach().clone()


@contextmanager
def _past_self(proposer: Proposer[Any], state: State, slot: int | None) -> Generator[None]:
    """The proposer as it was when it was stored in `slot`, and as it is again on the way out."""
    if slot is None:
        yield
        return
    prefix = f"{_POOL}.{slot}."
    present = {name: value.detach().clone() for name, value in proposer.state_dict().items()}
    past = {name.removeprefix(prefix): value for name, value in state.memory.items() if name.startswith(prefix)}
    try:
        proposer.load_state_dict(past)
        yield
    finally:
        proposer.load_state_dict(present)
