from __future__ import annotations

import pytest
import torch
from scipy.optimize import linprog, minimize
from tests.attacks.models import seeded

from sparring.attacks.hyperplane import dual_length, length, step_to_hyperplane

NORMS = ("linf", "l2", "l1")


def _problem(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = seeded(5)
    x = torch.rand(n, d, generator=g, dtype=torch.float64)
    w = torch.randn(n, d, generator=g, dtype=torch.float64)
    reach = (w.abs() * torch.where(w > 0, 1 - x, x)).sum(1)
    return x, w, reach


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("sign", [1, -1])
def test_without_bounds_the_distance_is_the_gap_over_the_dual_norm(norm, sign) -> None:
    x, w, _ = _problem(20, 9)
    gap = sign * torch.linspace(0.01, 3, 20, dtype=torch.float64)
    d = step_to_hyperplane(x, w, gap, -torch.inf, torch.inf, norm)
    assert torch.allclose((w * d).sum(1), gap)
    assert torch.allclose(length(d, norm), gap.abs() / dual_length(w, norm))


@pytest.mark.parametrize("norm", NORMS)
def test_within_bounds_it_is_as_short_as_a_general_solver_says(norm) -> None:
    x, w, reach = _problem(6, 5)
    gap = 0.8 * reach
    d = step_to_hyperplane(x, w, gap, 0.0, 1.0, norm)
    assert torch.allclose((w * d).sum(1), gap)
    assert bool(((x + d >= -1e-12) & (x + d <= 1 + 1e-12)).all())
    for i in range(6):
        best = _solve(x[i].numpy(), w[i].numpy(), float(gap[i]), norm)
        assert float(length(d, norm)[i]) == pytest.approx(best, rel=1e-5)


def _solve(x, w, gap, norm) -> float:
    import numpy as np

    d = len(x)
    if norm == "l2":
        found = minimize(
            lambda v: (v**2).sum(),
            np.zeros(d),
            bounds=list(zip(-x, 1 - x, strict=True)),
            constraints={"type": "eq", "fun": lambda v: w @ v - gap},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return float(np.sqrt(found.fun))
    # variables: v, then t (one bound for all entries in linf, one for each in l1)
    many = 1 if norm == "linf" else d
    spread = np.ones((d, 1)) if norm == "linf" else np.eye(d)
    above = np.block([[np.eye(d), -spread], [-np.eye(d), -spread]])
    found = linprog(
        np.r_[np.zeros(d), np.ones(many)],
        A_ub=above,
        b_ub=np.zeros(2 * d),
        A_eq=np.r_[w, np.zeros(many)][None],
        b_eq=[gap],
        bounds=[*zip(-x, 1 - x, strict=True), *[(0, None)] * many],
    )
    return float(found.fun)


@pytest.mark.parametrize("norm", NORMS)
def test_an_unreachable_plane_uses_all_room_and_a_flat_one_none(norm) -> None:
    x, w, reach = _problem(4, 5)
    d = step_to_hyperplane(x, w, 2 * reach, 0.0, 1.0, norm)
    assert torch.allclose((w * d).sum(1), reach)
    still = step_to_hyperplane(x, torch.zeros_like(w), torch.ones(4, dtype=torch.float64), 0.0, 1.0, norm)
    assert torch.equal(still, torch.zeros_like(still))
    here = step_to_hyperplane(x, w, torch.zeros(4, dtype=torch.float64), 0.0, 1.0, norm)
    assert torch.equal(here, torch.zeros_like(here))
