"""Projected gradient ascent, and its one-step form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle, compact, worth_compacting
from sparring.attacks.region import Region
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
        best = x.clone()
        rows = torch.arange(len(x), device=x.device)
        for restart in range(self.restarts):
            clean, target = x[rows], y[rows]
            start = threat.sample(clean, generator=generator) if self.random_start else threat.project(clean, clean)
            best[rows] = self._ascend(oracle, start, clean, target, rows, threat)
            if restart + 1 < self.restarts:
                rows = rows[~oracle.score(best[rows], target, rows)[1]]
                if len(rows) == 0:
                    break
        return best

    def _ascend(self, oracle: Oracle, x_adv: Tensor, x: Tensor, y: Tensor, rows: Tensor, threat: ThreatModel) -> Tensor:
        step = threat.radius * (2.5 / self.steps if self.step_size is None else self.step_size)
        region = Region(threat, x)
        out, live = x_adv.clone(), torch.arange(len(x), device=x.device)
        done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for _ in range(self.steps):
            _, fallen, grad = oracle.gradient(x_adv, y, rows)
            oracle.note_gradient(grad)
            if self.active_set:
                new = fallen & ~done[live]
                if bool(new.any()):
                    out[live[new]] = x_adv[new]
                    done[live[new]] = True
                if worth_compacting(done[live]):
                    kept = ~done[live]
                    region.keep(kept)
                    x_adv, y, rows, grad, live = compact(kept, x_adv, y, rows, grad, live)
                    if len(rows) == 0:
                        return out
            x_adv = region.project(torch.add(x_adv, region.steepest(grad, x_adv), alpha=step))
        standing = ~done[live]
        out[live[standing]] = x_adv[standing]
        return out


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """One full-radius step along the steepest direction from the input itself.

    Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015 (for L∞, the gradient's sign).
    """

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        grad = oracle.gradient(x, y, torch.arange(len(x), device=x.device))[2]
        oracle.note_gradient(grad)
        return threat.project(x + threat.radius * threat.steepest(grad, x, x), x)
