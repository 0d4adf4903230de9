"""Adversaries that perturb inputs, one small file each, all behind the one call of `Attack`."""

from sparring.attacks.apgd import APGD, APGDTargeted
from sparring.attacks.base import Attack, AttackResult, Model, NonFinite, Oracle, Queries, ThreatViolation, frozen
from sparring.attacks.bpda import BPDA
from sparring.attacks.decision import DecisionSearch
from sparring.attacks.eot import EOT
from sparring.attacks.fab import FAB, FABTargeted
from sparring.attacks.hopskipjump import HopSkipJump
from sparring.attacks.minimum_norm import DDN, FMN
from sparring.attacks.pgd import FGSM, PGD
from sparring.attacks.search import ConstrainedSearch
from sparring.attacks.square import Square
from sparring.attacks.standard import StandardEnsemble
from sparring.attacks.transfer import Bank, Transfer
from sparring.attacks.worst_of import WorstOf

__all__ = [
    "APGD",
    "BPDA",
    "DDN",
    "EOT",
    "FAB",
    "FGSM",
    "FMN",
    "PGD",
    "APGDTargeted",
    "Attack",
    "AttackResult",
    "Bank",
    "ConstrainedSearch",
    "DecisionSearch",
    "FABTargeted",
    "HopSkipJump",
    "Model",
    "NonFinite",
    "Oracle",
    "Queries",
    "Square",
    "StandardEnsemble",
    "ThreatViolation",
    "Transfer",
    "WorstOf",
    "frozen",
]
