from __future__ import annotations

import torch
from tests.attacks.models import Counting, Linear, points, seeded
from torch import nn

from sparring.attacks import WorstOf
from sparring.threats import Corruptions, LInf, Spatial


class Corner(nn.Module):
    """Class 1 where the first pixel of the image is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x[:, 0, 0, 0] - 0.5
        return torch.stack([-bright, bright], dim=1)


def test_a_finite_set_is_asked_about_whole() -> None:
    x = torch.zeros(2, 1, 5, 5)
    x[0, 0, 1, 1] = x[1, 0, 4, 4] = 1.0  # only the first can be shifted into the corner
    y, threat = torch.zeros(2, dtype=torch.long), Spatial(angle=0, shift=1)
    assert threat.count == 9
    counted = Counting(Corner())
    result = WorstOf(queries=9)(counted, (x, y), threat, generator=seeded())
    assert result.success.tolist() == [True, False]
    assert float(result.x_adv[0, 0, 0, 0]) > 0.9
    assert int(result.queries.forward[1]) == 9
    assert int(result.queries.forward[0]) <= 9
    assert int(result.queries.backward.sum()) == 0


def test_a_larger_set_is_asked_about_at_random() -> None:
    x = points(40, 8)
    model = Linear(8, 3)
    y = model(x).argmax(1)
    few = WorstOf(queries=2)(model, (x, y), LInf(0.2), generator=seeded())
    many = WorstOf(queries=100)(model, (x, y), LInf(0.2), generator=seeded())
    assert int(many.success.sum()) > int(few.success.sum())
    assert bool((many.queries.forward[~many.success] == 100).all())


def test_the_worst_corruption_raises_the_payoff_most() -> None:
    x = points(6, 1, 6, 6).float()
    model = Linear(36, 2).float()
    y = model(x).argmax(1)
    threat = Corruptions(("brightness", "contrast"), 2)
    result = WorstOf(active_set=False)(model, (x, y), threat, generator=seeded())
    losses = torch.stack([nn.functional.cross_entropy(model(m), y, reduction="none") for m in threat.members(x)])
    lost = torch.stack([model(m).argmax(1) != y for m in threat.members(x)]).any(0)
    assert torch.equal(result.success, lost)
    torch.testing.assert_close(result.objective[~lost], losses.amax(0)[~lost])
