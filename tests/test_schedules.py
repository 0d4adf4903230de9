import math

import pytest

from sparring.schedules import Constant, Linear, Ramp, progress


def test_progress_is_clipped_and_is_one_without_a_length():
    assert progress(0, 10) == 0
    assert progress(5, 10) == 0.5
    assert progress(20, 10) == 1
    assert progress(3, 0) == 1


def test_constant():
    assert Constant(0.3)(0.0) == Constant(0.3)(1.0) == 0.3


def test_ramp_is_the_published_formula():
    ramp = Ramp(final=2.0, gamma=10.0)
    assert ramp(0.0) == 0
    assert ramp(0.1) == pytest.approx(2 * (2 / (1 + math.exp(-1)) - 1))
    assert ramp(1.0) == pytest.approx(2 * 0.9999092, abs=1e-6)


def test_linear_reaches_its_end_and_stays():
    line = Linear(final=0.9, until=0.5)
    assert [line(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0, 0.45, 0.9, 0.9])
    assert Linear(final=1.0, until=0.0)(0.0) == 1.0
    assert Linear(start=1.0, final=0.0, until=1.0)(0.25) == 0.75


def test_linear_refuses_an_end_outside_the_training():
    with pytest.raises(ValueError, match="until"):
        Linear(until=2)
