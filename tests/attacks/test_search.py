from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Counting, Fortress, Linear, Steps, points, seeded
from torch import Tensor

from sparring.attacks import PGD, ConstrainedSearch
from sparring.attacks.evolution import Population, offspring
from sparring.objectives import margin
from sparring.threats import Box, Control, Integer, Intersection, LInf
from sparring.threats.base import flat

TYPES = Intersection(LInf(0.3, 0, 1), Integer((0, 1), unit=0.125), Control(("both",) * 6 + ("up", "fixed")))


def _case() -> tuple[Steps, Tensor, Tensor]:
    """Trees' habit: a staircase, so no gradient points anywhere."""
    model = Steps(Linear(8, 3), 1 / 16)
    x = points(40, 8)
    x[:, :2] = (x[:, :2] * 8).round() / 8
    return model, x, model(x).argmax(1)


def test_where_gradients_are_zero_evolution_finds_the_way() -> None:
    model, x, y = _case()
    blind = PGD(steps=40, random_start=False)(model, (x, y), TYPES, objective=margin, generator=seeded())
    found = ConstrainedSearch(queries=400)(lambda t: model(t).detach(), (x, y), TYPES, generator=seeded())
    assert blind.trace["zero_gradients"][0] == 1.0
    assert float(found.success.double().mean()) > float(blind.success.double().mean()) + 0.3
    assert float(TYPES.violation(found.x_adv, x).max()) == 0
    assert torch.equal(found.x_adv[:, 7], x[:, 7])


def test_a_guide_seeds_the_population_and_costs_the_model_nothing() -> None:
    model, x, y = _case()
    counted = Counting(model)
    scores = lambda t: counted(t).detach()  # noqa: E731
    alone = ConstrainedSearch(queries=24, population=8)
    led = ConstrainedSearch(queries=24, population=8, guide=model.inner)
    a = alone(scores, (x, y), TYPES, generator=seeded())
    counted.rows = 0
    b = led(scores, (x, y), TYPES, generator=seeded())
    assert int(b.success.sum()) > int(a.success.sum())
    assert counted.rows == int(b.queries.forward.sum()) + 2 * len(x)
    assert b.queries.backward.sum() == 0


@pytest.mark.parametrize("queries", [1, 5, 32, 33, 100])
def test_the_budget_is_exact(queries) -> None:
    x, y = points(7, 4), torch.zeros(7, dtype=torch.long)
    attack = ConstrainedSearch(queries=queries, population=16, gradient_steps=10, batch_size=48)
    for model, backward in ((Fortress(3), min(11, queries) if queries > 1 else 0), (Fortress(3).forward, 0)):
        result = attack(model, (x, y), LInf(0.1), generator=seeded())
        assert (result.queries.forward == queries).all()
        assert (result.queries.backward == backward).all()


def test_a_module_without_gradient_is_noted_and_counted() -> None:
    model, x, y = _case()

    class Detached(torch.nn.Module):
        def forward(self, t: Tensor) -> Tensor:
            return model(t).detach()

    result = ConstrainedSearch(queries=50)(Detached(), (x, y), LInf(1e-9), generator=seeded())
    assert result.trace["no_gradient"] == [1.0]
    assert (result.queries.forward[~result.success] == 50).all()


def test_no_call_is_larger_than_the_batch_size() -> None:
    sizes = []

    def model(t: Tensor) -> Tensor:
        sizes.append(len(t))
        return Fortress(2)(t)

    x, y = points(50, 4), torch.zeros(50, dtype=torch.long)
    ConstrainedSearch(queries=40, population=8, batch_size=64)(model, (x, y), LInf(0.1), generator=seeded())
    assert max(sizes[1:-1]) == 64  # the first and the last call are the clean input and the verdict
    sizes.clear()
    ConstrainedSearch(queries=40, population=8, batch_size=5)(model, (x, y), LInf(0.1), generator=seeded())
    assert max(sizes[1:-1]) == 5


def test_the_generator_alone_decides() -> None:
    model, x, y = _case()
    attack = ConstrainedSearch(queries=60)
    a = attack(model, (x, y), TYPES, generator=seeded())
    torch.manual_seed(99)
    b = attack(model, (x, y), TYPES, generator=seeded())
    assert torch.equal(a.x_adv, b.x_adv)
    assert torch.equal(a.queries.forward, b.queries.forward)


def test_children_are_members_and_the_best_are_kept() -> None:
    _, x, _ = _case()
    generator = seeded()
    members = torch.stack([flat(TYPES.sample(x, generator=generator)) for _ in range(6)], dim=1)
    herd = Population(members, members.sum(2))
    children = offspring(herd, x, TYPES, 9, generator)
    assert children.shape == (40, 9, 8)
    many = x.repeat_interleave(9, dim=0)
    assert float(TYPES.violation(children.reshape(-1, 8), many).max()) == 0
    fallen = torch.zeros(40, 9, dtype=torch.bool)
    fallen[0, 4] = True
    after, wins = herd.succeed(children, children.sum(2), fallen)
    assert after.members.shape == herd.members.shape
    assert bool((after.value.amax(1) >= herd.value.amax(1)).all())
    assert wins.sum() == 1
    assert torch.equal(after.champions(wins)[0][0], children[0, 4])


def test_nonsense_budgets_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ConstrainedSearch(queries=0)
    assert Box(0.0, 1.0).radius == 1.0
