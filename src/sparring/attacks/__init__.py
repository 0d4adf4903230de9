"""Adversaries that perturb inputs, one small file each, all behind the one call of `Attack`."""

from sparring.attacks.apgd import APGD, APGDTargeted
from sparring.attacks.base import Attack, AttackResult, Model, NonFinite, Oracle, Queries, ThreatViolation, frozen
from sparring.attacks.fab import FAB, FABTargeted
from sparring.attacks.pgd import FGSM, PGD
from sparring.attacks.square import Square
from sparring.attacks.standard import StandardEnsemble

__all__ = [
    "APGD",
    "FAB",
    "FGSM",
    "PGD",
    "APGDTargeted",
    "Attack",
    "AttackResult",
    "FABTargeted",
    "Model",
    "NonFinite",
    "Oracle",
    "Queries",
    "Square",
    "StandardEnsemble",
    "ThreatViolation",
    "frozen",
]
