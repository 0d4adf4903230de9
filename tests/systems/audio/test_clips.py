import numpy as np
import pytest
import soundfile
from tests.systems.audio.small import tone, wav

from sparring.errors import BadInput
from sparring.systems.audio.clips import PAUSE, active, read, silent
from sparring.systems.audio.features import RATE, statistics


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_every_rate_becomes_16_khz_and_it_is_said(tmp_path, rate, ending):
    clip = read(wav(tmp_path / f"a.{ending}", tone(1.0, rate), rate))
    assert clip.rate == rate
    assert clip.seconds == pytest.approx(1.0, abs=0.01)
    assert any("resampled" in note for note in clip.notes) == (rate != RATE)


def test_resampled_sound_is_heard_alike(tmp_path):
    high = read(wav(tmp_path / "a.wav", tone(2.0, 48_000), 48_000)).wave
    low = read(wav(tmp_path / "b.wav", tone(2.0, 16_000), 16_000)).wave
    assert np.median(np.abs(statistics(high) - statistics(low))) < 0.1


def test_stereo_is_averaged(tmp_path):
    left = tone(1.0)
    clip = read(wav(tmp_path / "s.wav", np.stack([left, -left * 0.5], 1)))
    assert clip.channels == 2
    assert np.allclose(clip.wave, left * 0.25, atol=1e-3)
    assert clip.notes[0] == "2 channels averaged"


def test_silence_and_clipping_are_noted(tmp_path):
    quiet = read(wav(tmp_path / "z.wav", np.zeros(RATE)))
    assert silent(quiet)
    assert quiet.notes == ("silent",)
    loud = read(wav(tmp_path / "c.wav", np.clip(tone(1.0) * 20, -0.9, 0.9)))
    assert any(note.startswith("clipped") for note in loud.notes)


def test_a_fifth_of_a_second_is_enough_and_less_is_not(tmp_path):
    assert read(wav(tmp_path / "a.wav", tone(0.2))).seconds == pytest.approx(0.2)
    with pytest.raises(BadInput, match=r"needs at least 0\.2 s"):
        read(wav(tmp_path / "b.wav", tone(0.1)))


def test_bad_files_are_named(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read(tmp_path / "none.wav")
    text = tmp_path / "notes.wav"
    text.write_text("this is no sound")
    with pytest.raises(BadInput, match=r"notes\.wav: cannot be read as sound"):
        read(text)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(BadInput, match="cannot be read as sound"):
        read(tmp_path / "empty.wav")


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_file_that_was_cut_off_is_not_half_scored(tmp_path, ending):
    path = wav(tmp_path / f"a.{ending}", tone(2.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInput, match=r"is cut off|cannot be read as sound"):
        read(path)


def test_samples_that_are_not_finite_are_refused(tmp_path):
    wave = tone(1.0).copy()
    wave[100] = np.nan
    soundfile.write(str(tmp_path / "n.wav"), wave, RATE, subtype="FLOAT")
    with pytest.raises(BadInput, match="not finite"):
        read(tmp_path / "n.wav")


def test_an_impossible_rate_is_refused(tmp_path):
    with pytest.raises(BadInput, match="sampling rate"):
        read(wav(tmp_path / "r.wav", tone(1.0, 2_000), 2_000))


def test_channels_that_cancel_are_told(tmp_path):
    left = tone(1.0)
    clip = read(wav(tmp_path / "s.wav", np.stack([left, -left], 1)))
    assert silent(clip)
    assert any("cancel each other" in note for note in clip.notes)
    assert not any("cancel" in n for n in read(wav(tmp_path / "t.wav", np.stack([left, -0.5 * left], 1))).notes)


def test_a_folder_is_called_a_folder(tmp_path):
    with pytest.raises(BadInput, match="is a folder"):
        read(tmp_path)


def test_absurd_samples_are_refused_without_a_warning(tmp_path):
    wave = tone(1.0).copy()
    wave[100] = 1e30
    soundfile.write(str(tmp_path / "n.wav"), wave, RATE, subtype="FLOAT")
    with pytest.raises(BadInput, match="full scale is 1"):
        read(tmp_path / "n.wav")


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_silence_at_the_ends_is_left_out_and_said(tmp_path, level):
    sound = tone(2.0)
    around = level * np.random.default_rng(0).standard_normal(RATE)
    whole = np.concatenate([around, sound, around, around]).astype(np.float32)
    soundfile.write(str(tmp_path / "a.wav"), whole, RATE, subtype="FLOAT")
    clip = active(read(tmp_path / "a.wav"))
    assert len(clip.wave) / RATE == pytest.approx(2.1, abs=0.03)
    assert clip.seconds == pytest.approx(5.0)
    assert any("silence at the ends left out" in note for note in clip.notes)
    assert clip.when(0) == pytest.approx(0.95, abs=0.02)


def test_a_long_gap_is_shortened_and_a_pause_is_kept(tmp_path):
    sound, gap = tone(1.0), np.zeros(3 * RATE, np.float32)
    clip = active(read(wav(tmp_path / "a.wav", np.concatenate([sound, gap, sound]))))
    assert len(clip.wave) / RATE == pytest.approx(2 + PAUSE, abs=0.03)
    assert clip.notes == ("2.50 s of silence inside left out",)
    assert clip.when(len(clip.wave) - 1) == pytest.approx(5.0, abs=0.02)
    short = read(wav(tmp_path / "b.wav", np.concatenate([sound, gap[: RATE // 3], sound])))
    assert active(short).notes == ()
    assert np.array_equal(active(short).wave, short.wave)
