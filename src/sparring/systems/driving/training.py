"""The trainings that are compared: one start, then no adversary, a rule, a CAT-like choice or ADV-0; the planner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.game import Batch, Game, State, StepResult, Strategy, Task
from sparring.schedules import Constant, Linear
from sparring.strategies.selfplay import SelfPlay
from sparring.systems.driving.adversary import FixedAdversary, Frozen, LatticeAdversary, Learning
from sparring.systems.driving.context import passes
from sparring.systems.driving.imitation import imitate
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.policy import Policy
from sparring.systems.driving.ppo import PPO
from sparring.systems.driving.response import Budget, against_all, best_response, law
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.stepwise import StepwiseAdversary, episodes_of, learn
from sparring.systems.driving.tuning import Tune

Method = Literal["none", "rule", "cat", "adv0"]
METHODS: tuple[Method, ...] = ("none", "rule", "cat", "adv0")
ADVERSARY, STEPWISE = "opponent", "stepwise"
_CPU = "cpu.seconds"


@dataclass(frozen=True)
class Size:
    """How long and wide a training is; iterations play `episodes` each.

    `start` iterations on the log, from which every method goes on; `rounds` ones with its adversary. The methods that
    spend nothing on an attacker of their own get `spare` times as many of these, which makes the CPU time equal.
    """

    episodes: int = 512
    start: int = 60
    rounds: int = 80
    spare: float = 1.35
    rate: float = 1e-3
    again: float = 7e-4
    planner: int = 10
    planner_episodes: int = 128


@dataclass(frozen=True)
class Duel:
    """How the adversary is played: every `every` iterations it is scored on `scored` candidates per scene of
    `scenes` scenes; it attacks with a probability that ramps to `most` at `until` of the training; `stepwise` of the
    attacked episodes are steered by the step-wise attacker; `pool` past attackers. `surplus` times as many episodes
    are drawn as are played: half of the played ones are those in whose scenes the defender lately lost most."""

    every: int = 4
    scenes: int = 128
    scored: int = 8
    most: float = 0.8
    until: float = 0.3
    stepwise: float = 0.3
    pool: int = 5
    latest: float = 0.5
    surplus: float = 2.0
    learning: Learning = field(default_factory=lambda: Learning(sharp=3.0))


@dataclass(frozen=True)
class Trained:
    """A defender and what it cost: CPU seconds of this process, simulated episodes."""

    defender: Any
    seconds: float
    adversary: LatticeAdversary | None = None


@dataclass(frozen=True, kw_only=True)
class Annealed:
    """Another strategy with a learning rate that falls in a straight line to a tenth; it counts what its steps cost."""

    inner: Strategy
    rate: float
    spent: list[float] = field(default_factory=lambda: [])
    """CPU seconds of all steps so far, of a resumed training too; empty before the first."""

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        share = 1 - 0.9 * state.step / max(1, state.total_steps)
        optimizers: Mapping[str, torch.optim.Optimizer] = getattr(state, "optimizers", {})
        for group in optimizers["defender"].param_groups if "defender" in optimizers else ():
            group["lr"] = self.rate * share
        begun = time.process_time()
        result = self.inner.step(game, batch, state)
        before = state.memory.get(_CPU, torch.zeros((), dtype=torch.float64))
        state.memory[_CPU] = before + (time.process_time() - begun)
        self.spent[:] = [float(state.memory[_CPU])]
        return result


def start(scenes: Scenes, size: Size, run: Run) -> Trained:
    """The policy that every method goes on from: taught by the planner, then trained, both on the logs."""
    policy = Policy(generator=run.generator("init/policy"))

    def taught() -> Mapping[str, Tensor]:
        imitate(policy, scenes, run.generator("imitation"))
        return policy.state_dict()

    policy.load_state_dict(run.cached("imitated", taught))
    return _play("start", policy, None, _ppo(scenes), scenes, size, size.start, size.rate, run)


def harden(
    method: Method, first: Policy, scenes: Scenes, size: Size, duel: Duel, run: Run, watched: Scenes | None = None
) -> Trained:
    """One method from the common start. With `watched` scenes ADV-0 logs its exploitability after each epoch."""
    policy = Policy(generator=run.generator("init/policy"))
    policy.load_state_dict(first.state_dict())
    adversary = opponent(method, policy, scenes, duel, run)
    inner = _ppo(scenes, noticing=method == "adv0")
    strategy: Strategy = inner if adversary is None else _selfplay(inner, duel)
    count = size.rounds if method == "adv0" else round(size.rounds * size.spare)
    drawn = size
    if isinstance(adversary, LatticeAdversary) and duel.surplus > 1:
        adversary.keep, drawn = size.episodes, replace(size, episodes=round(size.episodes * duel.surplus))
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None
    if watched is not None and isinstance(adversary, LatticeAdversary):
        watch = partial(gap, adversary=adversary, scenes=scenes, watched=watched, run=run)
    return _play(method, policy, adversary, strategy, scenes, drawn, count, size.again, run, watch)


def gap(defender: Any, adversary: LatticeAdversary, scenes: Scenes, watched: Scenes, run: Run) -> dict[str, float]:
    """The attacker's share of the exploitability: the mean return under its present law, less that under a fresh best
    response trained against the frozen defender, both on scenes that neither learned on."""
    with torch.no_grad():
        played = against_all(defender, watched)
    tilt = best_response(defender, scenes, adversary.rule, Budget(240, 10, 250), run.generator("watch"))
    figures: dict[str, float] = {}
    for name, f in (("own", adversary.tilt), ("fresh", tilt)):
        figures[name] = float((law(f, watched, played.egos).exp() * played.ret).sum(1).mean())
    return figures | {"exploitability": figures["own"] - figures["fresh"]}


def play_on(first: Trained, scenes: Scenes, size: Size, duel: Duel, count: int, run: Run) -> Trained:
    """`count` further iterations of the defender while the attacker of ADV-0 stays as it is."""
    policy = Policy(generator=run.generator("init/policy"))
    policy.load_state_dict(first.defender.state_dict())
    assert first.adversary is not None
    frozen = Frozen(scenes, first.adversary)
    strategy = SelfPlay(inner=_ppo(scenes), candidates=1, every=10**6, pool=0, latest=1.0, ramp=Constant(duel.most))
    return _play("further", policy, frozen, strategy, scenes, size, count, size.again / 2, run)


def harden_planner(scenes: Scenes, size: Size, duel: Duel, run: Run) -> Trained:
    """The planner in the same game; its numbers move without gradients."""
    planner = Planner()
    adversary = opponent("adv0", planner, scenes, duel, run)
    tune = _selfplay(Tune(scenes=scenes), duel)
    few = Size(episodes=size.planner_episodes)
    return _play("planner", planner, adversary, tune, scenes, few, size.planner, size.again, run)


def opponent(method: Method, defender: Any, scenes: Scenes, duel: Duel, run: Run) -> Any:
    """The method's adversary; None for none."""
    if method == "none":
        return None
    rows = torch.arange(len(scenes))
    egos = run.cached(f"egos-{method}-{type(defender).__name__}", lambda: {"egos": passes(defender, scenes, rows)})
    if method != "adv0":
        return FixedAdversary(scenes, egos["egos"], method)
    generator = run.generator("init/adversary")
    found = LatticeAdversary(scenes, egos["egos"], duel.learning, generator=generator)
    if duel.stepwise > 0 and isinstance(defender, Policy):
        found.stepwise, found.stepwise_share = StepwiseAdversary(generator=generator), duel.stepwise
    return found


def batches(scenes: Scenes, size: Size, count: int) -> Callable[[torch.Generator], Iterator[Batch]]:
    """`count` batches of scene indices, each with the log as its move."""

    def epoch(generator: torch.Generator) -> Iterator[Batch]:
        for _ in range(count):
            rows = torch.randint(len(scenes), (size.episodes,), generator=generator)
            yield rows, torch.zeros_like(rows)

    return epoch


def loss(ret: Tensor, target: Tensor) -> Tensor:
    """The game's payoff `(n,)`: what the adversary gains is what the defender's return loses."""
    return -ret


def _ppo(scenes: Scenes, *, noticing: bool = False) -> PPO:
    return PPO(begin=lambda batch, adversary: episodes_of(scenes, batch, adversary), learn=learn if noticing else None)


def _selfplay(inner: Strategy, duel: Duel) -> SelfPlay:
    return SelfPlay(
        inner=inner, candidates=duel.scored, every=duel.every, contexts=duel.scenes, pool=duel.pool,
        latest=duel.latest, ramp=Linear(final=duel.most, until=duel.until),
    )  # fmt: skip


def _play(
    name: str, defender: nn.Module, adversary: Any, strategy: Strategy, scenes: Scenes, size: Size, count: int,
    rate: float, run: Run, watch: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> Trained:  # fmt: skip
    epochs = 4 if count % 4 == 0 else 1
    annealed = Annealed(inner=strategy, rate=rate)
    task = Task(
        game=Game(defender, adversary, loss),
        strategy=annealed,
        data=batches(scenes, size, count // epochs),
        batches=count // epochs,
        epochs=epochs,
        optimizers=lambda game: optimizers(game, rate),
        clip=0.5,
        validate=watch,
    )
    trained = run.train(task, name)
    spent = run.recorded(f"cpu-{name}", lambda: {"seconds": sum(annealed.spent)})["seconds"]
    return Trained(trained, spent, adversary if isinstance(adversary, LatticeAdversary) else None)


def optimizers(game: Game, rate: float) -> dict[str, torch.optim.Optimizer]:
    """Adam for the policy, for f_φ and for the step-wise attacker, as far as they are there."""
    found: dict[str, torch.optim.Optimizer] = {}
    own = list(game.defender.parameters())
    if own:
        found["defender"] = torch.optim.Adam(own, rate)
    if isinstance(game.adversary, LatticeAdversary):
        found[ADVERSARY] = torch.optim.Adam(game.adversary.tilt.parameters(), 2e-3)
        if game.adversary.stepwise is not None:
            found[STEPWISE] = torch.optim.Adam(game.adversary.stepwise.parameters(), 1e-3)
    return found
