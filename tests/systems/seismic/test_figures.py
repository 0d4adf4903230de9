# pyright: basic
"""The report's pictures: each is a PNG with its title; axes are kilometres."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.systems.seismic.scenes import homogeneous, spread

from sparring.systems.seismic import figures
from sparring.systems.seismic.earth import Earth

EARTH = homogeneous(shape=(20, 32))
SURVEY = spread(EARTH, shots=2, samples=100)
GATHER = torch.randn(32, 100)


@pytest.mark.parametrize(
    ("draw", "title"),
    [
        (lambda p: figures.velocities(EARTH, {"true": EARTH.velocity, "start": EARTH.velocity + 5}, p), "Velocities"),
        (lambda p: figures.velocities(EARTH, {"one": EARTH.velocity}, p, colours="jet"), "Velocities"),
        (lambda p: figures.differences(EARTH, EARTH.velocity, {"same": EARTH.velocity}, p), "Differences"),
        (lambda p: figures.gathers(SURVEY, 1, GATHER, {"start": 0 * GATHER, "best": GATHER}, p), "Gathers of shot 2"),
        (lambda p: figures.profiles(EARTH, {"true": EARTH.velocity}, p), "Depth profiles"),
        (lambda p: figures.wavelet(SURVEY, p), "Wavelet"),
        (lambda p: figures.light(EARTH, SURVEY, torch.rand(20, 32), p), "Illumination"),
    ],
)
def test_every_picture_is_drawn(tmp_path: Path, draw, title: str) -> None:
    found = draw(tmp_path / "x.png")
    assert found.title.startswith(title)
    assert found.path == "figures/x.png"
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_axes_are_kilometres_from_the_origin() -> None:
    assert Earth(EARTH.velocity, 40.0, (1000.0, 0.0)).extent == pytest.approx((1.0, 2.28, 0.8, 0.0))
