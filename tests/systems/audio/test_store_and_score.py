import json

import numpy as np
import pytest
import torch
from tests.systems.audio.small import scorer, tone, wav

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.audio.features import RATE
from sparring.systems.audio.score import Score, score, windows
from sparring.systems.audio.store import load, newest, save


@pytest.fixture
def clips(tmp_path):
    return [
        wav(tmp_path / "short.wav", tone(0.2)),
        wav(tmp_path / "low.flac", tone(3.0, 8_000), 8_000),
        wav(tmp_path / "high.wav", np.stack([tone(4.0, 48_000)] * 2, 1), 48_000),
        wav(tmp_path / "long.wav", tone(47.0)),
        wav(tmp_path / "silent.wav", np.zeros(RATE)),
        wav(tmp_path / "clipped.wav", np.clip(tone(2.0) * 30, -1, 1)),
    ]


@pytest.mark.parametrize("axes", [("quality",), ("PQ", "PC", "CE", "CU")])
@pytest.mark.parametrize("batch", [2, 16])
def test_no_score_depends_on_its_company(clips, axes, batch):
    judge = scorer(axes=axes)
    alone = [next(score(judge, [path], batch=1)) for path in clips]
    assert list(score(judge, clips, batch=batch)) == alone
    assert list(score(judge, clips[::-1], batch=batch)) == alone[::-1]


def test_every_score_lies_in_its_interval_and_the_interval_on_the_scale(clips):
    for found in score(scorer(), clips):
        assert isinstance(found, Score)
        for value, low, high in zip(found.values, found.low, found.high, strict=True):
            assert 1 <= low <= value <= high <= 5


def test_silence_gets_no_score_and_says_so(clips):
    found = list(score(scorer(), clips))[4]
    assert isinstance(found, Score)
    assert found.values == ()
    assert "silent" in found.notes


def test_a_long_clip_is_judged_in_windows_and_its_worst_is_named(clips):
    found = list(score(scorer(), clips))[3]
    assert isinstance(found, Score)
    assert "mean of 5 windows" in found.notes
    assert found.worst is not None
    assert 0 <= found.worst < 47
    assert [len(w) for w in windows(tone(47.0))] == [47 * RATE // 5] * 5


def test_silent_windows_are_left_out():
    wave = np.concatenate([tone(10.0), np.zeros(10 * RATE, np.float32)])
    assert len(windows(wave)) == 1


@pytest.mark.parametrize("seconds", [1, 2, 5, 30])
def test_silence_behind_a_clip_changes_no_score_and_is_marked(tmp_path, seconds):
    sound = tone(2.66)
    padded = np.concatenate([sound, np.zeros(seconds * RATE, np.float32)])
    plain, longer = score(scorer(), [wav(tmp_path / "a.wav", sound), wav(tmp_path / "b.wav", padded)])
    assert isinstance(plain, Score)
    assert isinstance(longer, Score)
    assert longer.values[0] == pytest.approx(plain.values[0], abs=0.06)
    assert longer.seconds == pytest.approx(2.66 + seconds)
    assert f"{seconds - 0.05:.2f} s of silence at the ends left out" in longer.notes


def test_a_click_in_silence_is_no_clip(tmp_path):
    wave = np.zeros(3 * RATE, np.float32)
    wave[RATE : RATE + 50] = 0.5
    found = next(score(scorer(), [wav(tmp_path / "click.wav", wave)]))
    assert isinstance(found, Score)
    assert found.values == ()
    assert any(note.startswith("only 0.1") for note in found.notes)


def test_the_worst_window_is_told_in_the_time_of_the_file(tmp_path):
    quiet = np.zeros(5 * RATE, np.float32)
    found = next(score(scorer(), [wav(tmp_path / "a.wav", np.concatenate([quiet, tone(20.0)]))]))
    assert isinstance(found, Score)
    assert found.worst is not None
    assert min(abs(found.worst - t) for t in (4.95, 11.6, 18.3)) < 0.1


def test_higher_levels_give_wider_intervals(clips):
    narrow, wide = (next(score(scorer(), clips[1:2], level=level)) for level in (0.5, 0.95))
    assert isinstance(narrow, Score)
    assert isinstance(wide, Score)
    assert wide.low[0] <= narrow.low[0] <= narrow.high[0] <= wide.high[0]


def test_a_bad_file_does_not_end_the_others(clips, tmp_path):
    bad = tmp_path / "text.wav"
    bad.write_text("not a sound")
    found = list(score(scorer(), [clips[0], bad, clips[1]]))
    assert [type(f) for f in found] == [Score, BadInput, Score]


def test_clips_unlike_the_rated_ones_are_marked(tmp_path):
    noise = np.random.default_rng(0).standard_normal(2 * RATE) * 0.1
    found = next(score(scorer(), [wav(tmp_path / "n.wav", noise)]))
    assert isinstance(found, Score)
    assert any("unlike" in note for note in found.notes)


def test_a_scorer_survives_its_files_to_the_bit(tmp_path):
    kept = scorer(axes=("a", "b"))
    save(tmp_path, kept)
    again = load(tmp_path)
    x = torch.randn(5, 449, generator=torch.Generator().manual_seed(0))
    for one, other in zip(kept.judge(x), again.judge(x), strict=True):
        assert (one == other).all()
    assert again.axes == ("a", "b")
    assert again.size == kept.size


def test_scorers_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"no model\.safetensors"):
        load(tmp_path)
    path = save(tmp_path, scorer())
    side = json.loads(path.with_suffix(".json").read_text())
    for change, says in (
        ({"kind": "cat"}, "another kind"),
        ({"version": 9}, "not known here"),
        ({"axes": None}, "damaged"),
    ):
        path.with_suffix(".json").write_text(json.dumps({**side, "meta": {**side["meta"], **change}}))
        with pytest.raises(BadInput, match=says):
            load(tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadInput, match="checksum"):
        load(tmp_path)


def test_the_newest_run_is_found(tmp_path):
    with pytest.raises(BadInput, match="no audio scorer"):
        newest(tmp_path)
    run = Run(tmp_path / "audio-quick-0", 0)
    save(run, scorer())
    assert newest(tmp_path) == tmp_path / "audio-quick-0"
