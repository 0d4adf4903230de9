import pytest
import torch
import torch.nn.functional as F

from sparring.opponents import BalancingWeights, DomainClassifier, ScoreBins, predicted_classes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_marginal_flattens_features():
    net = DomainClassifier(6, 3, generator=generator())
    assert net(torch.zeros(5, 2, 3)).shape == (5, 3)


def test_conditional_with_one_hot_conditions_has_a_view_per_condition():
    net = DomainClassifier(3, 2, hidden=(), conditions=4, generator=generator())
    z = torch.randn(4, 3, generator=generator(1))
    out = net(z, torch.eye(4))
    weight, bias = net.net[0].weight, net.net[0].bias
    for c in range(4):
        own = weight[:, :12].reshape(2, 3, 4)[:, :, c]
        assert torch.allclose(out[c], own @ z[c] + weight[:, 12 + c] + bias, atol=1e-6)


def test_random_projection_keeps_inner_products_on_average():
    # CDAN, theorem 2: the random map's inner product is an unbiased estimate of the outer product's.
    net = DomainClassifier(5, 2, conditions=3, projection=20_000, hidden=(1,), generator=generator())
    z, c = torch.randn(2, 5, generator=generator(1)), torch.rand(2, 3, generator=generator(2))
    low = (z @ net._left) * (c @ net._right) / 20_000**0.5
    full = (z.unsqueeze(2) * c.unsqueeze(1)).flatten(1)
    assert float(low[0] @ low[1]) == pytest.approx(float(full[0] @ full[1]), abs=0.25)
    assert set(net.state_dict()) >= {"_left", "_right"}
    assert net(z, c).shape == (2, 2)


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="at least 2 domains"):
        DomainClassifier(3, 1, generator=generator())
    with pytest.raises(ValueError, match="takes no condition"):
        DomainClassifier(3, 2, generator=generator())(torch.zeros(1, 3), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="condition of width 2"):
        DomainClassifier(3, 2, conditions=2, generator=generator())(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="projection"):
        DomainClassifier(3, 2, projection=8, generator=generator())


def test_predicted_classes_are_probabilities_also_for_one_logit():
    z = torch.tensor([[1.0, 2.0, 0.5]])
    assert torch.allclose(predicted_classes(z, torch.zeros(1)), F.softmax(z, 1))
    assert torch.allclose(predicted_classes(torch.tensor([0.0]), torch.zeros(1)), torch.tensor([[0.5, 0.5]]))


def test_score_bins():
    bins = ScoreBins((2.0, 3.0), column=1)
    target = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 2.9], [0.0, 5.0]])
    assert bins.index(target).tolist() == [0, 1, 1, 2]
    assert bins(torch.zeros(4, 1), target).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_quantile_bins_are_even_and_merge_ties():
    scores = torch.rand(1000, generator=generator())
    counts = torch.bincount(ScoreBins.quantiles(scores, 4).index(scores))
    assert counts.tolist() == [250, 250, 250, 250]
    assert len(ScoreBins.quantiles(torch.tensor([1.0, 1.0, 1.0, 2.0]), 4).edges) < 3


def test_balancing_weights_make_score_and_domain_independent():
    domain = (torch.rand(20_000, generator=generator()) < 0.4).long()
    score = torch.randn(20_000, generator=generator(1)) + domain
    bins = ScoreBins.quantiles(score, 5)
    weights = BalancingWeights.fit(bins, score, domain, 2, largest=1e9)(score, domain)
    mass = torch.zeros(5, 2).index_put_((bins.index(score), domain), weights, accumulate=True) / weights.sum()
    assert torch.allclose(mass, mass.sum(1, keepdim=True) * mass.sum(0, keepdim=True), atol=1e-5)
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5)


def test_balancing_weights_are_capped_and_zero_on_unseen_cells():
    bins = ScoreBins((0.0,))
    score, domain = torch.tensor([-1.0] * 99 + [1.0] * 2), torch.tensor([0] * 99 + [0, 1])
    weights = BalancingWeights.fit(bins, score, domain, 2, largest=1.5)
    assert float(weights.table.max()) == 1.5
    assert float(weights(torch.tensor([-1.0]), torch.tensor([1]))) == 0.0
