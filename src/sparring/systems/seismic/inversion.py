"""One inversion as one game: the velocity and the wave equation against a misfit, a critic, or both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.game import Batch, Game, State, StepResult, Strategy, Task
from sparring.opponents import WASSERSTEIN, GradientPenalty
from sparring.strategies import Alternating, Standard
from sparring.systems.seismic.adversary import GatherCritic, Siamese, SiameseLens, Sight, levelled
from sparring.systems.seismic.earth import blurred
from sparring.systems.seismic.filters import FULL, lowpass
from sparring.systems.seismic.misfits import MISFITS, Misfit
from sparring.systems.seismic.parameters import PARAMETERS, RATES, Limits, Parameters
from sparring.systems.seismic.plan import CriticPlan, Plan
from sparring.systems.seismic.potential import Duel, Potential
from sparring.systems.seismic.waves import Waves
from sparring.typed import norm, on_gradient, rfft, rfftfreq, split


@dataclass(frozen=True)
class Problem:
    """What is given: waves over a survey, the observed gathers, a start, and the cells that are known.

    `observed (shots, receivers, samples)` in any unit; traces of zeros are dead and count for nothing.
    """

    waves: Waves
    observed: Tensor
    start: Tensor
    known: Tensor
    noise: Tensor | None = field(default=None, compare=False)
    """Standard deviation of white noise per shot, in the observed unit, if it is known; else it is estimated."""

    @property
    def scale(self) -> Tensor:
        """One constant per shot: the root mean square over live traces, `(shots,)`."""
        live = self.alive.sum(1).clamp_min(1) * self.observed.shape[-1]
        return (self.observed.square().sum((1, 2)) / live).sqrt().clamp_min(1e-30)

    @property
    def alive(self) -> Tensor:
        """Which traces have a signal, `(shots, receivers)` bool."""
        return self.observed.abs().amax(-1) > 0


class Inversion(nn.Module):
    """The defender: shot numbers `(n,)` to simulated gathers `(n, receivers, samples)`, each over its shot's scale.

    With `taps` > 0 the simulated gathers pass a free filter of 2 `taps` + 1 samples, the same for all: since the
    wave equation is linear in its source, that is the wavelet, inverted jointly.
    """

    scale: Tensor
    alive: Tensor

    def __init__(self, problem: Problem, parameters: Parameters, taps: int = 0) -> None:
        super().__init__()
        self.waves, self.model, self.taps = problem.waves, parameters, taps
        self.register_buffer("scale", problem.scale)
        self.register_buffer("alive", problem.alive)
        if taps:
            impulse = torch.zeros(2 * taps + 1)
            impulse[taps] = 1
            self.filter = nn.Parameter(impulse)

    def forward(self, shots: Tensor) -> Tensor:
        """The simulated gathers of these shots."""
        gathers = self.waves(self.model.velocity(), shots) / self.scale[shots][:, None, None]
        if self.taps:
            n, receivers, samples = gathers.shape
            flat = F.conv1d(gathers.reshape(-1, 1, samples), self.filter.flip(0)[None, None], padding=self.taps)
            gathers = flat.reshape(n, receivers, samples)
        return gathers * self.alive[shots][..., None]

    @property
    def velocity(self) -> Tensor:
        """The velocity now, `(nz, nx)` in m/s."""
        return self.model.velocity().detach()


@dataclass(frozen=True)
class Staged:
    """Frequency continuation: equally long stages, each with its own strategy and payoff."""

    stages: tuple[tuple[Strategy, Misfit], ...]

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        k = min(state.step * len(self.stages) // max(state.total_steps, 1), len(self.stages) - 1)
        strategy, payoff = self.stages[k]
        seen: list[Tensor] = []
        watch = _on_output(state.unwrap(game.defender), lambda gathers: seen.append(gathers.detach()))
        try:
            found = strategy.step(replace(game, payoff=payoff), batch, state)
        finally:
            watch.remove()
        off = float(norm(seen[0] - batch[1]) / norm(batch[1]))  # the same figure for every method
        return replace(found, metrics={**found.metrics, "residual": off})


def play(
    problem: Problem,
    plan: Plan,
    generator: torch.Generator,
    judge: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> Task:
    """The task of one inversion, for `Run.train`. `judge` reports figures after each epoch; it selects nothing.

    Raises `BadInput` for a plan that does not fit the problem.
    """
    check(problem, plan)
    scaled = problem.observed / problem.scale[:, None, None]
    defender = Inversion(problem, _parameters(problem, plan, generator), _taps(problem) if plan.wavelet else 0)
    shots = problem.waves.survey.shots
    adversary = _adversary(problem, plan, generator)
    strategies = tuple(_stage(problem, plan, scaled, cutoff) for cutoff in plan.stages or (FULL,))

    usual = _first_gradient(defender, scaled, strategies[0][1]) if plan.parameters == "grid" and plan.damping else 0.0

    def data(draws: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(shots, generator=draws)
        for part in split(order, plan.batch):
            if len(part) == plan.batch:
                yield part, scaled[part]

    return Task(
        game=Game(defender, adversary, strategies[0][1]),
        strategy=Staged(strategies),
        data=data,
        batches=shots // plan.batch,
        epochs=plan.epochs,
        optimizers=lambda game: _optimizers(game, plan, usual),
        schedulers=lambda optimizers, total: [_decayed(optimizers["defender"], plan.decay, total)],
        validate=judge,
    )


def warnings_of(problem: Problem, plan: Plan) -> list[str]:
    """What deserves a word before the inversion begins."""
    found: list[str] = []
    if plan.critic is not None and problem.waves.survey.shots < 2:
        found.append("one shot: a critic that knows a single observed gather estimates no distance; use a misfit")
    elif plan.critic is not None and plan.batch < 2:
        found.append("batches of one shot: the critic compares one gather with one at a time; --batch 2 or more")
    if (dead := int((~problem.alive).sum())) > 0:
        found.append(f"{dead} dead traces of {problem.alive.numel()} are left out")
    return found


def noise_level(gathers: Tensor, dt: float, highest: float) -> Tensor:
    """Standard deviation of white noise per shot `(shots,)`, from what lies far above the signal's band.

    The part of the spectrum above twice `highest` Hz (at least the upper quarter) holds no signal; its mean power
    over the band's share is the variance. Live traces only.
    """
    samples = gathers.shape[-1]
    f = rfftfreq(samples, dt, gathers)
    quiet = f >= min(2 * highest, 0.75 * float(f[-1]))
    power = rfft(gathers).abs().square()[..., quiet].mean(-1) / samples
    alive = (gathers.abs().amax(-1) > 0).to(power.dtype)
    return ((power * alive).sum(-1) / alive.sum(-1).clamp_min(1)).sqrt()


def check(problem: Problem, plan: Plan) -> None:
    """Raises `BadInput` for a plan that does not fit the problem."""
    survey = problem.waves.survey
    if tuple(problem.observed.shape) != survey.shape:
        raise BadInput(
            f"observed data: {tuple(problem.observed.shape)}, the survey has (shots, receivers, samples) = "
            f"{survey.shape}; give gathers in that order"
        )
    if plan.batch > survey.shots:
        raise BadInput(f"batch={plan.batch}: there are {survey.shots} shots; take at most that many at a time")
    if survey.shots % plan.batch:
        raise BadInput(f"batch={plan.batch}: does not divide the {survey.shots} shots; some would be left out")
    if plan.misfit == "none" and plan.critic is None:
        raise BadInput("misfit=none needs a critic; choose a misfit or give critic settings")
    if plan.misfit in ("siamese", "potential") and plan.critic is not None:
        raise BadInput(f"misfit={plan.misfit} learns by itself; it cannot be joined with a critic")
    if not bool(problem.alive.any()):
        raise BadInput("observed data: every trace is zero; there is nothing to invert")


def _parameters(problem: Problem, plan: Plan, generator: torch.Generator) -> Parameters:
    limits = Limits(plan.low, plan.high, problem.known)
    made = PARAMETERS[plan.parameters](problem.start, limits, generator=generator)
    if plan.smooth > 0 and plan.parameters == "grid":
        on_gradient(next(made.parameters()), lambda grad: blurred(grad, plan.smooth))
    return made


def _taps(problem: Problem) -> int:
    survey = problem.waves.survey
    return max(1, round(0.5 / survey.peak / survey.dt))


def _adversary(problem: Problem, plan: Plan, generator: torch.Generator) -> nn.Module | None:
    if plan.misfit == "siamese":
        return SiameseLens(generator=generator)
    if plan.misfit == "potential":
        return _potential(problem, plan)
    if plan.critic is None:
        return None
    _, receivers, samples = problem.waves.survey.shape
    shape = _sight(problem, plan.critic, FULL, None).shape(receivers, samples)
    return GatherCritic(shape, generator=generator, width=plan.critic.width, blocks=plan.critic.blocks)


def _potential(problem: Problem, plan: Plan) -> Potential:
    survey = problem.waves.survey
    apart = survey.receivers[:, 1:, 0] - survey.receivers[:, :-1, 0]
    return Potential(survey.shape, survey.dt, float(apart.abs().median()), plan.potential)


def _sight(problem: Problem, critic: CriticPlan, cutoff: float, noise: Tensor | None, level: bool = False) -> Sight:
    bands = tuple(min(band, cutoff) for band in critic.bands)
    return Sight(problem.waves.survey.dt, bands, critic.integrate, critic.every, critic.each, noise, level)


def _stage(problem: Problem, plan: Plan, scaled: Tensor, cutoff: float) -> tuple[Strategy, Misfit]:
    dt = problem.waves.survey.dt
    if plan.misfit == "potential":
        distance = _potential(problem, plan)
        return Duel(dt, cutoff), lambda fake, real: distance(lowpass(fake - real, cutoff, dt))
    misfit = MISFITS["l2" if plan.misfit in ("siamese", "none") else plan.misfit]

    def payoff(fake: Tensor, real: Tensor) -> Tensor:
        if plan.critic is not None:
            fake = levelled(fake)
        return misfit(lowpass(fake, cutoff, dt), lowpass(real, cutoff, dt))

    if plan.misfit == "siamese":
        return Siamese(payoff), payoff
    critic = plan.critic
    if critic is None:
        return Standard(), payoff
    noise = _noise(problem, scaled) if critic.noisy else None
    return Alternating(
        loss=WASSERSTEIN,
        penalties=(GradientPenalty(critic.penalty),),
        opponent_steps=critic.steps,
        warmup=critic.warmup,
        weight=1.0 if plan.misfit == "none" else critic.weight,
        payoff_weight=0.0 if plan.misfit == "none" else 1.0,
        view=_sight(problem, critic, cutoff, noise, level=True),
    ), payoff


def _noise(problem: Problem, scaled: Tensor) -> Tensor:
    if problem.noise is not None:
        return problem.noise / problem.scale
    survey = problem.waves.survey
    return noise_level(scaled, survey.dt, survey.highest)


def _first_gradient(defender: Inversion, scaled: Tensor, payoff: Misfit) -> float:
    """Root mean square over cells of the first gradient; one forward and one backward solve a shot."""
    (speed,) = defender.model.parameters()
    loss = payoff(defender(torch.arange(len(scaled))), scaled).mean()
    (grad,) = torch.autograd.grad(loss, speed)
    return float(grad.square().mean().sqrt())


def _optimizers(game: Game, plan: Plan, usual: float) -> dict[str, torch.optim.Optimizer]:
    named = dict(game.defender.named_parameters())
    wavelet = [p for name, p in named.items() if name.endswith("filter")]
    model = [p for name, p in named.items() if not name.endswith("filter")]
    rate = RATES[plan.parameters] if plan.rate is None else plan.rate
    groups: Sequence[dict[str, Any]] = [{"params": model, "lr": rate}]
    if wavelet:
        groups = [*groups, {"params": wavelet, "lr": 0.01}]
    made: dict[str, torch.optim.Optimizer] = {
        "defender": torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99), eps=plan.damping * usual + 1e-20)
    }
    if isinstance(game.adversary, nn.Module) and any(True for _ in game.adversary.parameters()):
        rate = 1e-3 if plan.critic is None else plan.critic.rate
        made["opponent"] = torch.optim.Adam(game.adversary.parameters(), lr=rate, betas=(0.5, 0.9))
    return made


def _decayed(optimizer: torch.optim.Optimizer, decay: float, total: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=math.exp(math.log(decay) / max(total, 1)))


def _on_output(module: nn.Module, hook: Callable[[Tensor], None]) -> Any:
    """Let `hook` see what the module puts out; `remove()` of what is returned ends it."""

    def see(module: nn.Module, inputs: Any, output: Tensor) -> None:
        hook(output)

    return module.register_forward_hook(see)
