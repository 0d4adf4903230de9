"""Adversarial training as one game: defender, adversary, payoff, threat, and an evaluation that holds."""

__version__ = "0.1.0"
