"""Adversaries that perturb inputs, one small file each, all behind the one call of `Attack`."""

from sparring.attacks.apgd import APGD, APGDTargeted
from sparring.attacks.base import Attack, AttackResult, Model, NonFinite, Oracle, Queries, ThreatViolation, frozen
from sparring.attacks.decision import DecisionSearch
from sparring.attacks.eot import EOT
from sparring.attacks.fab import FAB, FABTargeted
from sparring.attacks.pgd import FGSM, PGD
from sparring.attacks.search import ConstrainedSearch
from sparring.attacks.square import Square
from sparring.attacks.standard import StandardEnsemble

__all__ = [
    "APGD",
    "EOT",
    "FAB",
    "FGSM",
    "PGD",
    "APGDTargeted",
    "Attack",
    "AttackResult",
    "ConstrainedSearch",
    "DecisionSearch",
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
