from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from sparring.threats import L1, L2, LInf


def nearest(a: np.ndarray, x: np.ndarray, eps: float, order: int, low: float, high: float) -> np.ndarray:
    """The nearest point of ball ∩ range, by a general solver; L1 through positive and negative parts."""
    d = len(a)
    bounds = [(0, max(high - v, 0)) for v in x] + [(0, max(v - low, 0)) for v in x]

    def change(u: np.ndarray) -> np.ndarray:
        return u[:d] - u[d:]

    def grad(u: np.ndarray) -> np.ndarray:
        g = 2 * (x + change(u) - a)
        return np.concatenate([g, -g])

    ball = {
        1: {"type": "ineq", "fun": lambda u: eps - u.sum(), "jac": lambda u: -np.ones(2 * d)},
        2: {
            "type": "ineq",
            "fun": lambda u: eps**2 - (change(u) ** 2).sum(),
            "jac": lambda u: np.concatenate([-2 * change(u), 2 * change(u)]),
        },
    }[order]
    start = np.full(2 * d, 1e-3)
    found = minimize(
        lambda u: ((x + change(u) - a) ** 2).sum(),
        start,
        jac=grad,
        bounds=bounds,
        constraints=[ball],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    return x + change(found.x)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("eps", [0.2, 0.7, 1.5])
@pytest.mark.parametrize("ball", [L1, L2])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-50.0, 50.0)])
def test_projection_agrees_with_a_general_solver(ball, eps, low, high, seed):
    rng = np.random.default_rng(seed)
    x, a = rng.uniform(0, 1, 6), rng.normal(0.5, 1.5, 6)
    want = nearest(a, x, eps, 1 if ball is L1 else 2, low, high)
    threat = ball(eps, low, high)
    got = threat.project(torch.tensor(a)[None], torch.tensor(x)[None])[0].numpy()
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert ((got - a) ** 2).sum() <= ((want - a) ** 2).sum() + 1e-9


def simplex(v: Tensor, eps: float) -> Tensor:
    """Projection onto the L1 ball by sorting (Duchi et al., ICML 2008, figure 1)."""
    if v.abs().sum() <= eps:
        return v
    u = v.abs().sort(descending=True).values
    cut = (u.cumsum(0) - eps) / torch.arange(1, len(u) + 1)
    theta = cut[(u > cut).nonzero()[-1]]
    return v.sign() * (v.abs() - theta).clamp_min(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.01, 1.0, 30.0])
def test_l1_without_a_range_is_the_simplex_projection(eps, dtype):
    generator = torch.Generator().manual_seed(0)
    delta = torch.randn(20, 300, generator=generator, dtype=dtype)
    got = L1(eps).project(delta, torch.zeros_like(delta))
    want = torch.stack([simplex(row, eps) for row in delta])
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_known_values():
    x, a = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(L2(1.0).project(a, x), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(L1(1.0).project(a, x), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(L1(3.0).project(a, x), torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(LInf(0.5).project(a, x), torch.tensor([[0.5, 0.5]]))
    # The second entry may rise by 0.1 alone; the first takes what is left of the ball: sqrt(1 - 0.01).
    room = torch.tensor([[0.0, 0.9]])
    torch.testing.assert_close(L2(1.0, -9.0, 1.0).project(a, room), torch.tensor([[0.99**0.5, 1.0]]))


@pytest.mark.parametrize("threat", [LInf(0.25), L2(0.25), L1(0.25)])
def test_violation_is_the_distance_beyond_the_ball(threat):
    x = torch.zeros(3, 4)
    a = x.clone()
    a[1, 0], a[2, 0] = 0.25, -0.75
    torch.testing.assert_close(threat.violation(a, x), torch.tensor([0.0, 0.0, 0.5]))


@pytest.mark.parametrize("threat", [LInf(9.0, 0.0, 1.0), L2(9.0, 0.0, 1.0), L1(9.0, 0.0, 1.0)])
def test_violation_of_the_range_allows_nothing(threat):
    x = torch.full((1, 3), 0.5)
    a = x.clone()
    a[0, 1] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    assert float(threat.violation(a, x)) > 0
    assert float(threat.violation(torch.ones_like(a), x)) == 0


@pytest.mark.parametrize("threat", [L2(0.5), L1(0.5), LInf(0.5)])
def test_a_large_fixed_entry_gives_the_others_no_slack(threat):
    x = torch.tensor([[1e9, 0.0, 0.0]])
    a = torch.tensor([[1e9, 0.6, 0.0]])
    assert float(threat.violation(a, x)) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("threat", [L2(1.0, 0.0, 1.0), L1(10.0, 0.0, 1.0)])
def test_half_precision_sums_many_entries(threat, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 30000, generator=generator).to(dtype)
    a = (x.float() + torch.randn(x.shape, generator=generator)).to(dtype)
    z = threat.project(a, x)
    length = (z.double() - x.double()).norm(p=threat.order, dim=1)
    assert bool((threat.violation(z, x) == 0).all())
    assert bool((length > 0.2 * threat.eps).all())


def test_faint_and_huge_gradients_keep_their_direction():
    x = torch.zeros(2, 2)
    grad = torch.tensor([[3e-38, 4e-38], [3e37, 4e37]])
    torch.testing.assert_close(L2(1.0).steepest(grad, x, x), torch.tensor([[0.6, 0.8], [0.6, 0.8]]))


def test_l1_steps_skip_entries_at_their_bound():
    x = torch.tensor([[1.0, 0.5, 0.0]])
    step = L1(1.0, 0.0, 1.0).steepest(torch.tensor([[9.0, 1.0, -5.0]]), x, x)
    torch.testing.assert_close(step, torch.tensor([[0.0, 1.0, 0.0]]))


@pytest.mark.parametrize("threat", [L2(1.0), L1(1.0)])
def test_samples_fill_the_ball(threat):
    drawn = threat.sample(torch.zeros(4000, 3), generator=torch.Generator().manual_seed(0))
    length = drawn.norm(p=threat.order, dim=1)
    # In d dimensions a share r^d of a ball lies within r of its centre.
    assert float((length < 0.5).float().mean()) == pytest.approx(0.125, abs=0.02)
    assert bool((drawn.mean(0).abs() < 0.03).all())


@pytest.mark.parametrize("kind", [LInf, L2, L1])
@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf")])
def test_a_radius_is_a_finite_number(kind, eps):
    with pytest.raises(ValueError, match="eps"):
        kind(eps)


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="empty"):
        LInf(0.1, 1.0, 0.0)
