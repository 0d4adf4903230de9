"""Honest evaluation: protocol, figures with intervals, masking checks, the active test, certificates, scorecard.

The names are loaded when they are first used, so that reading a scorecard does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.evaluation.figures import evaluation_rows, query_curve, radius_curve
    from sparring.evaluation.masking import Diagnosis, diagnose, verdict
    from sparring.evaluation.protocol import (
        Adversary,
        CertificateBroken,
        Evaluation,
        Outcome,
        Proof,
        describe,
        evaluate,
    )
    from sparring.evaluation.scorecard import Check, Row, Scorecard, Verdict

_HOME = {
    "Adversary": "protocol",
    "CertificateBroken": "protocol",
    "Check": "scorecard",
    "Diagnosis": "masking",
    "Evaluation": "protocol",
    "Outcome": "protocol",
    "Proof": "protocol",
    "Row": "scorecard",
    "Scorecard": "scorecard",
    "Verdict": "scorecard",
    "describe": "protocol",
    "diagnose": "masking",
    "evaluate": "protocol",
    "evaluation_rows": "figures",
    "query_curve": "figures",
    "radius_curve": "figures",
    "verdict": "masking",
}

__all__ = [
    "Adversary",
    "CertificateBroken",
    "Check",
    "Diagnosis",
    "Evaluation",
    "Outcome",
    "Proof",
    "Row",
    "Scorecard",
    "Verdict",
    "describe",
    "diagnose",
    "evaluate",
    "evaluation_rows",
    "query_curve",
    "radius_curve",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
