"""The traffic's side of the game: log ψ_φ = log ψ_ref + f_φ(context, trajectory), improved by preferences.

f_φ is zero at first, so that the adversary begins as natural traffic; the utility of a candidate is exactly what the
defender loses by it, measured by playing it in closed loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.game import Batch, State
from sparring.proposals import Improver, Preference, kl
from sparring.systems.driving.context import FEATURES, MOMENTS, features, met, passes
from sparring.systems.driving.episodes import play_pairs
from sparring.systems.driving.policy import Driver, initialise
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.simulator import PROGRESS
from sparring.systems.driving.stepwise import STEPWISE, StepwiseAdversary
from sparring.typed import split

_REPLAY = "attacker.replay"


class Tilt(nn.Module):
    """f_φ: features `(n, K, FEATURES)` to `(n, K)`, each candidate seen beside the others; zero at first."""

    def __init__(self, width: int = 96, *, generator: torch.Generator) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.beside = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, 1)
        initialise(self, generator)
        nn.init.zeros_(self.out.weight)

    def forward(self, seen: Tensor) -> Tensor:
        each = self.each(seen)
        both = torch.cat([each, each.mean(1, keepdim=True).expand_as(each)], dim=2)
        return self.out(F.relu(self.beside(both)) + each).squeeze(2)


@dataclass(frozen=True)
class Learning:
    """How the attacker learns: `steps` descents a round on this round's pairs and those of the last `rounds`.

    It plays f_φ scaled by `sharp`: 2 is the Gibbs law of half the temperature.
    """

    temperature: float = 4.0
    explore: float = 0.3
    steps: int = 8
    batch: int = 64
    rounds: int = 4
    sharp: float = 1.0

    def preference(self) -> Preference:
        """Soft labels: their fixed point is the Gibbs law of `temperature`."""
        return Preference(temperature=self.temperature, beta=1.0)


class LatticeAdversary(nn.Module):
    """A proposer over the scenes' candidates; contexts are indices of scenes.

    `egos` `(S, MOMENTS, 4)` holds the defender's last clean pass through each scene, renewed where it is scored;
    `table` `(S, K)` the law with which each scene is played until the next improvement, f scaled by `rule.sharp`;
    `loss` `(S,)` what the defender lately lost in each scene when it was attacked, return units. Infeasible candidates
    (off the road, through a third vehicle) and unavoidable ones lose every comparison and are never played.
    """

    egos: Tensor
    table: Tensor
    loss: Tensor

    def __init__(self, scenes: Scenes, egos: Tensor, rule: Learning, *, generator: torch.Generator) -> None:
        super().__init__()
        self.scenes, self.rule = scenes, rule
        self.improver: Improver = rule.preference()
        self.tilt = Tilt(generator=generator)
        self.allowed = scenes.feasible & scenes.avoidable
        self.register_buffer("egos", egos.clone())
        self.register_buffer("table", self._law(scenes.log_prior))
        self.register_buffer("loss", torch.zeros(len(scenes)))
        self.stepwise: StepwiseAdversary | None = None
        self.stepwise_share = 0.0
        self.keep: int | None = None
        """How many of a batch's episodes are played: the first half of them as drawn, the rest those of the batch's
        attacked scenes in which the defender lately lost most. None: all."""

    def law(self, context: Tensor) -> Tensor:
        """log ψ_φ(· | c), normalised over the candidates that are allowed, `(n, K)`."""
        tilt = self.tilt(features(self.scenes, context, self.egos[context]))
        return self._law(self.scenes.log_prior[context] + self.rule.sharp * tilt, context)

    def _law(self, score: Tensor, context: Tensor | None = None) -> Tensor:
        allowed = self.allowed if context is None else self.allowed[context]
        return F.log_softmax(torch.where(allowed, score, -1e9), dim=1)

    @torch.no_grad()
    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> Tensor:
        own = self.table[context].exp()
        others = int(self.rule.explore * k)
        drawn = torch.multinomial(own, k - others, replacement=k - others > 1, generator=generator)
        if not others:
            return drawn
        even = torch.multinomial(torch.ones_like(own), others, replacement=False, generator=generator)
        return torch.cat([drawn, even], dim=1)

    @torch.no_grad()
    def score(self, defender: Driver, batch: Batch, moves: Tensor) -> Tensor:
        rows = batch[0]
        self.egos[rows] = passes(defender, self.scenes, rows)
        out = play_pairs(defender, self.scenes, rows.repeat_interleave(moves.shape[1]), moves.flatten())
        return torch.where(self.allowed[rows].gather(1, moves), -out.ret.reshape(moves.shape), -torch.inf)

    def improve(self, context: Tensor, moves: Tensor, utility: Tensor, state: State) -> Mapping[str, float]:
        self._remember(context, moves, utility, state)
        generator = state.generator("preferences")
        replay = [state.memory[f"{_REPLAY}.{name}"] for name in ("rows", "moves", "utility", "egos")]
        loss = utility.new_zeros(())
        for _ in range(self.rule.steps):
            at = torch.randint(len(replay[0]), (self.rule.batch,), generator=generator)
            rows, moved, worth, ego = (x[at] for x in replay)
            loss = self._loss(rows, moved, worth, ego)
            state.descend(loss, "opponent")
        with torch.no_grad():
            for rows in split(torch.arange(len(self.scenes)), 512):
                self.table[rows] = self.law(rows)
        return {
            "preference_loss": float(loss.detach()),
            "kl_to_prior": float(kl(self.table[context], self.scenes.log_prior[context]).mean()),
        }

    def respond(self, batch: Batch, moves: Tensor, active: Tensor) -> Batch:
        move = torch.where(active, moves[:, 0], 0)
        if self.stepwise_share > 0:
            # Every so many-th attacked episode is steered step by step.
            count = active.long().cumsum(0) * self.stepwise_share
            move = torch.where(active & (count.floor() > (count - self.stepwise_share).floor()), STEPWISE, move)
        if self.keep is None or self.keep >= len(move):
            return batch[0], move
        half = self.keep // 2
        rest = torch.where(active, self.loss[batch[0]], -1.0)[half:]
        chosen = torch.cat([torch.arange(half), half + rest.argsort(descending=True, stable=True)[: self.keep - half]])
        return batch[0][chosen], move[chosen]

    def noticed(self, rows: Tensor, ret: Tensor) -> None:
        """Remember what attacked episodes in scenes `rows` returned, averaged with what was known."""
        lost = (PROGRESS - ret).clamp_min(0)
        count = torch.zeros_like(self.loss).index_add(0, rows, torch.ones_like(lost))
        total = torch.zeros_like(self.loss).index_add(0, rows, lost)
        self.loss = torch.where(count > 0, 0.5 * self.loss + 0.5 * total / count.clamp_min(1), self.loss)

    def _loss(self, rows: Tensor, moves: Tensor, utility: Tensor, ego: Tensor) -> Tensor:
        tilt = self.tilt(features(self.scenes, rows, ego)).gather(1, moves)
        prior = self.scenes.log_prior[rows].gather(1, moves)
        return self.improver(prior + tilt, prior, utility).mean()

    def _remember(self, rows: Tensor, moves: Tensor, utility: Tensor, state: State) -> None:
        fresh = {"rows": rows, "moves": moves, "utility": utility, "egos": self.egos[rows]}
        for name, value in fresh.items():
            before = state.memory.get(f"{_REPLAY}.{name}")
            joined = value if before is None else torch.cat([before, value])
            state.memory[f"{_REPLAY}.{name}"] = joined[-self.rule.rounds * len(rows) :]


class Frozen:
    """A learnt lattice attacker that stays as it is: it proposes and does not improve."""

    def __init__(self, scenes: Scenes, learnt: LatticeAdversary) -> None:
        self.scenes, self.learnt = scenes, learnt

    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            return torch.multinomial(self.learnt.table[context].exp(), k, replacement=True, generator=generator)

    def score(self, defender: Driver, batch: Batch, moves: Tensor) -> Tensor:
        return torch.zeros(moves.shape)

    def improve(self, context: Tensor, moves: Tensor, utility: Tensor, state: State) -> Mapping[str, float]:
        return {}

    def respond(self, batch: Batch, moves: Tensor, active: Tensor) -> Batch:
        return batch[0], torch.where(active, moves[:, 0], 0)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Nothing changes."""


class FixedAdversary:
    """The published adversaries that do not learn, as proposers: they choose one candidate per scene.

    "rule": the candidate that comes closest to the calm driver's way. "cat": the largest prior probability × 0.99 to
    the moment of the first touch, against the ego's last clean pass (open loop), or the closest approach where none
    touches (Zhang et al., "CAT", CoRL 2023; reconstructed). Neither looks whether the attack can be escaped.
    """

    def __init__(self, scenes: Scenes, egos: Tensor, kind: str) -> None:
        if kind not in ("rule", "cat"):
            raise ValueError(f'kinds are "rule" and "cat", got {kind!r}')
        self.scenes, self.egos, self.kind = scenes, egos.clone(), kind

    def choose(self, context: Tensor) -> Tensor:
        """The candidate of each scene, `(n,)`."""
        return chosen(self.kind, self.scenes, context, self.egos[context])

    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> Tensor:
        return self.choose(context).unsqueeze(1).expand(-1, k)

    def score(self, defender: Driver, batch: Batch, moves: Tensor) -> Tensor:
        """Nothing is played but the clean pass, which CAT looks at."""
        if self.kind == "cat":
            self.egos[batch[0]] = passes(defender, self.scenes, batch[0])
        return torch.zeros(moves.shape)

    def improve(self, context: Tensor, moves: Tensor, utility: Tensor, state: State) -> Mapping[str, float]:
        return {}

    def respond(self, batch: Batch, moves: Tensor, active: Tensor) -> Batch:
        return batch[0], torch.where(active, moves[:, 0], 0)

    def state_dict(self) -> dict[str, Any]:
        return {"egos": self.egos}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.egos = state_dict["egos"].clone()


def chosen(kind: str, scenes: Scenes, rows: Tensor, egos: Tensor) -> Tensor:
    """The candidate `(n,)` that "rule" or "cat" plays in scenes `rows` against ego passes `(n, MOMENTS, 4)`."""
    first, gap = met(scenes, rows, egos)
    feasible = scenes.feasible[rows]
    if kind == "rule":
        return torch.where(feasible, gap, torch.inf).argmin(1)
    worth = scenes.log_prior[rows].exp() * 0.99 ** first.to(gap.dtype) * (first < MOMENTS)
    worth = torch.where(feasible, worth, 0.0)
    closest = torch.where(feasible, gap, torch.inf).argmin(1)
    return torch.where(worth.amax(1) > 0, worth.argmax(1), closest)
