"""Projected gradient ascent, and its one-step form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle, compact, take, worth_compacting
from sparring.attacks.region import Region
from sparring.objectives import never
from sparring.threats.base import ThreatModel


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Projected gradient ascent (Madry et al., "Towards Deep Learning Models Resistant ...", ICLR 2018).

    `steps` moves of `step_size` times the threat's radius along its steepest direction, each projected back,
    from `restarts` starts: random members of the threat, or the input itself with `random_start=False`.
    `step_size=None` is 2.5 / steps, enough to reach every corner of the set and come back.
    """

    steps: int = 40
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        rows = torch.arange(len(x), device=x.device)
        if self.restarts == 1:
            return self._ascend(oracle, self._start(x, threat, generator), x, y, rows, threat)
        best = x.clone()
        for restart in range(self.restarts):
            clean, target = take(rows, x, y)
            start = self._start(clean, threat, generator)
            best.index_copy_(0, rows, self._ascend(oracle, start, clean, target, rows, threat))
            if restart + 1 < self.restarts:
                rows = rows[~oracle.score(best[rows], target, rows)[1]]
                if len(rows) == 0:
                    break
        return best

    def _start(self, x: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        return threat.sample(x, generator=generator) if self.random_start else threat.project(x, x)

    def _ascend(self, oracle: Oracle, start: Tensor, x: Tensor, y: Tensor, rows: Tensor, threat: ThreatModel) -> Tensor:
        step = threat.radius * (2.5 / self.steps if self.step_size is None else self.step_size)
        oracle = oracle if self.active_set else oracle.view(criterion=never)
        start = start.clone() if start.data_ptr() == x.data_ptr() else start  # steps are made in its memory
        region, x_adv, out = Region(threat, x), start, start
        live = torch.arange(len(x), device=x.device)
        down = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for _ in range(self.steps):
            _, fallen, grad = oracle.gradient(x_adv, y, rows)
            oracle.watch(grad)
            if self.active_set and bool(fallen.any()):
                new = (fallen & ~down).nonzero().squeeze(1)
                out = torch.empty_like(start) if out is start else out
                out.index_copy_(0, live.index_select(0, new), x_adv.index_select(0, new))
                down |= fallen
                if worth_compacting(down):
                    kept = ~down
                    region.keep(kept)
                    x_adv, y, rows, grad, live, down = compact(kept, x_adv, y, rows, grad, live, down)
                    if len(rows) == 0:
                        return out
            x_adv = region.climb_(x_adv, grad, step)
        if out is start:
            return x_adv
        standing = (~down).nonzero().squeeze(1)
        return out.index_copy_(0, live.index_select(0, standing), x_adv.index_select(0, standing))


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """One full-radius step along the steepest direction from the input itself.

    Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015 (for L∞, the gradient's sign).
    """

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        _, fallen, grad = oracle.gradient(x, y, torch.arange(len(x), device=x.device))
        oracle.watch(grad)
        x_adv = threat.project(torch.add(x, threat.steepest(grad, x, x), alpha=threat.radius), x)
        if self.active_set and bool(fallen.any()):
            down = fallen.nonzero().squeeze(1)
            x_adv.index_copy_(0, down, x.index_select(0, down))
        return x_adv

    def _search_standing(
        self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        return self.search(oracle, x, y, threat, generator)  # its only gradient is at the input: a check of its own
