from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Counting, Fortress, Linear, Steps, points, seeded
from torch import nn

from sparring.attacks import PGD, Square
from sparring.attacks.blocks import Change, Layout, share_at
from sparring.attacks.windows import WindowMoves, double_peak, peak
from sparring.objectives import margin
from sparring.threats import L1, L2, Intersection, LInf, Mask
from sparring.threats.base import flat

BALLS = [LInf(0.05, 0, 1), L2(0.5, 0, 1), L1(2.0, 0, 1)]


@pytest.mark.parametrize("threat", BALLS)
@pytest.mark.parametrize("shape", [(2, 9, 9), (40,)])
def test_it_finds_most_of_what_gradients_find_on_a_linear_model(threat, shape) -> None:
    x = points(40, *shape)
    model = Linear(x[0].numel(), 4)
    y = model(x).argmax(1)
    threat = threat if len(shape) == 3 else threat.scaled(0.6)
    white = PGD(steps=40)(model, (x, y), threat, objective=margin, generator=seeded()).success
    black = Square(queries=600)(model, (x, y), threat, generator=seeded())
    assert float(white.double().mean()) > 0.2
    assert int(black.success.sum()) >= 0.7 * int(white.sum())
    assert black.queries.backward.sum() == 0


def test_it_needs_no_gradient() -> None:
    x = points(30, 1, 6, 6)
    model = Steps(Linear(36, 3), 1 / 16)
    y = model(x).argmax(1)
    threat = LInf(0.15, 0, 1)
    blind = PGD(steps=20, random_start=False)(model, (x, y), threat, generator=seeded())
    found = Square(queries=400)(lambda t: model(t).detach(), (x, y), threat, generator=seeded())
    assert blind.trace["zero_gradients"][0] == 1.0
    assert float(found.success.double().mean()) > float(blind.success.double().mean()) + 0.3


def test_queries_are_exact_and_fallen_samples_ask_no_more() -> None:
    x = points(20, 1, 8, 8)
    model = Linear(64, 3)
    y = model(x).argmax(1)
    counted = Counting(model)
    result = Square(queries=50)(counted, (x, y), LInf(0.03, 0, 1), generator=seeded())
    assert 0 < int(result.success.sum()) < 20
    assert (result.queries.forward[~result.success] == 50).all()
    assert (result.queries.forward[result.success] <= 50).all()
    assert counted.rows == int(result.queries.forward.sum()) + 2 * 20
    one = Square(queries=1)(Fortress(3), (x, torch.zeros(20)), LInf(0.03), generator=seeded())
    assert (one.queries.forward == 1).all()


def test_the_payoff_never_falls_and_more_queries_never_hurt() -> None:
    x, y = points(10, 1, 8, 8), torch.zeros(10, dtype=torch.long)
    values = []
    for queries in (1, 20, 100):
        attack = Square(queries=queries, loss=None)
        result = attack(Fortress(4), (x, y), LInf(0.1, 0, 1), objective=margin, generator=seeded())
        values.append(flat(result.x_adv).sum(1))
    # Fortress rises with the sum of all entries: the start and each accepted block can only raise it
    assert bool((values[0] <= values[1]).all() and (values[1] <= values[2]).all())
    assert bool((values[2] > values[0]).all())


def test_any_threat_bounds_the_blocks() -> None:
    x, y = points(6, 2, 5, 5), torch.zeros(6, dtype=torch.long)
    fixed = torch.zeros(2, 5, 5, dtype=torch.bool)
    fixed[0] = True
    result = Square(queries=40)(
        Fortress(3), (x, y), Intersection(LInf(0.1, 0, 1), Mask(fixed)), objective=margin, generator=seeded()
    )
    assert torch.equal(result.x_adv[:, 1], x[:, 1])
    assert float((result.x_adv[:, 0] - x[:, 0]).abs().max()) == pytest.approx(0.1)


def test_the_schedule_is_the_papers_and_is_not_stretched() -> None:
    assert [share_at(i, 0.8) for i in (0, 10, 11, 50, 51, 201, 501, 1001, 2001, 4999, 6001, 8001)] == [
        0.8 / 2**k for k in (0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    ]


@pytest.mark.parametrize(("shape", "planes"), [((3, 8, 6), (3, 8, 6)), ((5, 4), (1, 5, 4)), ((2, 3, 4, 5), (6, 4, 5))])
def test_squares_lie_in_the_plane_and_differ_between_samples(shape, planes) -> None:
    layout = Layout.of(torch.zeros(1, *shape))
    assert (layout.channels, layout.height, layout.width) == planes
    entries = layout.squares(200, 2, generator=seeded(), device=torch.device("cpu"))
    assert entries.shape == (200, planes[0], 4)
    row, column = entries % (planes[1] * planes[2]) // planes[2], entries % planes[2]
    assert bool((row.amax(2) - row.amin(2) == 1).all() and (column.amax(2) - column.amin(2) == 1).all())
    assert set(row.flatten().tolist()) == set(range(planes[1]))
    assert set(column.flatten().tolist()) == set(range(planes[2]))


def test_features_without_a_plane_change_in_random_subsets() -> None:
    layout = Layout.of(torch.zeros(1, 10))
    entries = layout.blocks(50, 0.3, generator=seeded(), device=torch.device("cpu"))
    assert entries.shape == (50, 3, 1)
    assert all(len(set(row)) == 3 for row in entries.squeeze(2).tolist())
    scalar = Layout.of(torch.zeros(4))
    assert scalar.blocks(4, 0.8, generator=seeded(), device=torch.device("cpu")).shape == (4, 1, 1)


def test_the_double_peak_is_antisymmetric_and_highest_in_the_middle() -> None:
    assert peak(5, 5).argmax() == 12
    assert float(peak(5, 5)[2, 2]) == pytest.approx(1 + 1 / 4 + 1 / 9)
    assert float(peak(5, 5)[0, 0]) == pytest.approx(1 / 9)
    pattern = double_peak(4)
    assert torch.equal(pattern[:2], -pattern[2:])


@pytest.mark.parametrize("threat", [L2(0.7, -9, 9), L1(1.3, -9, 9)])
def test_window_moves_always_spend_the_whole_budget(threat) -> None:
    x = points(12, 2, 8, 7)
    moves = WindowMoves(threat, Layout.of(x))
    order = 2 if isinstance(threat, L2) else 1
    at, generator = moves.start(flat(x), seeded()), seeded()
    for share in (0.8, 0.2, 0.05):
        spent = torch.linalg.vector_norm(at - flat(x), order, dim=1)
        assert torch.allclose(spent, torch.full_like(spent, threat.eps))
        at = moves.propose(at, flat(x), share, generator).values


def test_a_small_convolutional_net_falls() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    x = points(32, 1, 14, 14).float()
    y = model(x).argmax(1)
    result = Square(queries=300)(model, (x, y), LInf(0.1, 0, 1), generator=seeded())
    assert float(result.success.float().mean()) > 0.5


def test_the_schedule_is_stretched_to_another_budget() -> None:
    assert [share_at(i, 0.8, 10_000) for i in (0, 10, 11)] == [share_at(i, 0.8) for i in (0, 10, 11)]
    assert share_at(1, 0.8, 500) == share_at(20, 0.8)
    assert share_at(499, 0.8, 500) == share_at(9980, 0.8)


def test_a_change_is_taken_back_where_it_is_not_kept() -> None:
    samples = torch.arange(12.0).reshape(3, 4)
    whole = samples.clone()
    change = Change(torch.tensor([[0, 2], [1, 3], [3, 0]]), -torch.ones(3, 2))
    before = change.make(samples)
    assert torch.equal(before, torch.tensor([[0.0, 2.0], [5.0, 7.0], [11.0, 8.0]]))
    assert int((samples == -1).sum()) == 6
    change.settle(samples, before, torch.tensor([True, False, False]))
    assert torch.equal(samples[0], torch.tensor([-1.0, 1.0, -1.0, 3.0]))
    assert torch.equal(samples[1:], whole[1:])
