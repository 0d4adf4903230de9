"""Improve a proposer by policy gradient, with a price on leaving the prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PolicyGradient:
    """REINFORCE on  E_ψ[u] - τ KL(ψ || ψ_ref), each candidate judged against the mean of the others.

    The reward of a candidate is r = u - τ log ψ_φ/ψ_ref (its own share of the KL) and its advantage
    r_i - mean_{j≠i} r_j: Williams 1992 with the leave-one-out baseline of Kool et al., "Buy 4 REINFORCE
    Samples, Get a Baseline for Free!", 2019. The candidates must be drawn from the present ψ_φ. At the Gibbs
    law r is the same for every move, so there the estimate is 0 in each sample, not only on average.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"the temperature must be at least 0, got {self.temperature}")

    def __call__(self, log_prob: Tensor, log_prior: Tensor, utility: Tensor) -> Tensor:
        """Loss per context `(n,)` from `(n, k)` tensors, k ≥ 2; its gradient, not its value, is what counts."""
        k = utility.shape[1]
        if k < 2:
            raise ValueError("the leave-one-out baseline needs at least 2 candidates per context")
        if not bool(torch.isfinite(utility).all()):
            raise ValueError("non-finite utility: a policy gradient needs a finite price on infeasible moves")
        reward = (utility - self.temperature * (log_prob - log_prior)).detach()
        advantage = (reward - reward.mean(1, keepdim=True)) * k / (k - 1)
        return -(advantage * log_prob).mean(1)
