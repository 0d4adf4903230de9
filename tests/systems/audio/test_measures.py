import numpy as np
import pytest
from scipy import stats

from sparring.systems.audio import measures


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    a = random.integers(0, 6, 60).astype(float)
    return a, a + random.normal(0, 2, 60).round()


def test_correlations_are_scipys_ties_included(pair):
    a, b = pair
    assert measures.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert measures.pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic)
    assert measures.kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)
    assert (measures.ranks(b) + 1 == stats.rankdata(b)).all()


def test_a_constant_correlates_with_nothing():
    assert measures.spearman([1, 1, 1], [1, 2, 3]) == 0.0
    assert measures.kendall([1, 1, 1], [1, 2, 3]) == 0.0


def test_within_domains_is_blind_to_what_domains_are_granted():
    random = np.random.default_rng(1)
    domain, rated = np.repeat(np.arange(4), 30), random.normal(size=120)
    granted = rated + 100 * domain
    assert measures.within_domains(granted, rated, domain) == pytest.approx(1.0)
    assert measures.spearman(granted, rated) < 0.5
    assert measures.within_domains([1.0], [1.0], [0]) == 0.0


def test_bias_is_the_spread_of_mean_residuals():
    domain, rated = np.repeat([0, 1], 10), np.zeros(20)
    assert measures.residuals(rated + domain, rated, domain) == {0: 0.0, 1: 1.0}
    assert measures.bias(rated + domain, rated, domain) == 0.5
    assert measures.bias(rated + 3, rated, domain) == 0.0


def test_weights_of_one_change_nothing_and_repeat_rows(pair):
    a, b = pair
    assert measures.weighted_spearman(a, b, np.ones(60)) == pytest.approx(measures.spearman(a, b))
    assert measures.weighted_spearman(a, b, np.r_[np.ones(30), np.zeros(30)]) != pytest.approx(measures.spearman(a, b))


def test_explained_variance_is_one_where_the_domain_is_all_and_near_zero_by_chance():
    domain = np.repeat(np.arange(5), 200)
    assert measures.explained(domain.astype(float), domain) == pytest.approx(1.0)
    assert measures.explained(np.random.default_rng(0).normal(size=1000), domain) < 0.02


def test_agreement_has_the_fields_measures(pair):
    a, b = pair
    found = measures.agreement(b, a, np.repeat(np.arange(6), 10))
    assert found["MSE"] == pytest.approx(np.square(a - b).mean())
    assert set(found) >= {"SRCC", "LCC", "KTAU", "SRCC within domains", "SRCC of domains", "bias"}
