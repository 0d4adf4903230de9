"""A step-wise attacker that learns beside the defender (RARL: Pinto et al., ICML 2017), the pool's second kind.

It steers the attacking vehicle at every decision with bounded controls, is paid what the defender loses, and learns by
the same PPO from the same episodes. What it learns is added to proportional navigation (Zarchan, "Tactical and
Strategic Missile Guidance", chapter 2) whose gain, beginning and strength are drawn for each episode: so it is a
population from the first round on. The evaluation's pursuit homes by another law and is never trained on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparring.game import Batch, State
from sparring.systems.driving.episodes import REPEAT
from sparring.systems.driving.policy import initialise, log_prob
from sparring.systems.driving.rollout import Drive, Env, Rollout, advantages
from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.simulator import Simulator
from sparring.typed import split

SEES = 12
BRAKES, SPEEDS_UP, TURNS = 6.0, 3.0, 0.06
"""Bounds of its controls: m/s², m/s², 1/m."""
LEAST = 8.0
"""Mean return of the defender against it below which it does not learn on."""
STEPWISE = -1
"""In place of a candidate's index: the step-wise attacker drives."""


class StepwiseAdversary(nn.Module):
    """Gaussian policy of the attacker: `(B, SEES) -> mean (B, 2), value (B,)`; it goes straight on at first."""

    def __init__(self, width: int = 64, *, generator: torch.Generator) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(SEES, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.mean, self.value = nn.Linear(width, 2), nn.Linear(width, 1)
        self.log_std = nn.Parameter(torch.tensor([-0.5, -0.5]))
        initialise(self, generator)
        for head in (self.mean, self.value):
            nn.init.zeros_(head.weight)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.trunk(seen)
        return self.mean(hidden), self.value(hidden).squeeze(1)


class Steering:
    """The attacker at the wheel of those episodes that are its own; it decides as often as the ego does."""

    def __init__(self, policy: StepwiseAdversary, generator: torch.Generator | None, pace: Tensor) -> None:
        self.policy, self.generator, self.limit = policy, generator, 1.25 * pace + 2.0
        noise = (
            torch.rand(4, len(pace), generator=generator) if generator is not None else torch.full((4, len(pace)), 0.5)
        )
        self.gain, self.begin, self.strength, self.closing = (
            low + (high - low) * x
            for (low, high), x in zip(((1.5, 5.0), (0.2, 3.5), (0.0, 1.0), (1.0, 7.0)), noise, strict=True)
        )
        self.kept: list[tuple[Tensor, ...]] = []
        self._now: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def controls(self, sim: Simulator) -> tuple[Tensor, Tensor]:
        if sim.t % REPEAT == 0 or self._now is None:
            seen = attacker_view(sim)
            mean, value = self.policy(seen)
            log_std = self.policy.log_std.clamp(-2, 0)
            action = mean
            if self.generator is not None:
                action = mean + log_std.exp() * torch.randn(mean.shape, generator=self.generator)
                self.kept.append((seen, action, log_prob(mean, log_std, action), value))
            homing = self.strength * (sim.t * DT >= self.begin)
            forward, curved = navigation(sim, self.gain, self.closing)
            gain = torch.where(action[:, 0] > 0, SPEEDS_UP, BRAKES) * action[:, 0].clamp(-1, 1) + homing * forward
            turn = TURNS * action[:, 1].clamp(-1, 1) + homing * curved
            self._now = (gain.clamp(-BRAKES, SPEEDS_UP), turn.clamp(-TURNS, TURNS))
        gain, turn = self._now
        return torch.minimum(gain, (self.limit - sim.others[:, 0, 3]) * 2), turn


def navigation(sim: Simulator, gain: Tensor, closing: Tensor) -> tuple[Tensor, Tensor]:
    """Proportional navigation of vehicle 0 onto the ego: acceleration (m/s²) and curvature (1/m) `(B,)`.

    An acceleration of `gain` × closing speed × turning rate of the line of sight, across that line, and one along it
    towards the wished `closing` speed (m/s); its part along the vehicle's heading is braking or thrust, the rest turns.
    """
    me, ego = sim.others[:, 0], sim.ego
    x, y = ego[:, 0] - me[:, 0], ego[:, 1] - me[:, 1]
    vx = ego[:, 3] * ego[:, 2].cos() - me[:, 3] * me[:, 2].cos()
    vy = ego[:, 3] * ego[:, 2].sin() - me[:, 3] * me[:, 2].sin()
    far = (x.square() + y.square()).sqrt().clamp_min(2.0)
    rate = (x * vy - y * vx) / far.square()
    nearing = -(x * vx + y * vy) / far
    across, along = gain * nearing.clamp_min(2.0) * rate, closing - nearing
    ax, ay = (-y * across + x * along) / far, (x * across + y * along) / far
    cos, sin = me[:, 2].cos(), me[:, 2].sin()
    forward = (ax * cos + ay * sin).clamp(-BRAKES, SPEEDS_UP)
    return forward, ((ay * cos - ax * sin) / me[:, 3].square().clamp_min(9.0)).clamp(-TURNS, TURNS)


def attacker_view(sim: Simulator) -> Tensor:
    """The ego from the attacker's seat, and its own state `(B, SEES)`."""
    me, ego = sim.others[:, 0], sim.ego
    away_x, away_y = ego[:, 0] - me[:, 0], ego[:, 1] - me[:, 1]
    cos, sin = me[:, 2].cos(), me[:, 2].sin()
    dx, dy = away_x * cos + away_y * sin, away_y * cos - away_x * sin
    turn = ego[:, 2] - me[:, 2]
    vx, vy = ego[:, 3] * turn.cos() - me[:, 3], ego[:, 3] * turn.sin()
    soon = (-(dx * vx + dy * vy) / (vx.square() + vy.square()).clamp_min(0.1)).clamp(0, 5)
    time = torch.full_like(dx, sim.t / STEPS)
    return torch.stack(
        [(dx / 20).tanh() * 2, (dy / 10).tanh() * 2, vx / 6, vy / 6, turn.cos(), turn.sin(), me[:, 3] / 10, soon / 3,
         (dx + soon * vx).clamp(-10, 10) / 5, (dy + soon * vy).clamp(-10, 10) / 5, sim.accel / 5, time],
        dim=1,
    )  # fmt: skip


def episodes_of(scenes: Scenes, batch: Batch, adversary: Any, generator: torch.Generator | None = None) -> Drive:
    """The episodes of a batch (scenes, moves): each attacker on its candidate, or steered where the move says so."""
    rows, moves = batch
    steered = moves == STEPWISE
    path = scenes.moves[rows, moves.clamp_min(0)]
    policy = getattr(adversary, "stepwise", None)
    if policy is None or not bool(steered.any()):
        return Drive(Simulator(scenes, rows, path), moves != 0)
    noise = generator or torch.Generator().manual_seed(int(rows.sum()))
    return Drive(Simulator(scenes, rows, path, Steering(policy, noise, scenes.pace[rows]), steered), moves != 0)


def learn(adversary: Any, rollout: Rollout, env: Env, state: State) -> dict[str, float]:
    """The adversary notices what its candidates cost; then one PPO pass for its step-wise attacker on the defender's
    own episodes, rewards negated.

    A steering attacker that always wins teaches nothing but to stand still, and no search says what of it could be
    escaped. So it learns only while the defender still earns `LEAST` against it (a minimal criterion: Wang et al.,
    "POET", GECCO 2019), and what it does does not count among the scenes that deserve more practice.
    """
    assert isinstance(env, Drive)
    attack = env.sim.attack
    own = env.sim.steered if isinstance(attack, Steering) else torch.zeros(env.sim.batch, dtype=torch.bool)
    if env.attacked is not None:
        candidate = env.attacked & ~own
        adversary.noticed(env.sim.rows[candidate], rollout.ret[candidate])
    if not isinstance(attack, Steering):
        return {}
    figures = {"stepwise_return": float(rollout.ret[own].mean())}
    if figures["stepwise_return"] < LEAST:
        return figures
    seen, action, before, value = (torch.stack(parts)[:, own] for parts in zip(*attack.kept, strict=True))
    theirs = Rollout(seen, action, before, value, -rollout.reward[:, own] - _effort(action), rollout.alive[:, own],
                     rollout.over[:, own])  # fmt: skip
    gain = advantages(theirs, 0.99, 0.95)
    target = (gain + value)[theirs.alive]
    keep = theirs.alive
    seen, action, before, gain = seen[keep], action[keep], before[keep], gain[keep]
    gain = (gain - gain.mean()) / (gain.std() + 1e-6)
    policy = adversary.stepwise
    for _ in range(2):
        order = torch.randperm(len(seen), generator=state.generator("minibatches"))
        for at in split(order, 2048):
            mean, guess = policy(seen[at])
            ratio = (log_prob(mean, policy.log_std.clamp(-2, 0), action[at]) - before[at]).exp()
            gained = torch.minimum(ratio * gain[at], ratio.clamp(0.8, 1.2) * gain[at])
            state.descend(-gained.mean() + 0.5 * (0.05 * (guess - target[at])).square().mean(), "stepwise")
    return figures


def _effort(action: Tensor) -> Tensor:
    """What strong controls cost the attacker, in return units per decision."""
    return 0.02 * action.square().sum(-1).clamp_max(4)
