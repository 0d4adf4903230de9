import math

import numpy as np
import pytest
import torch

from sparring.systems.graph.mittag_leffler import mittag_leffler
from sparring.systems.graph.solvers import Solver


def decay(u: torch.Tensor) -> torch.Tensor:
    return -u


ONE = torch.ones(1, 1, dtype=torch.float64)


def error(method: str, order: float, steps: int) -> float:
    end = Solver(method, 1.0, 1.0 / steps, order)(decay, ONE)  # type: ignore[arg-type]
    return abs(float(end) - float(mittag_leffler(order, 1.0)))


def observed(method: str, order: float, steps: int = 80) -> float:
    return math.log2(error(method, order, steps) / error(method, order, 2 * steps))


def test_mittag_leffler_has_known_values() -> None:
    assert mittag_leffler(1.0, 2.0) == pytest.approx(math.exp(-2.0))
    for x in (0.1, 1.0, 3.0):  # E_1/2(-x) = exp(x^2) erfc(x)
        assert float(mittag_leffler(0.5, x)) == pytest.approx(math.exp(x * x) * math.erfc(x), rel=1e-9)
    assert mittag_leffler(0.7, 0.0) == 1.0
    assert float(mittag_leffler(0.3, 1e6)) == pytest.approx(1 / (1e6 * math.gamma(0.7)), rel=1e-4)
    falling = mittag_leffler(0.4, np.linspace(0, 20, 50))
    assert (np.diff(falling) < 0).all()
    assert (falling > 0).all()


@pytest.mark.parametrize("order", [0.4, 0.6, 0.8])
def test_fractional_solvers_converge_as_fast_as_they_should(order: float) -> None:
    assert observed("predictor", order) >= 0.95
    assert observed("pece", order) >= 1 + order - 0.1
    assert error("l1", order, 200) < error("l1", order, 50) < 0.05


@pytest.mark.parametrize("method", ["predictor", "l1"])
def test_at_order_one_the_fractional_solvers_are_euler(method: str) -> None:
    euler = Solver("euler", 2.0, 0.1)(decay, ONE)
    assert torch.allclose(Solver(method, 2.0, 0.1, 1.0)(decay, ONE), euler, atol=1e-10, rtol=0)  # type: ignore[arg-type]
    near = Solver(method, 2.0, 0.1, 1 - 1e-12)(decay, ONE)  # type: ignore[arg-type]
    assert torch.allclose(near, euler, atol=1e-10, rtol=0)


def test_rk4_is_of_fourth_order_and_dopri5_is_exact_to_its_tolerance() -> None:
    assert observed("rk4", 1.0, 10) == pytest.approx(4.0, abs=0.15)
    pytest.importorskip("torchdiffeq")
    assert error("dopri5", 1.0, 3) < 1e-5


def test_short_memory_is_exact_while_it_reaches_back_and_close_after() -> None:
    full = Solver("predictor", 2.0, 0.05, 0.6)(decay, ONE)
    assert torch.equal(Solver("predictor", 2.0, 0.05, 0.6, memory=40)(decay, ONE), full)
    exact = float(Solver("l1", 2.0, 0.05, 0.6)(decay, ONE))
    off = [abs(float(Solver("l1", 2.0, 0.05, 0.6, memory=k)(decay, ONE)) - exact) for k in (5, 20, 35)]
    assert off[0] > off[1] > off[2]


@pytest.mark.parametrize(
    "given",
    [{"order": 0.0}, {"order": 1.2}, {"order": 0.5}, {"step": 4.0}, {"step": 0.0}, {"method": "pece", "memory": 0}],
)
def test_settings_out_of_range_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be in|solves order 1|at least 1"):
        Solver(**given)  # type: ignore[arg-type]
