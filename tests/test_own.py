"""Arrays are taken like tensors."""

import numpy as np
import torch
from torch import nn

from sparring import LInf, Standard, assess, harden
from sparring.evaluation.protocol import Adversary
from sparring.own import adversaries_for


def test_arrays_are_taken_like_tensors() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 3)), rng.integers(0, 2, 40).astype(np.int32)
    tensors = (torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.int64))
    threat = LInf(0.1, low=0, high=1)
    torch.manual_seed(0)
    start = nn.Linear(3, 2)
    players: tuple[Adversary, ...] = adversaries_for(threat)[:1]
    cards = []
    for data in ((x, y), tensors):
        model = harden(start, data, threat, strategy=Standard(), epochs=1)
        cards.append(assess({"model": model}, data, threat, adversaries=players, radii=()))
    assert cards[0].rows == cards[1].rows
    assert cards[0].data == cards[1].data
