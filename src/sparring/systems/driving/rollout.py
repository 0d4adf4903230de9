"""What reinforcement learning needs of a task, and the transitions it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from sparring.systems.driving.episodes import REPEAT
from sparring.systems.driving.observe import coming, observe
from sparring.systems.driving.policy import control, log_prob, residual
from sparring.systems.driving.scenes import STEPS
from sparring.systems.driving.simulator import Simulator


class Env(Protocol):
    """B copies of a task side by side. An episode that is over gives rewards of 0 until all are."""

    length: int
    """Decisions in the longest episode."""

    def observe(self) -> Tensor:
        """`(B, observation)`."""
        ...

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Act `(B, actions)`; the rewards `(B,)` and which episodes are over now `(B,)`."""
        ...


class Drive:
    """The simulator as a task: `REPEAT` steps to a decision."""

    length = STEPS // REPEAT

    def __init__(self, sim: Simulator, attacked: Tensor | None = None) -> None:
        self.sim = sim
        self.attacked = attacked
        """Which episodes `(B,)` an adversary plays."""

    def observe(self) -> Tensor:
        """What the policy sees, and behind it what only its critic is told."""
        return torch.cat([observe(self.sim), coming(self.sim)], dim=1)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]:
        reward = torch.zeros(self.sim.batch)
        wanted = residual(self.sim, action)
        for _ in range(REPEAT):
            reward += self.sim.step(*control(self.sim, wanted))
        return reward, self.sim.ended


@dataclass(frozen=True)
class Rollout:
    """Transitions `(D, B, ...)` of D decisions: `alive` is False once an episode was over before the decision, `over`
    True where it ended with this one."""

    seen: Tensor
    action: Tensor
    log_prob: Tensor
    value: Tensor
    reward: Tensor
    alive: Tensor
    over: Tensor

    @property
    def ret(self) -> Tensor:
        """The undiscounted return `(B,)`."""
        return self.reward.sum(0)


@torch.no_grad()
def collect(policy: nn.Module, env: Env, log_std: Tensor, generator: torch.Generator) -> Rollout:
    """Play every episode to its end with a Gaussian policy `seen -> (mean, value)`."""
    kept: dict[str, list[Tensor]] = {name: [] for name in Rollout.__dataclass_fields__}
    over: Tensor | None = None
    for _ in range(env.length):
        seen = env.observe()
        mean, value = policy(seen)
        action = mean + log_std.exp() * torch.randn(mean.shape, generator=generator)
        alive = torch.ones(len(seen), dtype=torch.bool) if over is None else ~over
        reward, over = env.step(action)
        for name, x in zip(kept, (seen, action, log_prob(mean, log_std, action), value, reward, alive, over),
                           strict=True):  # fmt: skip
            kept[name].append(x)
    return Rollout(**{name: torch.stack(values) for name, values in kept.items()})


def advantages(rollout: Rollout, discount: float, smoothing: float) -> Tensor:
    """Generalised advantage estimates `(D, B)` (Schulman et al., ICLR 2016, equation 16).

    The horizon is part of the task (the observation holds the time), so nothing is bootstrapped at its end.
    """
    value = torch.cat([rollout.value, torch.zeros_like(rollout.value[:1])])
    running = torch.zeros_like(value[0])
    found = torch.empty_like(rollout.value)
    for d in range(len(found) - 1, -1, -1):
        goes_on = (~rollout.over[d]).to(value.dtype)
        error = rollout.reward[d] + discount * value[d + 1] * goes_on - rollout.value[d]
        running = error + discount * smoothing * goes_on * running
        found[d] = running
    return found
