"""Adversarial training as one game: defender, adversary, payoff, threat, and an evaluation that holds.

The public names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sparring.attacks.base import Attack as Attack
    from sparring.attacks.pgd import FGSM as FGSM
    from sparring.attacks.pgd import PGD as PGD
    from sparring.threats.base import ThreatModel as ThreatModel
    from sparring.threats.lp import L1 as L1
    from sparring.threats.lp import L2 as L2
    from sparring.threats.lp import LInf as LInf

_HOME = {
    "Attack": "attacks.base",
    "FGSM": "attacks.pgd",
    "L1": "threats.lp",
    "L2": "threats.lp",
    "LInf": "threats.lp",
    "PGD": "attacks.pgd",
    "ThreatModel": "threats.base",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sparring.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
