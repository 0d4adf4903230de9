from __future__ import annotations

from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from sparring.attacks.pgd import PGD
from sparring.evaluation.certificates import ABSTAIN, Smoothed, SmoothedClassifier, smoothing_proof
from sparring.evaluation.protocol import Adversary, evaluate
from sparring.objectives import margin
from sparring.threats.lp import L2


def always(x: Tensor) -> Tensor:
    return torch.tensor([1.0, 0.0]).expand(len(x), 2)


def half_space(x: Tensor) -> Tensor:
    """Class 1 where the first entry is positive: the smoothed radius is the distance |x_0| exactly."""
    return torch.stack([-x[:, 0], x[:, 0]], 1)


@pytest.mark.parametrize(("sigma", "largest"), [(0.25, 0.95), (0.5, 1.9), (1.0, 3.8)])
def test_the_published_largest_radius(sigma: float, largest: float, generator: torch.Generator) -> None:
    # Cohen et al. 2019, section 4: with n = 100,000 and alpha = 0.001 no radius above 3.8 sigma can be certified.
    found = SmoothedClassifier(always, sigma, 50_000).certify(torch.zeros(1, 2), generator=generator)
    assert found.prediction.tolist() == [0]
    assert float(found.radius[0]) == pytest.approx(sigma * NormalDist().inv_cdf(0.001 ** (1 / 100_000)))
    assert float(found.radius[0]) == pytest.approx(largest, abs=0.02)


def test_half_space_radii_are_close_below_the_distance(generator: torch.Generator) -> None:
    x = torch.tensor([[0.1, 0.0], [-0.5, 0.0], [1.0, 2.0]])
    found = SmoothedClassifier(half_space, 0.5, 20_000).certify(x, generator=generator, n=20_000)
    distance = x[:, 0].abs().double()
    assert found.prediction.tolist() == [1, 0, 1]
    assert bool((found.radius <= distance).all())
    assert bool((found.radius > 0.8 * distance - 0.01).all())


def test_a_coin_flip_is_abstained_from(generator: torch.Generator) -> None:
    smooth = SmoothedClassifier(half_space, 0.5)
    x = torch.tensor([[1e-4, 0.0]])
    assert smooth.certify(x, generator=generator, n=1000).prediction.tolist() == [ABSTAIN]
    assert smooth.certify(x, generator=generator, n=1000).radius.tolist() == [0.0]
    assert smooth.predict(x, generator=generator).tolist() == [ABSTAIN]
    assert smooth.predict(torch.tensor([[0.5, 0.0], [-0.5, 0.0]]), generator=generator).tolist() == [1, 0]


def test_the_same_generator_gives_the_same_certificate() -> None:
    x = torch.tensor([[0.3, 0.0]])
    smooth = SmoothedClassifier(half_space, 0.5)
    one, two = (smooth.certify(x, generator=torch.Generator().manual_seed(7), n=500) for _ in range(2))
    assert one.radius.tolist() == two.radius.tolist()


def test_one_logit_counts_as_two_classes(generator: torch.Generator) -> None:
    smooth = SmoothedClassifier(lambda x: x[:, 0], 0.25)
    assert smooth.certify(torch.tensor([[0.5], [-0.5]]), generator=generator, n=500).prediction.tolist() == [1, 0]


def test_no_attack_breaks_a_smoothed_certificate(generator: torch.Generator) -> None:
    def base(x: Tensor) -> Tensor:
        z = (3 * x[:, 0]).sin() + x[:, 1] ** 2 - 0.5
        return 6 * torch.stack([-z, z], 1)

    smooth = SmoothedClassifier(base, 0.3)
    x = torch.rand(60, 2, generator=generator) * 2 - 1
    found = smooth.certify(x, generator=generator, n=2000)
    y = found.prediction.clamp_min(0)
    eps = 0.2
    proof = smoothing_proof(found, y, eps, alpha=0.001)
    assert 5 < int(proof.certified.sum()) < 60
    attack = Adversary(name="pgd on the mean", attack=PGD(steps=20), threat=L2(eps), objective=margin)
    surrogate = smooth.surrogate(400, generator)
    points = evaluate(surrogate, (x, y), [attack], generator=generator).outcomes[0].x_adv
    assert float((points - x).norm(dim=1).max()) > 0.9 * eps
    answers = smooth.predict(points[proof.certified], generator=generator, n=1000)
    assert bool(((answers == y[proof.certified]) | (answers == ABSTAIN)).all())


def test_the_surrogate_is_deterministic_and_differentiable(generator: torch.Generator) -> None:
    surrogate = SmoothedClassifier(half_space, 0.25).surrogate(50, generator)
    x = torch.rand(4, 2, requires_grad=True)
    assert torch.equal(surrogate(x), surrogate(x))
    assert bool((torch.autograd.grad(surrogate(x)[:, 1].sum(), x)[0][:, 0] > 0).all())
    assert torch.allclose(surrogate(x).exp().sum(1), torch.ones(4))


def test_nonsense_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match="sigma"):
        SmoothedClassifier(always, 0.0)
    with pytest.raises(ValueError, match="alpha"):
        SmoothedClassifier(always, 1.0).certify(torch.zeros(1, 2), generator=generator, alpha=0.6)
    with pytest.raises(ValueError, match="draw"):
        SmoothedClassifier(always, 1.0).counts(torch.zeros(2), 0, generator)
    with pytest.raises(ValueError, match="larger"):
        smoothing_proof(Smoothed(torch.zeros(1), torch.zeros(1)), torch.zeros(1), 0.1, alpha=0.01, threat=L2(0.2))
