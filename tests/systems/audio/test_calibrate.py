import numpy as np
import pytest

from sparring.systems.audio.calibrate import Calibration


def test_intervals_cover_at_least_what_they_promise_on_clips_of_the_same_kind():
    random = np.random.default_rng(0)
    spread = random.uniform(0.5, 2, (4000, 1))
    rated = spread * random.standard_t(4, (4000, 1))
    zero = np.zeros_like(rated)
    fitted = Calibration.fit(zero[:1000], spread[:1000], rated[:1000])
    for level, found in zip(
        (0.5, 0.9), fitted.coverage(zero[1000:], spread[1000:], rated[1000:], (0.5, 0.9)), strict=True
    ):
        assert found == pytest.approx(level, abs=0.03)


def test_uncertain_clips_get_wider_intervals_and_axes_their_own():
    fitted = Calibration(np.tile(np.linspace(0, 1, 99), (2, 1)) * np.array([[1], [2]]))
    half = fitted.half_width(np.array([[1.0, 1.0], [3.0, 1.0]]), 0.9)
    assert half[1, 0] == pytest.approx(3 * half[0, 0])
    assert half[0, 1] == pytest.approx(2 * half[0, 0])


def test_too_few_held_out_clips_promise_nothing():
    assert np.isinf(Calibration(np.ones((1, 5))).half_width(np.ones((1, 1)), 0.9)).all()
