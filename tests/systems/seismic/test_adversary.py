# pyright: basic
import pytest
import torch
from tests.systems.seismic.scenes import THIN, tiny

from sparring.errors import BadInput
from sparring.opponents import GradientPenalty
from sparring.systems.seismic.adversary import GatherCritic, SiameseLens, Sight, levelled
from sparring.systems.seismic.filters import FULL, integrated

DRAWS = torch.Generator


def pair(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draws = DRAWS().manual_seed(seed)
    real = torch.randn((3, 32, 160), generator=draws)
    return real, real + torch.randn((3, 32, 160), generator=draws)


def test_scales_come_from_the_observed_side_alone() -> None:
    real, fake = pair()
    sight = Sight(0.004, (5.0, FULL), every=4, each=2)
    seen, made, conditions = sight(real, fake, torch.arange(3), DRAWS())
    _, louder, _ = sight(real, 3 * fake, torch.arange(3), DRAWS())
    assert seen.shape == made.shape == (3, *sight.shape(32, 160)) == (3, 2, 16, 40)
    assert conditions == ()
    assert torch.allclose(louder, 3 * made, atol=1e-4)
    assert torch.allclose(seen.square().mean((2, 3)).sqrt(), torch.tensor(1 / 3), atol=1e-4)


def test_integration_comes_before_thinning_and_both_are_linear() -> None:
    real, fake = pair()
    sight = Sight(0.004, every=4, each=2)
    by_hand = integrated(fake, 0.004).reshape(3, 16, 2, 40, 4).mean((2, 4))
    made = sight(real, fake, torch.arange(3), DRAWS())[1][:, 0]
    ratio = made / by_hand
    assert torch.allclose(ratio, ratio[:, :1, -1:], rtol=1e-2)


def test_noise_goes_to_the_simulated_side_and_is_new_each_time() -> None:
    real, fake = pair()
    loud = Sight(0.004, integrate=False, every=1, each=1, noise=torch.tensor([0.0, 1.0, 2.0]))
    quiet = Sight(0.004, integrate=False, every=1, each=1)
    draws, shots = DRAWS().manual_seed(1), torch.arange(3)
    base = quiet(real, fake, shots, draws)[1]
    added = [loud(real, fake, shots, draws)[1] - base for _ in range(2)]
    scale = 3 * real.square().mean((1, 2)).sqrt()
    assert torch.allclose(added[0].std((1, 2, 3)) * scale, torch.tensor([0.0, 1.0, 2.0]), atol=0.05)
    assert not torch.equal(added[0], added[1])
    assert torch.equal(loud(real, fake, shots, draws)[0], quiet(real, fake, shots, draws)[0])


def test_levelled_gradients_have_one_norm_a_shot() -> None:
    x = torch.randn(4, 3, 50, requires_grad=True)
    weights = torch.tensor([1.0, 10.0, 100.0, 0.0])[:, None, None]
    (levelled(x) * weights * torch.randn(4, 3, 50)).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad.square().sum((1, 2)).sqrt(), torch.tensor([0.25, 0.25, 0.25, 0.0]), atol=1e-6)


def test_a_critic_is_the_same_for_the_same_seed_and_takes_a_second_derivative() -> None:
    shape = (2, 16, 40)
    a, b = (GatherCritic(shape, generator=DRAWS().manual_seed(5)) for _ in range(2))
    x = torch.randn(3, *shape)
    assert torch.equal(a(x), b(x))
    assert a(x).shape == (3,)
    price = GradientPenalty()(a, x, x + 1, generator=DRAWS().manual_seed(0)).mean()
    price.backward()
    assert all(p.grad is not None for p in a.features.parameters() if p.ndim > 1)


def test_a_critic_that_would_see_too_little_says_how_to_thin_less() -> None:
    with pytest.raises(BadInput, match=r"8 receivers x 40 samples; it needs 16 x 16: thin less"):
        GatherCritic((1, 8, 40), generator=DRAWS())


def test_the_lens_has_about_as_many_weights_as_published() -> None:
    lens = SiameseLens(generator=DRAWS().manual_seed(0))
    assert 800 < sum(p.numel() for p in lens.parameters()) < 1300
    assert lens(torch.zeros(2, 5, 30)).shape == (2, 10, 5, 30)


def test_the_tiny_scene_is_large_enough_for_a_critic() -> None:
    receivers, samples = tiny().problem.observed.shape[1:]
    assert min(receivers // THIN["each"], samples // THIN["every"]) >= 16
