"""The moving parts of Auto-PGD: the live samples of a run, and the two ways its step is chosen.

Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, section 3 (momentum), and "Mind the box: l1-APGD for sparse adversarial attacks on image
classifiers", ICML 2021, section 4 (sparse).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import compact
from sparring.attacks.region import Region
from sparring.threats.base import ThreatModel, flat, per_sample
from sparring.threats.interval import free
from sparring.threats.lp import L1


@dataclass
class Ascent:
    """The live samples of one run; every tensor is `(live, ...)`. The points are buffers of its own."""

    region: Region
    rows: Tensor
    y: Tensor
    x_adv: Tensor
    previous: Tensor
    grad: Tensor
    value: Tensor
    best: Tensor
    best_grad: Tensor
    best_value: Tensor

    def keep(self, kept: Tensor) -> None:
        """Drop the other samples."""
        self.region.keep(kept)
        _keep(self, kept)

    def record(self, value: Tensor, grad: Tensor) -> Tensor:
        """Take in the payoff and gradient at `x_adv`; returns which samples rose since the last step."""
        rose, better = value > self.value, value > self.best_value
        self.value, self.grad = value, grad
        wide = per_sample(better, self.x_adv)
        torch.where(wide, self.x_adv, self.best, out=self.best)
        self.best_grad = torch.where(wide, grad, self.best_grad)
        self.best_value = torch.where(better, value, self.best_value)
        return rose

    def back_to_best(self, chosen: Tensor) -> None:
        """Move the chosen samples back to their best point."""
        if bool(chosen.any()):
            wide = per_sample(chosen, self.x_adv)
            self.x_adv = torch.where(wide, self.best, self.x_adv)
            self.grad = torch.where(wide, self.best_grad, self.grad)


class Schedule(ABC):
    """How far and where each live sample moves; its tensors are `(live,)`."""

    @abstractmethod
    def move(self, a: Ascent, iteration: int) -> Tensor:
        """The next point of every live sample, a member of the threat; `a.previous` may be overwritten."""

    @abstractmethod
    def review(self, a: Ascent, rose: Tensor) -> None:
        """After each step: count, and at a checkpoint change the step and go back to the best point."""

    def keep(self, kept: Tensor) -> None:
        """Drop the other samples."""
        _keep(self, kept)


class Momentum(Schedule):
    """Steps of twice the radius at first, halved at checkpoints that come at shrinking distances.

    A step is halved when the payoff rose in no more than `rho` of the steps since the last checkpoint, or when
    neither the step nor the best payoff changed since then (conditions 1 and 2 of the paper).
    """

    def __init__(self, a: Ascent, threat: ThreatModel, steps: int, rho: float) -> None:
        self.step = torch.full_like(a.value, 2 * threat.radius)
        self.rises = torch.zeros_like(a.rows)
        self.reduced = torch.ones_like(a.rows, dtype=torch.bool)
        self.checked_value = a.best_value
        self.rho, self.since = rho, 0
        self.every = max(int(0.22 * steps), 1)
        self.sooner, self.least = max(int(0.03 * steps), 1), max(int(0.06 * steps), 1)

    def move(self, a: Ascent, iteration: int) -> Tensor:
        step = per_sample(self.step, a.x_adv).to(a.x_adv.dtype)
        if iteration == 0:
            return a.region.aim(a.x_adv, a.grad, step).clone()
        aim = a.region.aim(a.x_adv, a.grad, step)
        # x + 0.75 (aim - x) + 0.25 (x - previous), as a quarter of 2 x - previous and three quarters of the aim
        ahead = torch.lerp(a.previous, a.x_adv, 2.0, out=a.previous)
        return a.region.project(torch.lerp(ahead, aim, 0.75, out=ahead), out=ahead)

    def review(self, a: Ascent, rose: Tensor) -> None:
        self.rises = self.rises + rose
        self.since += 1
        if self.since < self.every:
            return
        stuck = ~self.reduced & (self.checked_value >= a.best_value)
        halve = (self.rises <= self.rho * self.every) | stuck
        self.step = torch.where(halve, self.step / 2, self.step)
        a.back_to_best(halve)
        self.reduced, self.checked_value = halve, a.best_value
        self.rises, self.since = torch.zeros_like(self.rises), 0
        self.every = max(self.every - self.sooner, self.least)


class Sparse(Schedule):
    """For L1 balls: the number of entries that move follows the sparsity of the best point so far.

    While the best point gets sparser the step starts anew at the radius; otherwise it shrinks by 1.5, down to a
    tenth of the radius.
    """

    def __init__(self, a: Ascent, threat: L1, steps: int, *, warm: bool) -> None:
        self.radius, self.low, self.high = threat.radius, threat.low, threat.high
        self.step = torch.full_like(a.value, threat.radius)
        self.d = flat(a.x_adv).shape[1]
        moved = self._moved(a.x_adv, a.region.x)
        self.support = moved if warm else torch.full_like(moved, self.d)
        self.share = moved / self.d / 1.5 if warm else torch.full_like(moved, 0.2)
        self.every, self.since = max(int(0.04 * steps), 1), 0

    def move(self, a: Ascent, iteration: int) -> Tensor:
        grad, at = flat(a.grad), flat(a.x_adv)
        grad = free(grad, at, self.low, self.high)  # an entry at its bound cannot follow the gradient outwards
        size = grad.abs()
        count = (self.share * self.d).long().clamp(1, self.d)
        largest = size.topk(int(count.max()), dim=1).values
        floor = largest.gather(1, (count - 1).unsqueeze(1))
        direction = torch.where(size >= floor, grad.sign(), torch.zeros_like(grad))
        length = direction.abs().sum(1).clamp_min(1)
        scale = (self.step.to(length.dtype) / length).unsqueeze(1)
        return a.region.project(a.x_adv + (direction * scale).reshape(a.x_adv.shape))

    def review(self, a: Ascent, rose: Tensor) -> None:
        self.since += 1
        if self.since < self.every:
            return
        support = self._moved(a.best, a.region.x)
        sparser = support < 0.95 * self.support
        self.share, self.support = support / self.d / 1.5, support
        smaller = (self.step / 1.5).clamp_min(self.radius / 10)
        self.step = torch.where(sparser, torch.full_like(self.step, self.radius), smaller)
        a.back_to_best(sparser)
        self.since = 0

    @staticmethod
    def _moved(point: Tensor, x: Tensor) -> Tensor:
        return (flat(point) != flat(x)).sum(1).float()


def _keep(holder: Ascent | Schedule, kept: Tensor) -> None:
    tensors = {name: value for name, value in vars(holder).items() if isinstance(value, Tensor)}
    for name, value in zip(tensors, compact(kept, *tensors.values()), strict=True):
        setattr(holder, name, value)
