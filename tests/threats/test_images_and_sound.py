"""Threats on images and sound, where their members are known."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.threats import CORRUPTIONS, SNR, Corruptions, Patch, Spatial
from sparring.threats.finite import moved


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_a_shift_by_whole_pixels_moves_the_picture() -> None:
    x = image(2, 3, 5, 6)
    down = moved(x, 0.0, 1.0, 0.0)
    torch.testing.assert_close(down[..., 1:, :], x[..., :-1, :], atol=1e-5, rtol=0)
    torch.testing.assert_close(down[..., 0, :], torch.zeros(2, 3, 6), atol=1e-5, rtol=0)
    right = moved(x, 0.0, 0.0, 2.0, fill=0.5)
    torch.testing.assert_close(right[..., 2:], x[..., :-2], atol=1e-5, rtol=0)
    torch.testing.assert_close(right[..., :2], torch.full((2, 3, 5, 2), 0.5), atol=1e-5, rtol=0)


def test_four_quarter_turns_are_none() -> None:
    x = image(1, 1, 6, 6)
    torch.testing.assert_close(moved(x, 90.0, 0, 0), torch.rot90(x, 1, (2, 3)), atol=1e-5, rtol=0)
    torch.testing.assert_close(moved(moved(x, 90.0, 0, 0), -90.0, 0, 0), x, atol=1e-5, rtol=0)


def test_the_published_grid_of_moves() -> None:
    threat = Spatial()
    assert threat.count == 11 * 7 * 7 == len(threat.moves) == len(set(threat.moves))
    assert threat.moves[0] == (0, 0, 0)
    assert max(m[0] for m in threat.moves) == 30
    assert max(m[1] for m in threat.moves) == 3
    assert set(threat.scaled(0.5).moves) < set(threat.moves)


def test_projection_finds_the_move_that_was_made() -> None:
    x, threat = image(3, 1, 8, 8), Spatial(angle=12, shift=1)
    hidden = threat.member(x, 14)
    noisy = hidden + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert bool((threat.violation(noisy, x) > 0).all())
    assert torch.equal(threat.project(noisy, x), hidden)


def test_features_cannot_be_turned() -> None:
    with pytest.raises(TypeError, match="two or more dimensions"):
        Spatial().project(image(2, 5), image(2, 5))
    with pytest.raises(TypeError, match="two or more dimensions"):
        Patch(2).project(image(2, 5), image(2, 5))
    with pytest.raises(TypeError, match="two or more dimensions"):
        Corruptions().project(image(2, 5), image(2, 5))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_grows_with_its_severity(name) -> None:
    x = image(4, 3, 16, 16) * 0.8 + 0.1
    threat = Corruptions((name,))
    off = [float((m - x).square().mean()) for m in threat.members(x)]
    assert off[0] == 0
    assert off[1] > 0
    assert off[5] > 1.05 * off[1]
    assert all(float(m.min()) >= 0 and float(m.max()) <= 1 for m in threat.members(x))
    alone = torch.cat([threat.member(x[i : i + 1], 5) for i in range(4)])
    torch.testing.assert_close(threat.member(x, 5), alone)


def test_corruptions_are_counted_by_kind_and_severity() -> None:
    assert Corruptions().count == 1 + 8 * 5
    assert Corruptions(("contrast",), 2.9).count == 3
    with pytest.raises(ValueError, match="no corruption 'rain'"):
        Corruptions(("rain",))


def test_brightness_and_contrast_are_what_they_say() -> None:
    x = torch.tensor([[[[0.2, 0.6]]]])
    torch.testing.assert_close(Corruptions(("brightness",)).member(x, 3), x + 0.15)
    torch.testing.assert_close(Corruptions(("contrast",)).member(x, 2), torch.tensor([[[[0.3, 0.5]]]]))


def test_a_patch_is_one_square_anywhere() -> None:
    x = image(1, 2, 6, 6)
    a = x.clone()
    a[0, :, 2:4, 3:5] = 1.0
    a[0, 0, 0, 0] += 0.01
    threat = Patch(2)
    assert float(threat.violation(a, x)) == pytest.approx(0.01, abs=1e-6)
    z = threat.project(a, x)
    assert torch.equal(z[0, :, 2:4, 3:5], torch.ones(2, 2, 2))
    assert int((z != x).sum()) <= 8
    assert float(threat.violation(z, x)) == 0
    assert float(Patch(1).violation(z, x)) > 0


def test_the_first_step_of_a_patch_goes_where_the_gradient_is() -> None:
    x, grad = image(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)
    grad[0, 0, 1:3, 4:6] = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    threat = Patch(2)
    step = threat.steepest(grad, x, x)
    assert torch.equal(step != 0, grad != 0)
    at = threat.project(x + threat.radius * step, x)
    assert torch.equal(at[0, 0, 1:3, 4:6], torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    stays = threat.steepest(torch.ones_like(grad), at, x)
    assert torch.equal(stays != 0, grad != 0)


def test_the_noise_stays_so_many_decibels_below() -> None:
    x = torch.randn(5, 400, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[0.01], [0.05], [0.1], [0.1], [0]]
    )
    threat = SNR(20.0)
    drawn = threat.project(x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1)), x)
    ratio = 20 * torch.log10(x.norm(dim=1) / (drawn - x).norm(dim=1))
    torch.testing.assert_close(ratio[:4], torch.full((4,), 20.0), atol=1e-2, rtol=0)
    assert torch.equal(drawn[4], x[4])
    assert threat.radius == pytest.approx(0.1)
    assert threat.scaled(0.5).decibels == pytest.approx(26.02, abs=0.01)
    assert threat.scaled(0.0).decibels == math.inf


@pytest.mark.parametrize(
    "make", [lambda: SNR(math.nan), lambda: Patch(-1), lambda: Spatial(angle=-1), lambda: Patch(2, 1, 0)]
)
def test_senseless_threats_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"must|empty"):
        make()
