"""The standard ensemble of published budgets, as a cascade on the samples that still stand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.attacks.apgd import APGD, APGDTargeted
from sparring.attacks.base import Attack, Oracle
from sparring.attacks.fab import FABTargeted
from sparring.attacks.square import Square
from sparring.objectives import Objective, cross_entropy
from sparring.threats.base import ThreatModel
from sparring.threats.lp import L1, L2, LInf

Member = tuple[str, Attack, Objective]
"""Name, attack, and the payoff it climbs."""


def standard_members(threat: ThreatModel) -> tuple[Member, ...]:
    """The members of AutoAttack "standard" for this threat.

    L∞ and L2: APGD-CE (100 iterations, 1 restart), APGD-T with the targeted DLR (100 × 9 classes), FAB-T (100 × 9),
    Square (5,000 queries). L1: APGD-CE with 5 restarts and APGD-T with 5 classes, both from a wide start. Raises
    TypeError for other threats: the published ensemble is not defined there.
    """
    if not isinstance(threat, LInf | L2 | L1):
        raise TypeError(
            f"the standard ensemble is defined for LInf, L2 and L1, not for {type(threat).__name__}; "
            "use APGD and ConstrainedSearch instead"
        )
    sparse = isinstance(threat, L1)
    return (
        ("APGD-CE", APGD(steps=100, restarts=5 if sparse else 1, wide_start=sparse), cross_entropy),
        ("APGD-T", APGDTargeted(steps=100, targets=5 if sparse else 9, wide_start=sparse), cross_entropy),
        ("FAB-T", FABTargeted(steps=100, targets=9), cross_entropy),
        ("Square", Square(queries=5000, rescale=False), cross_entropy),
    )


@dataclass(frozen=True, kw_only=True)
class StandardEnsemble(Attack):
    """AutoAttack "standard": four attacks without parameters, each on the samples the ones before left standing.

    Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", ICML 2020, with the budgets of `standard_members`; a sample that withstands all of L∞ or L2 costs 1,910
    backward passes and 7,812 forward passes (one of APGD-T and one of FAB-T choose the target classes). With k < 10
    classes the targeted members aim at all k - 1 others; with k < 4, or one logit, the targeted DLR is the logit gap
    and the trace holds `targeted_dlr_is_gap`. The trace's `standing: NAME` is the number of samples left after each
    member. The call's `objective` is only reported. Without `active_set` every member still sees survivors alone.
    """

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        return cascade(standard_members(threat), oracle, x, y, threat, generator)


def cascade(
    members: tuple[Member, ...],
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    generator: torch.Generator,
) -> Tensor:
    """Run the members in turn on the survivors; one pass after each, outside the count, tells who survived."""
    best, rows = x.clone(), torch.arange(len(x), device=x.device)
    for name, attack, objective in members:
        if len(rows):
            view = oracle.view(rows, objective=objective)
            points = replace(attack, criterion=oracle.criterion).search(view, x[rows], y[rows], threat, generator)
            fallen = view.verdict(points, y[rows])[1]
            best[rows[fallen]] = points[fallen]
            rows = rows[~fallen]
        oracle.note(f"standing: {name}", float(len(rows)))
    return best
