"""A user's forecaster as the traffic prior: its modes become the attacker's candidates, its probabilities ψ_ref."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.driving.escape import escapes
from sparring.systems.driving.lattice import feasible
from sparring.systems.driving.scenes import STEPS, Scenes

APART = 0.5
"""Metres that a forecast may start away from where the attacker is."""


class Forecaster(Protocol):
    """Predicts vehicle 0 of each scene: `(paths, log_prob)`, paths `(S, M, STEPS + 1, 4)` of x, y, heading, speed every
    0.1 s from the scene's first moment on, and log-probabilities `(S, M)` of the modes (normalised here)."""

    def __call__(self, scenes: Scenes) -> tuple[Tensor, Tensor]: ...


def with_forecast(scenes: Scenes, forecaster: Forecaster, *, log: float = 0.1) -> Scenes:
    """The scenes with a forecaster's modes as candidates 1 ... M; candidate 0 stays the log, with probability `log`.

    Which modes hit a third vehicle, and which nothing escapes, is found out anew. Raises `BadInput` for forecasts of
    another shape, that are not finite, or that do not start where the attacker is.
    """
    if not 0 < log < 1:
        raise ValueError(f"log is a probability between 0 and 1; got {log}")
    paths, score = forecaster(scenes)
    told = type(forecaster).__name__
    if paths.ndim != 4 or paths.shape[0] != len(scenes) or paths.shape[2:] != (STEPS + 1, 4):
        wanted = f"({len(scenes)}, modes, {STEPS + 1}, 4)"
        raise BadInput(f"forecaster {told}: paths are {tuple(paths.shape)}; give {wanted}")
    if score.shape != paths.shape[:2]:
        raise BadInput(
            f"forecaster {told}: log_prob is {tuple(score.shape)}; give one per mode, {tuple(paths.shape[:2])}"
        )
    if not bool(torch.isfinite(paths).all()) or bool(torch.isnan(score).any()) or bool((score == torch.inf).any()):
        raise BadInput(f"forecaster {told}: paths or log_prob are not finite; a mode may have log_prob -inf")
    away = (paths[:, :, 0, :2] - scenes.log[:, :1, 0, :2]).square().sum(2).sqrt()
    if float(away.max()) > APART:
        raise BadInput(f"forecaster {told}: a path starts {float(away.max()):.1f} m from the attacker; use its frame")
    moves = torch.cat([scenes.log[:, :1], paths], dim=1)
    first = torch.full((len(scenes), 1), log).log()
    prior = torch.cat([first, F.log_softmax(score, dim=1) + torch.tensor(1 - log).log()], dim=1)
    good = feasible(moves, scenes.log[:, 1:], scenes.size[:, 1:])
    found = replace(scenes, moves=moves, log_prior=prior.clamp_min(-60), feasible=good)
    return replace(found, avoidable=escapes(found))
