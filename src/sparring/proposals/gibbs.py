"""The best adversary under a price on unlikeliness, in closed form on a finite set of moves.

An adversary that maximises  E_ψ[u] - τ KL(ψ || ψ_ref)  over all laws ψ plays

    ψ*(y) = ψ_ref(y) exp(u(y) / τ) / Z,     with value  τ log Z = τ log E_ref[exp(u / τ)]

(Donsker & Varadhan). τ → 0 is the worst move of the prior's support, τ → ∞ the prior itself. Learnt
proposers are tested against this law. All tensors are `(..., m)` over m moves.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _check(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, got {temperature}")


def gibbs(log_prior: Tensor, utility: Tensor, temperature: float) -> Tensor:
    """log ψ* `(..., m)`, normalised; the prior need not be. Utility `-inf` gets probability 0."""
    _check(temperature)
    return F.log_softmax(log_prior + utility / temperature, dim=-1)


def soft_value(log_prior: Tensor, utility: Tensor, temperature: float) -> Tensor:
    """τ log E_ref[exp(u / τ)], `(...)`: what the best adversary gets, its price paid, in units of the utility."""
    _check(temperature)
    return temperature * torch.logsumexp(F.log_softmax(log_prior, dim=-1) + utility / temperature, dim=-1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) in nats, `(...)`, of normalised log-probabilities; infinite where p plays what q cannot."""
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), torch.zeros_like(p)).sum(-1)


def regularised_value(log_prob: Tensor, log_prior: Tensor, utility: Tensor, temperature: float) -> Tensor:
    """E_ψ[u] - τ KL(ψ || ψ_ref) of any law ψ, `(...)`; at most `soft_value`, with equality at `gibbs` alone."""
    _check(temperature)
    p = log_prob.exp()
    gain = torch.where(p > 0, p * utility, torch.zeros_like(p)).sum(-1)
    return gain - temperature * kl(log_prob, F.log_softmax(log_prior, dim=-1))
