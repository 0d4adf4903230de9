import csv
import json

import numpy as np
import pytest
from tests.systems.audio.small import scorer, tone, wav
from typer.testing import CliRunner

from sparring.errors import BadInput
from sparring.systems.audio import engines
from sparring.systems.audio.commands import app
from sparring.systems.audio.store import load, save


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(done.exception, BadInput):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def model(tmp_path):
    save(tmp_path / "model", scorer())
    return tmp_path / "model"


def test_score_prints_and_writes_csv_and_json(tmp_path, model):
    clip = wav(tmp_path / "a.wav", tone(1.0, 8_000), 8_000)
    code, said = call("score", clip, "--model", model)
    assert code == 0
    assert "resampled" in said
    for name in ("s.csv", "s.json"):
        assert call("score", clip, "--model", model, "--out", tmp_path / name)[0] == 0
    (row,) = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
    (same,) = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert float(row["quality"]) == same["quality"]["score"]
    assert float(row["quality_low"]) <= float(row["quality"]) <= float(row["quality_high"])


def test_score_goes_on_after_a_bad_file_and_ends_with_two(tmp_path, model):
    clip = wav(tmp_path / "a.wav", tone(1.0))
    text = tmp_path / "b.wav"
    text.write_text("not a sound")
    code, said = call("score", text, clip, "--model", model, "--json")
    assert code == 2
    assert "cannot be read as sound" in said
    assert str(clip) in said


def test_the_level_is_printed_as_it_was_asked_for(tmp_path, model):
    clip = wav(tmp_path / "a.wav", tone(1.0))
    for level, shown in ((0.9999, "99.99 %"), (0.9, "chance of 90 %")):
        assert shown in call("score", clip, "--model", model, "--level", level)[1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--level", 2), "between 0 and 1"),
        (("--out", "x.txt"), r"\.csv or \.json"),
        (("--model", "none"), "cannot|holds|not a"),
    ],
)
def test_score_refuses_what_it_cannot_do(tmp_path, model, more, says):
    clip = wav(tmp_path / "a.wav", tone(1.0))
    with pytest.raises(BadInput, match=says):
        call("score", clip, "--model", model, *more)


def rated(folder, clips: int = 40):
    rows = ["wav_path,score,system_id,sample_id"]
    for k in range(clips):
        noise = np.random.default_rng(k).standard_normal(16_000) * 0.002 * (1 + k % 10)
        wav(folder / f"sys{k % 2}/c{k}.wav", tone(1.0, seed=k) + noise)
        rows.append(f"sys{k % 2}/c{k}.wav,{5 - 0.4 * (k % 10)},sys{k % 2},{k}")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n")
    return folder / "ratings.csv"


def test_train_leaves_two_scorers_that_score(tmp_path):
    ratings, out = rated(tmp_path), tmp_path / "mine"
    options = ("--domain", "system_id", "--strength", 0.2, "--members", 2, "--passes", 10, "--out", out)
    code, said = call("train", ratings, *options)
    assert code == 0
    assert "40 clips in 2 domains" in said
    assert load(out).note["method"] == "GRL conditional, weighted"
    assert load(out / "baseline.safetensors").axes == ("score",)
    assert call("score", tmp_path / "sys0/c0.wav", "--model", out)[0] == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--method", "magic"), "choose one of ERM"),
        (("--group", "song"), "no such column"),
        (("--passes", 7), "a multiple of 5"),
        (("--domain", "song"), "give a column"),
    ],
)
def test_train_refuses_what_does_not_fit(tmp_path, more, says):
    with pytest.raises(BadInput, match=says):
        call("train", rated(tmp_path, 30), "--out", tmp_path / "mine", *more)


def test_build_benchmark_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    with pytest.raises(BadInput, match="apt-get install espeak-ng"):
        call("build-benchmark", "--out", tmp_path / "p.npz")
    assert not (tmp_path / "p.npz").exists()


def test_build_benchmark_makes_and_checks_a_part(tmp_path):
    if not engines.ENGINES["espeak"].present():
        pytest.skip("needs espeak-ng: apt-get install espeak-ng")
    part = ("--engine", "espeak", "--utterances", 1)
    assert call("build-benchmark", *part, "--out", tmp_path / "p.npz")[0] == 0
    assert (tmp_path / "p.npz").exists()
    code, said = call("build-benchmark", *part, "--check", "--json")
    assert code == 0
    assert '"same": true' in said
