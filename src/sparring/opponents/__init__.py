"""Opponents: second networks trained against the defender (gradient reversal, critics and their penalties)."""

from sparring.opponents.critics import (
    HINGE,
    LEAST_SQUARES,
    NON_SATURATING,
    WASSERSTEIN,
    Critic,
    CriticLoss,
    held,
    players,
)
from sparring.opponents.domains import BalancingWeights, Condition, DomainClassifier, ScoreBins, predicted_classes
from sparring.opponents.monitor import domain_figures, gradient_ratio
from sparring.opponents.networks import linear, perceptron
from sparring.opponents.penalties import R1, R2, Drift, GradientPenalty, Penalty, interpolate, slope
from sparring.opponents.reversal import Reversal, reverse

__all__ = [
    "HINGE",
    "LEAST_SQUARES",
    "NON_SATURATING",
    "R1",
    "R2",
    "WASSERSTEIN",
    "BalancingWeights",
    "Condition",
    "Critic",
    "CriticLoss",
    "DomainClassifier",
    "Drift",
    "GradientPenalty",
    "Penalty",
    "Reversal",
    "ScoreBins",
    "domain_figures",
    "gradient_ratio",
    "held",
    "interpolate",
    "linear",
    "perceptron",
    "players",
    "predicted_classes",
    "reverse",
    "slope",
]
