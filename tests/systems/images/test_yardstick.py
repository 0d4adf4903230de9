"""Distances and neighbours against their definitions."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from sparring.systems.images import data, scenes
from sparring.systems.images.yardstick import Judge, Words, fid, kid, named, prdc


def normal(n: int, shift: float = 0.0, scale: float = 1.0, seed: int = 0, d: int = 4) -> torch.Tensor:
    return shift + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_the_frechet_distance_is_the_formula_with_a_matrix_root() -> None:
    a, b = normal(200), normal(150, 0.5, 2.0, 1) @ torch.tensor(np.triu(np.ones((4, 4))), dtype=torch.float32)
    first, second = np.cov(a.numpy().T.astype(float)), np.cov(b.numpy().T.astype(float))
    root = np.real(sqrtm(first @ second))
    mean = a.double().mean(0).numpy() - b.double().mean(0).numpy()
    wanted = mean @ mean + np.trace(first + second - 2 * root)
    assert fid(a, b) == pytest.approx(wanted, rel=1e-4)


def test_equal_features_are_at_no_distance() -> None:
    a = normal(100)
    assert fid(a, a) == pytest.approx(0, abs=1e-8)


def test_the_kernel_distance_is_near_nothing_for_one_law_and_large_for_two() -> None:
    a = normal(1000)
    assert abs(kid(a, normal(1000, seed=1))) < 0.1 < kid(a, normal(1000, 1.0, seed=1))


def test_neighbours_find_what_is_missing_and_what_is_false() -> None:
    real = torch.cat([normal(100), normal(100, 20.0)])
    half = normal(100, seed=5)
    near = prdc(real, half)
    assert near.precision > 0.9
    assert near.recall < 0.6
    assert 0.3 < near.coverage < 0.6
    assert prdc(real, normal(50, 100.0)).precision == 0


def test_a_judge_gives_a_law_for_each_place_of_the_prompt() -> None:
    net = Words((3, 8, 8), prompt=2, words=5)
    assert net(torch.zeros(4, 3, 8, 8)).shape == (4, 2, 5)


def test_a_judge_of_scenes_is_asked_for_objects_and_judges_sentences_by_them() -> None:
    """Two sentences that are true of one scene are both right; a judge of words could name but one."""
    pictures = data.load("scenes", seed=0, limit=400, data=None).test.take(torch.arange(60))
    wanted = named(pictures)
    assert int(wanted.min()) >= 0
    assert int(wanted.max()) < scenes.OBJECTS + 2

    class Seer(torch.nn.Module):
        """Says what is there."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(wanted[: len(x)], scenes.OBJECTS + 2).float()

    judge = Judge(Seer(), scenes=True)
    assert judge.right(pictures.images, pictures.prompts).all()
    assert not judge.right(pictures.images, pictures.prompts.roll(1, 0)).all()
