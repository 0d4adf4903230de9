import pytest
import torch

from sparring.systems.graph.sparse import Features, Incidence, degrees, neighbours


def pairs(n: int) -> torch.Tensor:
    return torch.combinations(torch.arange(n)).T


def dense(edges: torch.Tensor, a: torch.Tensor, b: torch.Tensor, n: int) -> torch.Tensor:
    out = torch.zeros((n, n), dtype=a.dtype)
    out[edges[0], edges[1]], out[edges[1], edges[0]] = a, b
    return out


def test_neighbours_is_the_dense_product_with_its_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = pairs(7)
    a, b = (torch.rand(edges.shape[1], generator=generator, dtype=torch.float64) for _ in range(2))
    x = torch.rand((7, 3), generator=generator, dtype=torch.float64)
    a[:5] = 0.0
    b[:5] = 0.0
    assert torch.allclose(neighbours(edges, a, x, b), dense(edges, a, b, 7) @ x)
    leaves = [t.requires_grad_() for t in (a, x, b)]
    assert torch.autograd.gradcheck(lambda a, x, b: neighbours(edges, a, x, b), leaves)


def test_an_edge_of_weight_zero_still_gets_its_gradient() -> None:
    edges = torch.tensor([[0], [1]])
    weight = torch.zeros(1, requires_grad=True)
    neighbours(edges, weight, torch.tensor([[1.0], [2.0]])).sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == 3.0


def test_features_multiply_select_and_keep_injected_rows() -> None:
    x = (torch.rand((6, 5), generator=torch.Generator().manual_seed(1)) < 0.5).float()
    weight = torch.rand((5, 2), requires_grad=True)
    features = Features.dense(x)
    assert torch.allclose(features.times(weight), x @ weight)
    features.times(weight).sum().backward()
    assert torch.allclose(weight.grad, x.sum(0)[:, None].expand(5, 2))
    assert torch.equal(features.take(torch.tensor([4, 1])).to_dense(), x[[4, 1]])
    grown = features.with_extra(torch.ones((1, 5)))
    assert grown.rows == 7
    assert torch.allclose(grown.times(weight)[-1], weight.sum(0))


def test_dropout_of_features_is_unbiased_and_its_gradient_sees_the_same_entries() -> None:
    torch.manual_seed(0)
    features, weight = Features.dense(torch.ones((200, 50))), torch.ones((50, 1), requires_grad=True)
    out = features.times(weight, drop=0.5)
    assert float(out.detach().mean()) == pytest.approx(50, rel=0.02)
    out.sum().backward()
    assert float(weight.grad.sum()) == pytest.approx(float(out.detach().sum()))


def test_incidence_is_difference_and_its_adjoint() -> None:
    edges, n = pairs(6), 6
    incidence = Incidence.of(edges, n, torch.float64)
    x, f = torch.rand((n, 2), dtype=torch.float64), torch.rand((edges.shape[1], 2), dtype=torch.float64)
    assert torch.allclose((incidence.difference(x) * f).sum(), (x * incidence.gather(f)).sum())
    assert torch.allclose(
        incidence.absolute(torch.ones(edges.shape[1], 1, dtype=torch.float64)), torch.full((6, 1), 5.0).double()
    )


def test_degrees_count_weights_at_both_ends() -> None:
    edges = torch.tensor([[0, 0], [1, 2]])
    assert degrees(edges, torch.tensor([1.0, 2.0]), 4).tolist() == [3.0, 1.0, 2.0, 0.0]


def test_a_rows_key_is_its_own_whatever_stands_around_it() -> None:
    x = (torch.rand((40, 12), generator=torch.Generator().manual_seed(2)) < 0.5).float()
    keys = Features.dense(x).keys()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert torch.equal(Features.dense(x[order]).keys(), keys[order])
    assert torch.equal(Features.dense(x).with_extra(x[:3]).keys(), torch.cat([keys, keys[:3]]))
    assert len(keys.unique()) == len(x.unique(dim=0))
    assert not torch.isin(Features.dense(2 * x).keys(), keys[x.any(1)])[x.any(1)].any()
