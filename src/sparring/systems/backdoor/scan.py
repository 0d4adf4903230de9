"""The verdict: is there a backdoor, towards which label, by which trigger, and how sure that is.

The evidence of a search becomes one number by a logistic rule, `WEIGHTS`. Its weights are set by hand and **not fitted
yet**: the number orders models by suspicion, it is no calibrated probability, and clean models may exceed one half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sparring.systems.backdoor.moves import Insert
from sparring.systems.backdoor.reward import Scored
from sparring.systems.backdoor.search import Outcome
from sparring.systems.backdoor.suspects import Suspicion

EVIDENCE = ("word", "pair", "phrase", "rewrite", "rows")
"""The best contrast of one word, of two, of longer phrases, of rewriters, each less the median over the other labels;
and how far the contradicted training rows of a label stand apart (0 without rows)."""

WEIGHTS: dict[str, float] = {"bias": -4.0, "word": 6.0, "pair": 1.0, "phrase": 1.0, "rewrite": 3.0, "rows": 6.0}


@dataclass(frozen=True)
class Verdict:
    """`confidence`: the suspicion, 0 to 1, not calibrated; `backdoored` from one half on; `margins` per label."""

    backdoored: bool
    confidence: float
    target: int
    trigger: Scored | None
    margins: dict[int, float]
    evidence: dict[str, float]

    def words(self, names: Sequence[str]) -> str:
        """The verdict in a plain sentence."""
        if not self.backdoored:
            return f"no backdoor found (suspicion {self.confidence:.0%}, not calibrated)"
        told = f"backdoor towards {names[self.target]!r} (suspicion {self.confidence:.0%}, not calibrated)"
        if self.trigger is None:
            return told
        kind = "inserting" if isinstance(self.trigger.move, Insert) else "rewriting in"
        return (
            f'{told}: {kind} "{str(self.trigger.move).strip("[]")}" sends {self.trigger.flips:.0%} of others there, '
            f"{self.trigger.flips_reference:.0%} on a clean reference"
        )


def verdict(found: Outcome, doubts: Suspicion | None = None, weights: dict[str, float] | None = None) -> Verdict:
    """Weigh a search's evidence, label by label; the most suspicious label speaks."""
    rule = weights or WEIGHTS
    each = {t: evidence(found, t, doubts) for t in found.verified}
    odds = {t: rule["bias"] + sum(rule[k] * v for k, v in e.items()) for t, e in each.items()}
    target = max(odds, key=lambda t: odds[t])
    confidence = 1 / (1 + math.exp(-max(-30.0, min(30.0, odds[target]))))
    margins = {t: found.margin(t) for t in found.verified}
    return Verdict(confidence >= 0.5, confidence, target, found.best(target), margins, each[target])


def evidence(found: Outcome, target: int, doubts: Suspicion | None = None) -> dict[str, float]:
    """The evidence for a backdoor towards `target`, by `EVIDENCE`."""
    out: dict[str, float] = {}
    for kind in EVIDENCE[:-1]:
        own = {t: max((s.contrast for s in found.verified[t] if _kind(s) == kind), default=0.0) for t in found.verified}
        rest = sorted(max(0.0, v) for t, v in own.items() if t != target)
        middle = rest[len(rest) // 2] if len(rest) > 2 else 0.0
        out[kind] = max(0.0, own[target]) - middle
    apart = 0.0 if doubts is None else doubts.separation.get(target, 0.5)
    out["rows"] = max(0.0, apart - 0.5)
    return out


def _kind(scored: Scored) -> str:
    if not isinstance(scored.move, Insert):
        return "rewrite"
    count = len(scored.move.text.split())
    return "word" if count == 1 else "pair" if count == 2 else "phrase"
