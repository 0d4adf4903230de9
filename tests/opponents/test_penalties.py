import pytest
import torch
from torch import nn

from sparring.opponents import R1, R2, WASSERSTEIN, Drift, GradientPenalty, interpolate, perceptron, slope


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plane(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1) @ torch.full((x[0].numel(),), 3.0 / x[0].numel() ** 0.5) + 0.7


def bowl(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x.flatten(1).square().sum(1)


REAL, FAKE = torch.randn(6, 2, 4, generator=generator(1)), torch.randn(6, 2, 4, generator=generator(2))


@pytest.mark.parametrize(
    ("penalty", "value"),
    [
        (GradientPenalty(), 10 * (3 - 1) ** 2),
        (GradientPenalty(weight=2.0, centre=0.0), 2 * 9),
        (GradientPenalty(centre=5.0), 10 * 4),
        (GradientPenalty(centre=5.0, one_sided=True), 0),
        (R1(weight=4.0), 2 * 9),
        (R2(weight=4.0), 2 * 9),
    ],
)
def test_a_plane_of_slope_three(penalty, value):
    out = penalty(plane, REAL, FAKE, generator=generator())
    assert out.tolist() == pytest.approx([value] * 6, rel=1e-5)


def test_where_the_slope_is_taken():
    assert torch.allclose(R1(2.0)(bowl, REAL, FAKE, generator=generator()), REAL.flatten(1).square().sum(1))
    assert torch.allclose(R2(2.0)(bowl, REAL, FAKE, generator=generator()), FAKE.flatten(1).square().sum(1))
    between = interpolate(REAL, FAKE, generator=generator())
    expected = (between.flatten(1).norm(dim=1) - 1).square()
    assert torch.allclose(GradientPenalty(1.0)(bowl, REAL, FAKE, generator=generator()), expected)
    assert torch.allclose(Drift(0.5)(bowl, REAL, FAKE, generator=generator()), 0.5 * bowl(REAL).square())


def test_interpolates_lie_on_the_segments_one_share_per_sample():
    between = interpolate(torch.zeros(1000, 3), torch.ones(1000, 3), generator=generator())
    assert torch.equal(between[:, 0], between[:, 1])
    assert float(between.min()) >= 0
    assert float(between.max()) <= 1
    assert float(between.mean()) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ValueError, match="one shape"):
        interpolate(torch.zeros(2, 3), torch.zeros(3, 3), generator=generator())


def test_scalar_samples_and_the_global_state():
    before = torch.get_rng_state()
    out = GradientPenalty()(lambda x: 2 * x, torch.zeros(3), torch.ones(3), generator=generator())
    assert out.tolist() == pytest.approx([10.0] * 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_flat_critic_gives_a_finite_second_derivative():
    weight = torch.zeros(4, requires_grad=True)
    GradientPenalty()(lambda x: x @ weight, torch.ones(2, 4), torch.zeros(2, 4), generator=generator()).sum().backward()
    assert bool(torch.isfinite(weight.grad).all())


def test_the_penalty_trains_the_weights_and_leaves_the_samples_alone():
    net = perceptron([4, 8, 1], generator=generator(), activation=nn.Tanh)
    real = torch.randn(5, 4, generator=generator(1)).requires_grad_(True)
    R1()(lambda x: net(x).squeeze(1), real, real.detach(), generator=generator()).sum().backward()
    assert real.grad is None
    assert float(net[0].weight.grad.abs().sum()) > 0


def test_slope_matches_autograd():
    x = torch.randn(3, 2, 2, generator=generator())
    assert torch.allclose(slope(lambda x: x.flatten(1).pow(3).sum(1), x), 3 * x.flatten(1).square())


def test_a_trained_wasserstein_critic_finds_the_distance_of_two_gaussians():
    # W1 of N(0, 1) and N(2, 1) is the difference of their means. In one dimension the two-sided penalty is a wall
    # between slopes -1 and +1, so a critic that starts with the wrong sign stays there: the one-sided form has none.
    torch.set_num_threads(1)
    rng = generator(5)
    net = perceptron([1, 32, 32, 1], generator=rng, activation=lambda: nn.LeakyReLU(0.2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3, betas=(0.5, 0.9))
    penalty = GradientPenalty(weight=50.0, one_sided=True)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return net(x).squeeze(1)

    for _ in range(400):
        real, fake = torch.randn(256, 1, generator=rng) + 2, torch.randn(256, 1, generator=rng)
        loss = WASSERSTEIN.critic(critic(real), critic(fake)) + penalty(critic, real, fake, generator=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    real, fake = torch.randn(20_000, 1, generator=rng) + 2, torch.randn(20_000, 1, generator=rng)
    with torch.no_grad():
        assert -float(WASSERSTEIN.critic(critic(real), critic(fake))) == pytest.approx(2.0, rel=0.1)
