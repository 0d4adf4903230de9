"""Proofs: randomised smoothing for any classifier, interval bounds for networks of known layers."""

from sparring.evaluation.certificates.ibp import Bounded, Residual, bounds, certify, enclosing_box, margin_bounds
from sparring.evaluation.certificates.smoothing import ABSTAIN, Smoothed, SmoothedClassifier, smoothing_proof

__all__ = [
    "ABSTAIN",
    "Bounded",
    "Residual",
    "Smoothed",
    "SmoothedClassifier",
    "bounds",
    "certify",
    "enclosing_box",
    "margin_bounds",
    "smoothing_proof",
]
