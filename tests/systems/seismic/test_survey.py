# pyright: basic
from dataclasses import replace

import pytest
import torch
from tests.systems.seismic.scenes import homogeneous, spread

from sparring.errors import BadInput
from sparring.systems.seismic.survey import check_survey, ricker, rotated


def test_a_ricker_peaks_where_and_as_high_as_it_says() -> None:
    w = ricker(5.0, 0.002, 500)
    assert int(w.argmax()) == 150
    assert float(w.max()) == pytest.approx(1, abs=1e-6)
    spectrum = torch.fft.rfft(w).abs()
    assert float(torch.fft.rfftfreq(500, 0.002)[spectrum.argmax()]) == pytest.approx(5, abs=1)


def test_turning_the_phase_keeps_the_spectrum_and_half_a_turn_flips() -> None:
    w = ricker(5.0, 0.002, 500)
    assert torch.allclose(rotated(w, 180), -w, atol=1e-5)
    assert float(rotated(w, 45).norm()) == pytest.approx(float(w.norm()), rel=1e-2)


def test_a_line_has_a_receiver_in_every_column_at_one_depth() -> None:
    survey = spread(homogeneous())
    assert survey.shape == (3, 32, 160)
    assert survey.receivers[0, :3, 0].tolist() == [20, 60, 100]
    assert bool((survey.sources[:, 1] == 60).all())
    assert survey.highest == pytest.approx(10, abs=1.5)
    assert check_survey(survey, homogeneous(), "s") == []


def test_bad_surveys_are_refused_with_the_shot() -> None:
    earth, good = homogeneous(), spread(homogeneous())
    far = good.sources.clone()
    far[1, 0] = 5_000
    with pytest.raises(BadInput, match=r"source 2 of shot 2 at x 5000 m, depth 60 m lies outside .*--origin"):
        check_survey(replace(good, sources=far), earth, "s")
    with pytest.raises(BadInput, match="coordinate scalar"):
        check_survey(replace(good, receivers=good.receivers * 10_000), earth, "s")
    with pytest.raises(BadInput, match="two shots have one source position"):
        check_survey(replace(good, sources=good.sources[[0, 0, 1]]), earth, "s")
    twice = good.receivers.clone()
    twice[2, 4] = twice[2, 5]
    with pytest.raises(BadInput, match="shot 3 has two receivers at one place"):
        check_survey(replace(good, receivers=twice), earth, "s")
    with pytest.raises(BadInput, match="silent or not finite"):
        check_survey(good.with_wavelet(torch.zeros(160)), earth, "s")
    with pytest.raises(BadInput, match="dt 0"):
        check_survey(replace(good, dt=0.0), earth, "s")


def test_too_few_cells_on_a_wavelength_are_an_error_below_three_and_a_warning_below_four() -> None:
    earth = homogeneous()
    assert "disperse" in check_survey(spread(earth, peak=5.5), earth, "s")[0]
    with pytest.raises(BadInput, match="cells on the shortest wavelength"):
        check_survey(spread(earth, peak=9.0), earth, "s")
