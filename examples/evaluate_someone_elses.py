"""Evaluate someone else's model: all you have is a function that gives scores, and a claim that it is robust."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from sparring import ConstrainedSearch, LInf, Square, assess
from sparring.evaluation.protocol import Adversary
from sparring.report.console import print_scorecard


def main() -> None:
    """A random forest behind an eight-level quantiser: no gradient anywhere, and robust to PGD by construction."""
    torch.set_num_threads(1)
    digits = load_digits()
    forest = RandomForestClassifier(30, random_state=0).fit(digits.data[:1400] / 16, digits.target[:1400])

    def theirs(x: Tensor) -> Tensor:
        coarse = np.round(x.double().numpy() * 8) / 8
        return torch.log(torch.tensor(forest.predict_proba(coarse)) + 1e-3)

    x, y = torch.tensor(digits.data[1400:1500] / 16), torch.tensor(digits.target[1400:1500])
    threat = LInf(0.15, low=0, high=1)
    adversaries = (
        Adversary(name="Square", attack=Square(queries=300), threat=threat),
        Adversary(name="evolutionary search", attack=ConstrainedSearch(queries=300), threat=threat),
    )
    card = assess({"theirs": theirs}, (x, y), threat, adversaries=adversaries, title="a forest behind a quantiser")
    print_scorecard(card)


if __name__ == "__main__":
    main()
