"""Improve a proposer from preferences between its candidates (the DPO form, against a fixed prior)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Cross entropy of all candidate pairs' preferences, predicted from log-ratios to the prior.

    For a pair (i, j) the proposer predicts that i wins with probability σ(h),

        h = β [ log ψ_φ(i)/ψ_ref(i) - log ψ_φ(j)/ψ_ref(j) ]

    (Rafailov et al., "Direct Preference Optimization", NeurIPS 2023, equation 7). The label q is the
    probability that i is preferred:

    * "soft": q = σ(β (u_i - u_j) / τ), the Bradley-Terry law of the utility gap. Then h matches every label at
      once exactly where ψ_φ ∝ ψ_ref exp(u/τ): the Gibbs law of temperature τ is the fixed point, for any β
      and any law the candidates were drawn from.
    * "hard": q = 1 for the higher utility; sharper than Gibbs, without a finite optimum where preferences never
      conflict. `margin` asks for h ≥ margin, not only h ≥ 0, before a pair is content (Amini et al., "Direct
      Preference Optimization with an Offset", 2024).

    Pairs whose utilities differ by no more than `min_gap` are left out. Utility `-inf` marks an infeasible move:
    it loses to every feasible one for certain, and pairs of two infeasible ones are left out.
    """

    temperature: float
    beta: float = 1.0
    labels: Literal["soft", "hard"] = "soft"
    margin: float = 0.0
    min_gap: float = 0.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and self.beta > 0):
            raise ValueError(f"temperature and beta must be above 0, got {self.temperature} and {self.beta}")
        if self.labels not in ("soft", "hard"):
            raise ValueError(f'labels are "soft" or "hard", got {self.labels!r}')
        if self.margin and self.labels == "soft":
            raise ValueError("a margin shifts the optimum of soft labels away from the Gibbs law: use hard labels")

    def __call__(self, log_prob: Tensor, log_prior: Tensor, utility: Tensor) -> Tensor:
        """Loss per context `(n,)`, the mean over its pairs, from `(n, k)` tensors; 0 where no pair is left."""
        k = utility.shape[1]
        i, j = torch.triu_indices(k, k, offset=1, device=utility.device)
        ratio = log_prob - log_prior
        h = self.beta * (ratio[:, i] - ratio[:, j])
        gap = (utility[:, i] - utility[:, j]).detach()
        # -inf minus -inf is NaN: no preference. Ties say nothing under hard labels; under soft ones, "equal".
        valid = ~gap.isnan() & ((gap.abs() > self.min_gap) | ((self.min_gap == 0) & (self.labels == "soft")))
        gap = torch.where(valid, gap, torch.zeros_like(gap))
        if self.labels == "soft":
            q = torch.sigmoid(self.beta * gap / self.temperature)
            loss = -q * F.logsigmoid(h) - (1 - q) * F.logsigmoid(-h)
        else:
            loss = -F.logsigmoid(torch.sign(gap) * h - self.margin)
        return torch.where(valid, loss, torch.zeros_like(loss)).sum(1) / valid.sum(1).clamp_min(1)
