from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks.apgd import APGD
from sparring.attacks.pgd import PGD
from sparring.evaluation.certificates import Residual, bounds, certify, enclosing_box, margin_bounds
from sparring.evaluation.protocol import Adversary, evaluate
from sparring.objectives import margin
from sparring.threats.base import ThreatModel
from sparring.threats.lp import L1, L2, LInf


def seeded(make: type[nn.Module] | object, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()  # type: ignore[operator]
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                nn.init.normal_(module.weight)
        return model.eval()


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(6),
        nn.LeakyReLU(0.1),
        Residual(nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.Tanh())),
        nn.MaxPool2d(2),
        nn.AvgPool2d((1, 2)),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(12, 8),
        nn.Sigmoid(),
        nn.Linear(8, 5),
    )


def dense_net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.parametrize(("make", "shape"), [(conv_net, (2, 8, 8)), (dense_net, (4,))])
@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.3])
def test_bounds_hold_at_random_points_and_at_corners(make: object, shape: tuple[int, ...], eps: float) -> None:
    model, generator = seeded(make), torch.Generator().manual_seed(1)
    x = torch.rand(20, *shape, generator=generator)
    low, high = bounds(model, x - eps, x + eps)
    for k in range(60):
        noise = torch.rand(x.shape, generator=generator) * 2 - 1
        out = model(x + eps * (noise.sign() if k % 2 else noise)).detach().double()
        assert bool(((low <= out) & (out <= high)).all())


def test_affine_bounds_are_exact_up_to_rounding() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -3.0]]))
        layer.bias.copy_(torch.tensor([0.5]))
    low, high = bounds(layer, torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    assert low.item() == pytest.approx(-2.5, abs=1e-5)
    assert high.item() == pytest.approx(2.5, abs=1e-5)
    assert low.item() < -2.5
    assert high.item() > 2.5


def test_merging_the_last_layer_is_tighter_and_sound() -> None:
    model, x = seeded(dense_net), torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    merged = margin_bounds(model, x, y, LInf(0.05))
    low, high = bounds(model, x - 0.05, x + 0.05)
    apart = (low.gather(1, y[:, None]) - high).scatter(1, y[:, None], torch.inf)
    assert bool((merged >= apart - 1e-5).all())
    assert float((merged - apart)[torch.isfinite(apart)].mean()) > 0
    result = PGD(steps=40)(model, (x, y), LInf(0.05), objective=margin, generator=torch.Generator().manual_seed(0))
    assert bool((-result.objective >= merged.amin(1) - 1e-5).all())


@pytest.mark.parametrize("threat", [LInf(0.02, 0, 1), L2(0.05, 0, 1), L1(0.1)])
def test_no_attack_breaks_a_certificate(threat: ThreatModel) -> None:
    model, x = seeded(conv_net, 3), torch.rand(40, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    proof = certify(model, x, y, threat)
    plan = [
        Adversary(name="pgd", attack=PGD(steps=30), threat=threat, objective=margin),
        Adversary(name="apgd", attack=APGD(steps=30), threat=threat, objective=margin),
    ]
    found = evaluate(model, (x, y), plan, generator=torch.Generator().manual_seed(0), proofs=[proof])
    assert int(proof.certified.sum()) <= int(found.worst().sum())
    assert bool(certify(model, x, y, threat.scaled(1e-3)).certified.any())
    assert not bool(certify(model, x, (y + 1) % 5, threat).certified.any())


def test_a_detector_with_one_logit() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.fill_(-0.5)
    x = torch.tensor([[0.2], [0.45], [0.55], [0.8]])
    assert certify(model, x, torch.tensor([0, 0, 1, 1]), LInf(0.1)).certified.tolist() == [True, False, False, True]
    assert not certify(model, x, torch.tensor([1, 1, 0, 0]), LInf(0.1)).certified.any()


def test_a_threat_may_bring_its_own_box() -> None:
    class FirstEntry(LInf):
        def box(self, x: Tensor) -> tuple[Tensor, Tensor]:
            raise AssertionError("Lp balls have their own")

    low, high = enclosing_box(FirstEntry(0.1, 0, 1), torch.tensor([[0.05, 0.5]]))
    assert low.tolist()[0] == pytest.approx([0.0, 0.4], abs=1e-5)
    assert high.tolist()[0] == pytest.approx([0.15, 0.6], abs=1e-5)

    class Fixed:
        def box(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.double(), x.double()

    x = torch.rand(3, 2)
    assert torch.equal(enclosing_box(Fixed(), x)[0], x.double())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has no box"):
        enclosing_box(object(), x)  # type: ignore[arg-type]


def test_what_has_no_rule_is_named() -> None:
    with pytest.raises(TypeError, match="GELU"):
        bounds(nn.Sequential(nn.Linear(2, 2), nn.GELU()), torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(TypeError, match="running statistics"):
        bounds(nn.BatchNorm1d(2, track_running_stats=False), torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(TypeError, match="padding_mode"):
        bounds(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    with pytest.raises(TypeError, match="convert"):
        certify(nn.Linear(2, 2).half(), torch.zeros(1, 2), torch.zeros(1), LInf(0.1))


def test_the_model_stays_as_it_was() -> None:
    model = seeded(conv_net).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    certify(model, torch.rand(3, 2, 8, 8), torch.zeros(3), LInf(0.1))
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
