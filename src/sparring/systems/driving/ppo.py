"""Proximal policy optimisation on batched tensors: one screen (Schulman et al., arXiv 1707.06347)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.game import Batch, Game, State, StepResult
from sparring.systems.driving.policy import log_prob
from sparring.systems.driving.rollout import Env, Rollout, advantages, collect
from sparring.typed import split

Begin = Callable[[Batch, Any], Env]
"""`(batch, adversary) -> Env`: the episodes that a batch stands for."""


@dataclass(frozen=True, kw_only=True)
class PPO:
    """One iteration a step: play the batch's episodes, then `passes` over them in minibatches.

    The defender is a module `seen -> (mean, value)` with a parameter `log_std`. Advantages are normalised over the
    living transitions; the value loss is the squared error to the λ-return, its targets scaled by `scale`.
    """

    begin: Begin
    passes: int = 3
    minibatch: int = 2048
    discount: float = 0.99
    smoothing: float = 0.95
    clip: float = 0.2
    value: float = 0.5
    entropy: float = 0.0
    scale: float = 0.05
    learn: Callable[[Any, Rollout, Env, State], dict[str, float]] | None = None
    """Called after each iteration with (adversary, rollout, env, state): a step-wise adversary learns here."""

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        policy = state.unwrap(game.defender)
        env = self.begin(batch, game.adversary)
        rollout = collect(policy, env, log_std_of(policy), state.generator("exploration"))
        loss = update(self, game.defender, rollout, state)
        figures = {"return": float(rollout.ret.mean()), "ended": float(rollout.over[-1].float().mean())}
        if self.learn is not None:
            figures |= self.learn(game.adversary, rollout, env, state)
        return StepResult(loss, figures)


def update(rule: PPO, policy: nn.Module, rollout: Rollout, state: State) -> Tensor:
    """The clipped objective's descent over minibatches of the living transitions; returns the last loss."""
    gain = advantages(rollout, rule.discount, rule.smoothing)
    target = gain + rollout.value
    keep = rollout.alive.flatten()
    seen, action, before, gain, target = (
        x.flatten(0, 1)[keep] for x in (rollout.seen, rollout.action, rollout.log_prob, gain, target)
    )
    gain = (gain - gain.mean()) / (gain.std() + 1e-6)
    loss = gain.new_zeros(())
    for _ in range(rule.passes):
        order = torch.randperm(len(seen), generator=state.generator("minibatches"))
        for rows in split(order, rule.minibatch):
            mean, value = policy(seen[rows])
            log_std = log_std_of(policy)
            ratio = (log_prob(mean, log_std, action[rows]) - before[rows]).exp()
            clipped = ratio.clamp(1 - rule.clip, 1 + rule.clip)
            terms = {
                "policy": -torch.minimum(ratio * gain[rows], clipped * gain[rows]).mean(),
                "value": rule.value * (rule.scale * (value - target[rows])).square().mean(),
                "entropy": -rule.entropy * log_std.sum(),
            }
            loss = torch.stack(list(terms.values())).sum()
            state.descend(loss, terms=terms)
    return loss.detach()


def log_std_of(policy: nn.Module) -> Tensor:
    """The policy's exploration: log standard deviation per action, kept between e^-2.5 and 1."""
    return policy.get_parameter("log_std").clamp(-3.0, 0.0)
