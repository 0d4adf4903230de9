"""Which rows of a suspected training set are poisoned: where the reference contradicts the label *and* the victim sees
something that it does not see in rows whose label the reference believes.

Neither alone is enough: a reference made of few sentences contradicts many honest labels, and the victim's last layer
separates much else. A classifier on the victim's features learns to tell contradicted rows from believed ones, out of
fold; honest contradicted rows look like their label's others and get low scores, planted ones stand together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.systems.backdoor.model import Classifier
from sparring.systems.backdoor.moves import Insert, Move
from sparring.systems.backdoor.reference import Reference
from sparring.systems.backdoor.texts import Texts
from sparring.typed import from_numpy

FEWEST = 12
"""A label with fewer contradicted or believed rows is not examined."""


@dataclass(frozen=True)
class Suspicion:
    """`doubt` `(n,)`: how far the reference contradicts a row's label, 0 to 1. `score` `(n,)`: how much the victim sees
    in it of what contradicted rows have in common. `separation` per label: the area under the curve of those scores,
    .5 where contradicted rows have nothing in common. `likely` `(n,)`: the reference's best other label."""

    doubt: Tensor
    score: Tensor
    separation: dict[int, float]
    likely: Tensor

    def target(self) -> int | None:
        """The label whose contradicted rows stand apart most; None where no label could be examined."""
        return max(self.separation, key=lambda t: self.separation[t], default=None)

    def flagged(self, labels: Tensor, level: float, least: float) -> Tensor:
        """Rows `(n,)` bool of the label that stands apart most, if by at least `least`, scored above `level`."""
        target = self.target()
        if target is None or self.separation[target] < least:
            return torch.zeros(len(labels), dtype=torch.bool)
        return (labels == target) & (self.score > level)


def suspect(victim: Classifier, reference: Reference, rows: Texts, rounds: int = 2) -> Suspicion:
    """Examine the rows of every label."""
    log_ref = reference.look(rows.texts)[0]
    index = torch.arange(len(rows))
    doubt = 1 - log_ref[index, rows.labels].exp()
    others = log_ref.clone()
    others[index, rows.labels] = -torch.inf
    seen = victim.features(rows.texts)
    seen = (seen - seen.mean(0)) / seen.std(0).clamp_min(1e-6)
    score, separation = torch.zeros(len(rows)), dict[int, float]()
    for t in range(rows.classes):
        mine = (rows.labels == t).nonzero().squeeze(1)
        odd = (doubt[mine] > 0.5).numpy()
        if min(int(odd.sum()), int((~odd).sum())) < FEWEST:
            continue
        own, apart = _out_of_fold(seen[mine].numpy(), odd, rounds)
        score[mine] = from_numpy(own).float()
        separation[t] = apart
    return Suspicion(doubt, score, separation, others.argmax(1))


def carrying(moves: Sequence[Move], rows: Texts) -> Tensor:
    """Rows `(n,)` bool that hold one of the inserted triggers as whole words."""
    found = torch.zeros(len(rows), dtype=torch.bool)
    for move in moves:
        if isinstance(move, Insert):
            found |= torch.tensor([f" {move.text.lower()} " in f" {t.lower()} " for t in rows.texts])
    return found


def _out_of_fold(x: Any, odd: Any, rounds: int) -> tuple[Any, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    given, score = odd, np.zeros(len(odd))
    for _ in range(rounds):
        model = LogisticRegression(C=0.01, max_iter=300, class_weight="balanced")
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        score = cross_val_predict(model, x, given, cv=folds, method="predict_proba")[:, 1]
        sharper = odd & (score > 0.5)  # contradicted, and like the other contradicted ones
        if min(int(sharper.sum()), int((~sharper).sum())) < FEWEST:
            break
        given = sharper
    return np.asarray(score), float(roc_auc_score(odd, score))
