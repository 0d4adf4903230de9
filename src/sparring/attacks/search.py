"""Search for models that give only a score: gradients where there are any, then evolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.attacks.apgd import APGD
from sparring.attacks.base import Attack, Model, Oracle
from sparring.attacks.evolution import Population, offspring
from sparring.attacks.oracle import NoGradient
from sparring.objectives import Objective, margin
from sparring.threats.base import ThreatModel, flat


@dataclass(frozen=True, kw_only=True)
class ConstrainedSearch(Attack):
    """Two phases within any threat: constrained gradient ascent, then an evolutionary search seeded with its points.

    A cascade like CAA of Simonetto et al., "Constrained Adaptive Attack: Effective Adversarial Attack Against Deep
    Neural Networks for Tabular Data", NeurIPS 2024 (a constrained APGD, then a genetic search on those left).

    Phase 1: with a `guide` (a differentiable surrogate) one APGD run on it per restart gives transfer seeds and asks
    the model nothing; without one, an `nn.Module` is climbed itself (a Module whose outputs carry no gradient costs
    one pass, and the trace holds `no_gradient`); any other callable goes to phase 2 at once.
    Phase 2: `population` members for each sample, the best kept from generation to generation, all children of a
    generation in one call of at most `batch_size` rows.

    A sample that stands to the end costs exactly `queries` forward passes, both phases together. `loss` is the payoff
    climbed (None: the call's objective).
    """

    queries: int = 1000
    population: int = 32
    gradient_steps: int = 20
    guide: Model | None = None
    guide_restarts: int = 4
    batch_size: int = 4096
    loss: Objective | None = margin

    def __post_init__(self) -> None:
        if min(self.queries, self.population, self.batch_size) < 1:
            raise ValueError("queries, population and batch_size must be at least 1")

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        oracle = oracle.view(objective=self.loss)
        chunk = max(self.batch_size // self.population, 1)
        parts = torch.split(torch.arange(len(x), device=x.device), chunk)
        return torch.cat([self._attack(oracle.view(p), x[p], y[p], threat, generator) for p in parts])

    def _attack(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        seeds, won, spent = self._seeds(oracle, x, y, threat, generator)
        best = x.clone()
        best[won] = seeds[0][won] if seeds else best[won]
        rows = (~won).nonzero().squeeze(1)
        if len(rows) and spent < self.queries:
            kept = [s[rows] for s in seeds]
            best[rows] = self._evolve(oracle.view(rows), x[rows], y[rows], threat, generator, kept, spent)
        elif seeds:
            best[rows] = seeds[0][rows]
        return best

    def _seeds(
        self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> tuple[list[Tensor], Tensor, int]:
        """Points to start from, which of the first of them win already, and the queries this took per sample."""
        none = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if self.guide is not None:
            climb = APGD(steps=max(self.gradient_steps, 1), criterion=self.criterion, active_set=False)
            starts = range(min(self.guide_restarts, self.population))
            played = [
                climb.perturb(self.guide, (x, y), threat, objective=oracle.objective, generator=generator)
                for _ in starts
            ]
            return played, none, 0
        steps = min(self.gradient_steps, self.queries - 1)
        if not isinstance(oracle.model, nn.Module) or steps < 1:
            return [], none, 0
        try:
            points, _, won = APGD(steps=steps, active_set=self.active_set).run(oracle, x, y, threat, generator)
        except NoGradient:
            oracle.note("no_gradient", 1.0)
            return [], none, 1
        return [points], won, steps + 1

    def _evolve(
        self,
        oracle: Oracle,
        x: Tensor,
        y: Tensor,
        threat: ThreatModel,
        generator: torch.Generator,
        seeds: list[Tensor],
        spent: int,
    ) -> Tensor:
        """Generations until the budget is spent; returns the first winner or the best member of each sample."""
        size = min(self.population, self.queries - spent)
        fresh = [threat.sample(x, generator=generator) for _ in range(size - len(seeds[:size]))]
        members = torch.stack([flat(p) for p in [*seeds[:size], *fresh]], dim=1)
        rows, out = torch.arange(len(x), device=x.device), flat(x).clone()
        value, fallen = self._score(oracle, members, x, y, rows)
        herd, left = Population(members, value), self.queries - spent - size
        while True:
            best, won = herd.champions(fallen)
            out[rows] = best
            if self.active_set and bool(won.any()):
                stay = ~won
                rows, x, y, herd = rows[stay], x[stay], y[stay], herd.keep(stay)
            if left == 0 or len(rows) == 0:
                return out.reshape(len(out), *x.shape[1:])
            children = offspring(herd, x, threat, min(size, left), generator)
            left -= children.shape[1]
            value, fallen = self._score(oracle, children, x, y, rows)
            herd, fallen = herd.succeed(children, value, fallen)

    def _score(self, oracle: Oracle, members: Tensor, x: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Payoff and fall of members `(n, p, d)`, each `(n, p)`, in calls of at most `batch_size` rows."""
        n, p = members.shape[:2]
        points = members.reshape(n * p, *x.shape[1:])
        target, who = y.repeat_interleave(p, dim=0), rows.repeat_interleave(p)
        cuts = zip(*(torch.split(t, self.batch_size) for t in (points, target, who)), strict=True)
        answers = [oracle.score(*cut) for cut in cuts]
        value, fallen = (torch.cat(part).reshape(n, p) for part in zip(*answers, strict=True))
        return value, fallen
