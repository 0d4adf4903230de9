"""A layer's score depends on its own columns alone, and on them as it should."""

from __future__ import annotations

import torch

from sparring.network.detector.layers import Autoencoder, Perceptron, logit


def test_logit_is_finite_strictly_rising_and_close_to_the_log_odds():
    p = torch.linspace(0, 1, 1001, dtype=torch.float64)
    z = logit(p)
    assert torch.isfinite(z).all()
    assert (z.diff() > 0).all()
    torch.testing.assert_close(z[300:700], torch.logit(p[300:700]), atol=1e-3, rtol=0)


def test_autoencoder_sees_its_columns_only():
    g = torch.Generator().manual_seed(0)
    model, x = Autoencoder(torch.tensor([0, 2]), (4, 1), 3, g), torch.rand(5, 4, generator=g)
    other = x.clone()
    other[:, [1, 3]] += 7
    assert torch.equal(model(x), model(other))
    other[:, 2] += 1
    assert not torch.equal(model(x), model(other))


def test_autoencoder_score_is_the_members_mean_log_error():
    g = torch.Generator().manual_seed(1)
    model, x = Autoencoder(torch.arange(3), (4, 2), 2, g), torch.rand(6, 3, generator=g)
    rebuilt = model.reconstruct(x)
    assert rebuilt.shape == (2, 6, 3)
    expected = sum(((rebuilt[k] - x).square().sum(1) + 1e-4).log() for k in range(2)) / 2
    torch.testing.assert_close(model(x), expected.double())
    torch.testing.assert_close(model.errors(x).sum(1), (rebuilt - x).square().sum(2).mean(0))


def test_members_differ_and_the_generator_decides_all_weights():
    one, two = (Autoencoder(torch.arange(3), (4, 2), 2, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.weights[0][0], one.weights[0][1])
    before = torch.get_rng_state()
    Perceptron((3, 4, 1), torch.Generator().manual_seed(5))
    assert torch.equal(before, torch.get_rng_state())
