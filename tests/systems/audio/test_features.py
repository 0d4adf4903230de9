import numpy as np
import pytest
from tests.systems.audio.small import tone

from sparring.systems.audio.features import BANDS, RATE, STATISTICS, WIDTH, levelled, log_mel, statistics


def test_there_are_449_of_them_and_they_are_finite_for_a_fifth_of_a_second():
    found = statistics(tone(0.2))
    assert found.shape == (WIDTH,) == (449,)
    assert np.isfinite(found).all()


def test_loudness_changes_nothing():
    wave = tone(1.5)
    assert np.allclose(statistics(wave), statistics(wave * 0.05), atol=2e-3)


def test_the_mean_of_a_stationary_sound_does_not_depend_on_its_length():
    noise = np.random.default_rng(0).standard_normal(20 * RATE).astype(np.float32) * 0.1
    short, long = (statistics(noise[: s * RATE])[:-1].reshape(BANDS, len(STATISTICS)) for s in (2, 20))
    assert np.abs(short[:, 0] - long[:, 0]).max() < 0.1


def test_blocks_of_frames_join_without_a_seam():
    wave = tone(60)
    whole, part = log_mel(wave), log_mel(wave[: 50 * RATE])
    assert np.allclose(whole[: len(part)], part, atol=1e-5)


def test_a_pure_tone_lands_in_its_mel_band():
    time = np.arange(RATE) / RATE
    band = int(log_mel(np.sin(2 * np.pi * 1000 * time).astype(np.float32)).mean(0).argmax())
    edges = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 50 / 700), 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)
    assert edges[band] < 1000 < edges[band + 2]


def test_the_active_level_is_minus_26_decibels_whatever_silence_surrounds_it():
    wave = np.concatenate([np.zeros(RATE, np.float32), tone(1.0), np.zeros(RATE, np.float32)])
    inner = levelled(wave)[RATE:-RATE]
    assert 10 * np.log10(np.square(inner).mean()) == pytest.approx(-26, abs=1.5)
    silence = np.zeros(RATE, np.float32)
    assert (levelled(silence) == silence).all()


def test_damage_moves_the_features():
    wave = tone(2.0)
    noisy = wave + 0.02 * np.random.default_rng(1).standard_normal(len(wave)).astype(np.float32)
    assert np.abs(statistics(noisy) - statistics(wave)).mean() > 0.1
