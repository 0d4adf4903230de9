import pytest
import torch

from sparring.systems.graph.lyapunov import Lyapunov, audit, continuous, discrete
from sparring.systems.graph.solvers import Solver


def wild(channels: int = 8, seed: int = 3):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn((channels, channels), generator=generator, dtype=torch.float64)
    return lambda u: 2 * torch.tanh(u @ a) + 0.5 * u


def learned(channels: int = 8) -> Lyapunov:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Lyapunov(channels).double()


def start(n: int = 200, channels: int = 8) -> torch.Tensor:
    return 3 * torch.randn((n, channels), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_v_is_convex_zero_at_zero_and_positive_elsewhere() -> None:
    v, a, b = learned().requires_grad_(False), start(), start().flip(0)
    assert float(v(torch.zeros((1, 8), dtype=torch.float64))) == 0
    assert (v(a) > 0).all()
    for t in (0.1, 0.5, 0.9):
        assert (v(t * a + (1 - t) * b) <= t * v(a) + (1 - t) * v(b) + 1e-9).all()


def test_the_continuous_projection_holds_at_each_point_and_yet_v_rises_at_step_one() -> None:
    v, u, alpha = learned(), start(), 1.0
    bent = continuous(wild(), v, alpha)
    at = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad(v(at).sum(), at)
    assert ((slope * bent(u)).sum(1) + alpha * v(u) <= 1e-9 * v(u)).all()
    solver = Solver("euler", 3.0, 1.0)
    with torch.no_grad():
        found = audit(solver.path(bent, u), v, alpha, solver)
    assert found.rising > 0.1


@pytest.mark.parametrize("order", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("step", [0.01, 0.2, 1.0])
def test_the_discrete_projection_never_breaks_its_inequality(order: float, step: float) -> None:
    v, u, alpha = learned(), start(60), 1.0
    solver = Solver("euler" if order == 1 else "predictor", 1.0, step, order)
    with torch.no_grad():
        found = audit(solver.path(wild(), u, discrete(v, alpha, solver)), v, alpha, solver)
    assert found.broken == 0
    if order == 1:
        assert found.rising == 0
        assert found.excess <= 1e-9
    assert len(found.mean) == solver.steps + 1


def test_a_step_that_is_already_low_enough_is_left_alone() -> None:
    v, u, solver = learned(), start(), Solver("euler", 1.0, 0.5)
    assert torch.equal(discrete(v, 0.1, solver)([u], 0.01 * u), 0.01 * u)
