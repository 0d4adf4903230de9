"""The fresh best response: an attacker trained from zero against a frozen defender, then judged on unseen scenes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.proposals import gibbs, kl
from sparring.systems.driving.adversary import Learning, Tilt
from sparring.systems.driving.context import features, passes
from sparring.systems.driving.episodes import Outcome, play_pairs
from sparring.systems.driving.policy import Driver
from sparring.systems.driving.scenes import Scenes
from sparring.typed import step


@dataclass(frozen=True)
class Played:
    """A defender against candidates of scenes: `moves` `(n, k)`, the outcomes (flat, `(n k,)`), the clean passes."""

    moves: Tensor
    outcome: Outcome
    egos: Tensor

    @property
    def ret(self) -> Tensor:
        """Returns `(n, k)`."""
        return self.outcome.ret.reshape(self.moves.shape)

    @property
    def crashed(self) -> Tensor:
        """Crashes with the attacker `(n, k)`."""
        return self.outcome.crashed.reshape(self.moves.shape)

    @property
    def failed(self) -> Tensor:
        """Early ends of any kind `(n, k)`."""
        return self.outcome.failed.reshape(self.moves.shape)


def against_all(driver: Driver, scenes: Scenes) -> Played:
    """Every candidate of every scene, in closed loop."""
    return against(driver, scenes, torch.arange(scenes.candidates).expand(len(scenes), -1))


def against(driver: Driver, scenes: Scenes, moves: Tensor) -> Played:
    """The candidates `moves` `(n, k)` of all scenes, in closed loop."""
    rows = torch.arange(len(scenes))
    out = play_pairs(driver, scenes, rows.repeat_interleave(moves.shape[1]), moves.flatten())
    return Played(moves, out, passes(driver, scenes, rows))


@dataclass(frozen=True)
class Budget:
    """What a fresh best response may spend: `scenes` training scenes, `candidates` of each played once against the
    frozen defender, and `steps` descents on their preferences. The same for every defender."""

    scenes: int = 600
    candidates: int = 16
    steps: int = 500
    batch: int = 96
    rate: float = 2e-3


def best_response(driver: Driver, scenes: Scenes, rule: Learning, budget: Budget, generator: torch.Generator) -> Tilt:
    """An attacker f_φ trained from zero on training scenes: the defender is frozen, so playing each candidate once
    tells all that rounds of re-sampling would."""
    few = scenes.take(torch.randperm(len(scenes), generator=generator)[: budget.scenes])
    chosen = torch.rand(len(few), few.candidates, generator=generator).argsort(1)[:, : budget.candidates]
    played = against(driver, few, chosen)
    seen = features(few, torch.arange(len(few)), played.egos).gather(
        1, chosen.unsqueeze(2).expand(-1, -1, features(few, torch.tensor([0]), played.egos[:1]).shape[2])
    )
    prior = few.log_prior.gather(1, chosen)
    utility = torch.where(allowed(few).gather(1, chosen), -played.ret, -torch.inf)
    tilt = Tilt(generator=generator)
    optimizer = torch.optim.Adam(tilt.parameters(), budget.rate)
    improver = rule.preference()
    for i in range(budget.steps):
        for group in optimizer.param_groups:
            group["lr"] = budget.rate * (1 - i / budget.steps)
        rows = torch.randint(len(few), (budget.batch,), generator=generator)
        loss = improver(prior[rows] + tilt(seen[rows]), prior[rows], utility[rows]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        step(optimizer)
    return tilt.requires_grad_(False)


def allowed(scenes: Scenes) -> Tensor:
    """The candidates that the rules of the game admit `(S, K)`: feasible, and not beyond every escape."""
    return scenes.feasible & scenes.avoidable


def prior(scenes: Scenes) -> Tensor:
    """log ψ_ref over the admitted candidates `(S, K)`."""
    return F.log_softmax(torch.where(allowed(scenes), scenes.log_prior, -1e9), dim=1)


@torch.no_grad()
def law(tilt: Tilt, scenes: Scenes, egos: Tensor) -> Tensor:
    """log ψ_φ of all scenes `(S, K)`, for ego passes `(S, MOMENTS, 4)`."""
    rows = torch.arange(len(scenes))
    return F.log_softmax(prior(scenes) + tilt(features(scenes, rows, egos)), dim=1)


def removed(tilt: Tilt, scenes: Scenes, played: Played, temperature: float) -> tuple[float, float]:
    """KL(ψ || Gibbs) in nats, means over scenes: of the prior, and of the learnt attacker."""
    target = gibbs(prior(scenes), -played.ret, temperature)
    return float(_kl(prior(scenes), target)), float(_kl(law(tilt, scenes, played.egos), target))


def _kl(p: Tensor, q: Tensor) -> Tensor:
    # Forbidden candidates have probability 0 under both laws.
    return kl(p.clamp_min(-60), q.clamp_min(-60)).mean()
