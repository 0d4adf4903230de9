import pytest
import torch
from tests.systems.graph.graphs import blocks

from sparring.systems.graph.clipflow import EXACT, Accuracy, ClipFlow, Pull, energy, equilibrium, gradient, solve
from sparring.systems.graph.mittag_leffler import mittag_leffler
from sparring.systems.graph.solvers import Solver
from sparring.systems.graph.sparse import Incidence


def problem(seed: int = 0, n: int = 12):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.combinations(torch.arange(n)).T
    weight = torch.rand(edges.shape[1], generator=generator, dtype=torch.float64)
    x0 = torch.softmax(3 * torch.randn((n, 3), generator=generator, dtype=torch.float64), 1)
    return x0, edges, weight


@pytest.mark.parametrize("pull", [Pull(0.05, 0.2), Pull(0.3, 0.02), Pull(1e-3, 2.0)])
def test_the_solution_is_the_minimum_and_says_how_far_it_may_be_off(pull: Pull) -> None:
    x0, edges, weight = problem()
    x, residual = solve(x0, edges, weight, pull, EXACT)
    assert residual <= EXACT.tol
    incidence = Incidence.of(edges, len(x0), torch.float64)
    assert gradient(x, x0, weight, incidence, pull).abs().max() <= EXACT.tol * pull.lam
    lowest = energy(x, x0, weight, incidence, pull).sum()
    for seed in range(5):
        shift = 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert energy(x + shift, x0, weight, incidence, pull).sum() > lowest


def test_without_edges_every_node_stays_at_its_anchor() -> None:
    x0, edges, weight = problem()
    assert torch.allclose(solve(x0, edges[:, :0], weight[:0], Pull(), EXACT)[0], x0)


def test_the_residual_bounds_the_error() -> None:
    x0, edges, weight = problem()
    exact, _ = solve(x0, edges, weight, Pull(), EXACT)
    for tol in (1e-1, 1e-2, 1e-4):
        x, residual = solve(x0, edges, weight, Pull(), Accuracy(tol))
        assert (x - exact).abs().max() <= residual + EXACT.tol


def test_implicit_gradients_are_those_of_finite_differences() -> None:
    x0, edges, weight = problem()
    leaves = (x0.requires_grad_(), weight.requires_grad_())
    exact = Accuracy(1e-12, 20_000)
    assert torch.autograd.gradcheck(
        lambda a, w: equilibrium(a, edges, w, Pull(0.1, 0.5), exact), leaves, atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("order", [1.0, 0.6])
def test_the_energy_falls_below_its_envelope_along_the_flow(order: float) -> None:
    x0, edges, weight = problem()
    pull, incidence = Pull(0.1, 0.5), Incidence.of(edges, len(x0), torch.float64)
    solver = Solver("euler" if order == 1 else "pece", 2.0, 0.005, order)
    path = solver.path(lambda x: -gradient(x, x0, weight, incidence, pull), 1 - x0)
    lowest = energy(solve(x0, edges, weight, pull, EXACT)[0], x0, weight, incidence, pull).sum()
    v = torch.stack([energy(x, x0, weight, incidence, pull).sum() - lowest for x in path])
    times = 2 * pull.lam * (torch.arange(len(path)) * 0.005) ** order
    assert (v <= v[0] * torch.from_numpy(mittag_leffler(order, times.numpy())) * 1.01).all()


def test_public_labels_are_anchors_and_others_are_not() -> None:
    graph = blocks()
    model = ClipFlow(graph.features.width, 8, graph.classes).eval()
    anchors = model.anchors(graph.inputs(torch.tensor([0, 1])))
    assert torch.equal(anchors[:2].argmax(1), graph.labels[:2])
    assert anchors[:2].max() == 1
    assert anchors[2:].max() < 1


def test_constants_out_of_range_are_refused() -> None:
    for c, lam in ((0.0, 1.0), (0.1, 0.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="c > 0 and lam > 0"):
            Pull(c, lam)
