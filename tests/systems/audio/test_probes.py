import numpy as np
import pytest

from sparring.systems.audio.probes import balanced, probe, within_bins


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_probe_finds_a_domain_that_is_there_and_none_that_is_not(kind):
    random = np.random.default_rng(0)
    domain, group = np.repeat(np.arange(3), 120), np.tile(np.arange(20), 18)
    noise = random.normal(size=(360, 6))
    there = noise.copy()
    there[:, 0] += 4 * domain
    assert balanced(probe(there, domain, group, kind=kind), domain) > 0.9
    assert balanced(probe(noise, domain, group, kind=kind), domain) < 0.5


def test_balanced_accuracy_does_not_reward_the_largest_domain():
    domain = np.array([0] * 90 + [1] * 10)
    assert balanced(domain == 0, domain) == 0.5


def test_domain_read_through_the_score_does_not_count_within_bins():
    random = np.random.default_rng(1)
    domain = np.repeat([0, 1], 300)
    score = random.normal(size=600) + 2 * domain
    guess = (score > 1).astype(int) == domain
    assert balanced(guess, domain) > 0.8
    assert within_bins(guess, domain, score) < 0.7
