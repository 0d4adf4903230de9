"""Proposals: adversaries that generate moves, score them by playing, and improve."""

from sparring.proposals.base import Improver, Proposer
from sparring.proposals.categorical import CategoricalProposer
from sparring.proposals.gibbs import gibbs, kl, regularised_value, soft_value
from sparring.proposals.policy_gradient import PolicyGradient
from sparring.proposals.preference import Preference

__all__ = [
    "CategoricalProposer",
    "Improver",
    "PolicyGradient",
    "Preference",
    "Proposer",
    "gibbs",
    "kl",
    "regularised_value",
    "soft_value",
]
