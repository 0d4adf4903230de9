"""Harden your own classifier: train it plainly, harden a copy, assess both, and write the report."""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from sparring import LInf, Standard, assess, harden
from sparring.report import write
from sparring.report.console import print_scorecard


def main() -> None:
    """Digits of scikit-learn, a small network, a change of at most 0.15 in every pixel."""
    torch.set_num_threads(1)
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    train, test = (x[:1400], y[:1400]), (x[1400:], y[1400:])
    threat = LInf(0.15, low=0, high=1)

    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    plain = harden(start, train, threat, strategy=Standard(), epochs=40)
    hardened = harden(start, train, threat, epochs=40)

    card = assess({"plain": plain, "hardened": hardened}, test, threat, title="digits")
    print_scorecard(card)
    print("report:", write(card, Path("digits-report")))


if __name__ == "__main__":
    main()
