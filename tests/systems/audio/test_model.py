import pytest
import torch
from torch import nn

from sparring.opponents.networks import perceptron
from sparring.systems.audio.model import (
    Convolutional,
    Members,
    Pooled,
    QualityModel,
    Standardise,
    gaussian_loss,
    gaussian_parts,
    head,
    outputs_of,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_members_are_the_modules_side_by_side():
    modules = [perceptron([5, 7, 2], generator=rng(s)) for s in range(3)]
    x = torch.randn(4, 3, 5, generator=rng())
    together = Members(modules)(x)
    alone = torch.stack([m(x[:, i]) for i, m in enumerate(modules)], 1)
    assert torch.allclose(together, alone, atol=1e-6)


def test_a_members_gradient_is_its_own():
    members = Members([nn.Linear(2, 1) for _ in range(2)])
    members(torch.ones(3, 2, 2))[:, 0].sum().backward()
    weight = members.values["weight"].grad
    assert weight is not None
    assert weight[0].abs().sum() > 0
    assert weight[1].abs().sum() == 0


def test_members_follow_training_and_evaluation_mode_and_drop_differently():
    members = Members([Pooled(4, 32, 8, 0.5, generator=rng(0)) for _ in range(2)])
    x = torch.ones(1, 2, 4)
    assert not torch.equal(members(x)[:, 0], members(x)[:, 1])
    members.eval()
    assert torch.allclose(members(x)[:, 0], members(x)[:, 0])


def test_members_can_be_saved_and_have_no_weights_beside_their_own():
    members = Members([Standardise(torch.zeros(3), torch.ones(3)) for _ in range(2)])
    assert set(members.state_dict()) == {"mean", "deviation"}
    assert members.state_dict()["mean"].shape == (2, 3)


@pytest.mark.parametrize("length", [7, 40, 41, 1500])
def test_padding_and_neighbours_change_nothing_in_the_frame_encoder(length):
    encoder = Convolutional(6, 8, 4, 0.0, generator=rng()).double().eval()
    x = torch.cat([torch.randn(1, 6, length, generator=rng(1)), torch.ones(1, 1, length)], 1).double()
    padded = torch.nn.functional.pad(x, (0, 333))
    other = torch.randn(1, 7, length + 333, generator=rng(2)).double()
    other[:, -1] = 1
    batch = encoder(torch.cat([padded, other]))
    assert torch.allclose(encoder(x), batch[:1], atol=1e-12)


def test_what_lies_in_the_padding_is_not_heard():
    encoder = Convolutional(6, 8, 4, 0.0, generator=rng()).eval()
    x = torch.zeros(1, 7, 50)
    x[:, :, :30] = 1.0
    noisy = x.clone()
    noisy[:, :-1, 30:] = 9.0
    assert torch.equal(encoder(x), encoder(noisy))


def model(frames: bool = False) -> QualityModel:
    if frames:
        encoders: list[nn.Module] = [Convolutional(3, 8, 4, 0.0, generator=rng(s)) for s in range(2)]
    else:
        encoders = [Pooled(3, 8, 4, 0.0, generator=rng(s)) for s in range(2)]
    width = (4, 1) if frames else (3,)
    standards = [Standardise(torch.zeros(width), torch.ones(width)) for _ in range(2)]
    return QualityModel(
        Members(standards), Members(encoders), Members([head(4, 1, generator=rng(9))] * 2), frames=frames
    )


def test_inputs_without_a_member_axis_are_shown_to_all():
    x = torch.randn(5, 3, generator=rng())
    quality = model()
    assert quality(x).shape == (5, 2, 1)
    assert torch.equal(quality(x), quality(x.unsqueeze(1).expand(-1, 2, -1)))
    assert quality.represent(x).shape == (5, 2, 4)
    assert model(frames=True)(torch.ones(5, 4, 20)).shape == (5, 2, 1)


@pytest.mark.parametrize("axes", [1, 2, 4])
def test_the_gaussian_loss_is_torchs_likelihood(axes):
    outputs = torch.randn(6, outputs_of(axes, True), generator=rng(3), dtype=torch.float64)
    target = torch.randn(6, axes, generator=rng(4), dtype=torch.float64)
    mean, factor = gaussian_parts(outputs, axes)
    law = torch.distributions.MultivariateNormal(mean, scale_tril=factor)
    constant = axes / 2 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    assert torch.allclose(gaussian_loss(outputs, target), -law.log_prob(target) - constant)


def test_four_axes_take_fourteen_outputs_and_every_gaussian_is_proper():
    assert outputs_of(4, True) == 14
    assert outputs_of(4, False) == 4
    _, factor = gaussian_parts(torch.full((1, 14), -50.0), 4)
    # L L^T is proper when the triangle's diagonal has no zero; its eigenvalues themselves drown in rounding
    assert torch.equal(factor, factor.tril())
    assert factor.diagonal(dim1=1, dim2=2).min() > 0
