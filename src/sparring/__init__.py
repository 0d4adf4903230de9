"""Adversarial training as one game: defender, adversary, payoff, threat, and an evaluation that holds.

The public names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sparring.attacks import APGD as APGD
    from sparring.attacks import BPDA as BPDA
    from sparring.attacks import DDN as DDN
    from sparring.attacks import EOT as EOT
    from sparring.attacks import FAB as FAB
    from sparring.attacks import FGSM as FGSM
    from sparring.attacks import FMN as FMN
    from sparring.attacks import PGD as PGD
    from sparring.attacks import APGDTargeted as APGDTargeted
    from sparring.attacks import Attack as Attack
    from sparring.attacks import Bank as Bank
    from sparring.attacks import ConstrainedSearch as ConstrainedSearch
    from sparring.attacks import DecisionSearch as DecisionSearch
    from sparring.attacks import FABTargeted as FABTargeted
    from sparring.attacks import HopSkipJump as HopSkipJump
    from sparring.attacks import Square as Square
    from sparring.attacks import StandardEnsemble as StandardEnsemble
    from sparring.attacks import Transfer as Transfer
    from sparring.attacks import WorstOf as WorstOf
    from sparring.evaluation.masking import diagnose as diagnose
    from sparring.evaluation.protocol import Adversary as Adversary
    from sparring.evaluation.protocol import evaluate as evaluate
    from sparring.evaluation.scorecard import Scorecard as Scorecard
    from sparring.game import Game as Game
    from sparring.game import StepResult as StepResult
    from sparring.game import Task as Task
    from sparring.launch import launch as launch
    from sparring.objectives import cross_entropy as cross_entropy
    from sparring.objectives import dlr as dlr
    from sparring.objectives import kl_divergence as kl_divergence
    from sparring.objectives import margin as margin
    from sparring.objectives import scale_free_margin as scale_free_margin
    from sparring.own import assess as assess
    from sparring.own import harden as harden
    from sparring.strategies import AWP as AWP
    from sparring.strategies import EMA as EMA
    from sparring.strategies import LBGAT as LBGAT
    from sparring.strategies import MART as MART
    from sparring.strategies import PGDAT as PGDAT
    from sparring.strategies import SCORE as SCORE
    from sparring.strategies import TRADES as TRADES
    from sparring.strategies import Alternating as Alternating
    from sparring.strategies import Consistency as Consistency
    from sparring.strategies import Fast as Fast
    from sparring.strategies import Free as Free
    from sparring.strategies import GradientReversal as GradientReversal
    from sparring.strategies import Guided as Guided
    from sparring.strategies import SelfPlay as SelfPlay
    from sparring.strategies import Standard as Standard
    from sparring.threats import L1 as L1
    from sparring.threats import L2 as L2
    from sparring.threats import SNR as SNR
    from sparring.threats import Box as Box
    from sparring.threats import Control as Control
    from sparring.threats import Corruptions as Corruptions
    from sparring.threats import Finite as Finite
    from sparring.threats import Integer as Integer
    from sparring.threats import Intersection as Intersection
    from sparring.threats import LInf as LInf
    from sparring.threats import Mask as Mask
    from sparring.threats import OneHotGroups as OneHotGroups
    from sparring.threats import Patch as Patch
    from sparring.threats import Relations as Relations
    from sparring.threats import Spatial as Spatial
    from sparring.threats import ThreatModel as ThreatModel
    from sparring.threats import Union as Union

_HOME = {
    "APGD": "attacks",
    "APGDTargeted": "attacks",
    "AWP": "strategies",
    "Adversary": "evaluation.protocol",
    "Alternating": "strategies",
    "Attack": "attacks",
    "BPDA": "attacks",
    "Bank": "attacks",
    "Box": "threats",
    "Consistency": "strategies",
    "ConstrainedSearch": "attacks",
    "Control": "threats",
    "Corruptions": "threats",
    "DDN": "attacks",
    "DecisionSearch": "attacks",
    "EMA": "strategies",
    "EOT": "attacks",
    "FAB": "attacks",
    "FABTargeted": "attacks",
    "FGSM": "attacks",
    "FMN": "attacks",
    "Fast": "strategies",
    "Finite": "threats",
    "Free": "strategies",
    "Game": "game",
    "GradientReversal": "strategies",
    "Guided": "strategies",
    "HopSkipJump": "attacks",
    "Integer": "threats",
    "Intersection": "threats",
    "L1": "threats",
    "L2": "threats",
    "LBGAT": "strategies",
    "LInf": "threats",
    "MART": "strategies",
    "Mask": "threats",
    "OneHotGroups": "threats",
    "PGD": "attacks",
    "PGDAT": "strategies",
    "Patch": "threats",
    "Relations": "threats",
    "SCORE": "strategies",
    "SNR": "threats",
    "Scorecard": "evaluation.scorecard",
    "SelfPlay": "strategies",
    "Spatial": "threats",
    "Square": "attacks",
    "Standard": "strategies",
    "StandardEnsemble": "attacks",
    "StepResult": "game",
    "TRADES": "strategies",
    "Task": "game",
    "ThreatModel": "threats",
    "Transfer": "attacks",
    "Union": "threats",
    "WorstOf": "attacks",
    "assess": "own",
    "cross_entropy": "objectives",
    "diagnose": "evaluation.masking",
    "dlr": "objectives",
    "evaluate": "evaluation.protocol",
    "harden": "own",
    "kl_divergence": "objectives",
    "launch": "launch",
    "margin": "objectives",
    "scale_free_margin": "objectives",
}

__all__ = [
    "APGD",
    "AWP",
    "BPDA",
    "DDN",
    "EMA",
    "EOT",
    "FAB",
    "FGSM",
    "FMN",
    "L1",
    "L2",
    "LBGAT",
    "MART",
    "PGD",
    "PGDAT",
    "SCORE",
    "SNR",
    "TRADES",
    "APGDTargeted",
    "Adversary",
    "Alternating",
    "Attack",
    "Bank",
    "Box",
    "Consistency",
    "ConstrainedSearch",
    "Control",
    "Corruptions",
    "DecisionSearch",
    "FABTargeted",
    "Fast",
    "Finite",
    "Free",
    "Game",
    "GradientReversal",
    "Guided",
    "HopSkipJump",
    "Integer",
    "Intersection",
    "LInf",
    "Mask",
    "OneHotGroups",
    "Patch",
    "Relations",
    "Scorecard",
    "SelfPlay",
    "Spatial",
    "Square",
    "Standard",
    "StandardEnsemble",
    "StepResult",
    "Task",
    "ThreatModel",
    "Transfer",
    "Union",
    "WorstOf",
    "__version__",
    "assess",
    "cross_entropy",
    "diagnose",
    "dlr",
    "evaluate",
    "harden",
    "kl_divergence",
    "launch",
    "margin",
    "scale_free_margin",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    module = importlib.import_module(f"sparring.{_HOME[name]}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
