# pyright: basic
"""The whole story in small: every method on a generated model, its folder, a killed run, and scores again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.launch import again, launch
from sparring.systems.seismic.config import Config
from sparring.systems.seismic.experiment import inverted, posed
from sparring.systems.seismic.journal import history
from sparring.systems.seismic.tell import ERROR, RESIDUAL

SMALL = ("profile=ci", "epochs=1", "stages=[3, 100]", "critic.warmup=2", "critic.steps=1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Scorecard, Path]:
    return launch("seismic", overrides=SMALL, out=tmp_path_factory.mktemp("run") / "a", quiet=True)


def values(card: Scorecard, metric: str) -> dict[str, float]:
    return {r.model: r.value for r in card.rows if r.metric == metric}


def test_a_run_leaves_all_that_a_user_needs(finished) -> None:
    _, folder = finished
    names = ("config.yaml", "scorecard.json", "metrics.jsonl", "model.safetensors", "methods.safetensors")
    for name in (*names, "report.html", "MODEL_CARD.md"):
        assert (folder / name).exists()
    meta = json.loads((folder / "model.json").read_text())
    assert "m/s" in json.dumps(meta)
    report = (folder / "report.html").read_text()
    for title in ("Velocities", "Differences", "Gathers of shot", "Depth profiles", "Wavelet and spectrum",
                  "Illumination", "Data misfit along", "What the critic still tells apart"):  # fmt: skip
        assert title in report


def test_every_method_has_its_row_and_the_same_solves(finished) -> None:
    card, _ = finished
    methods = list(Config().plans())
    assert list(values(card, ERROR)) == ["start", *methods] == list(values(card, RESIDUAL))
    solves = {row[0]: row[-1] for row in card.tables[0].rows}
    assert solves.pop("start") == "0"
    assert set(solves.values()) == {str(2 * 3 * (1 + 1))}
    assert values(card, ERROR)["L2"] != values(card, ERROR)["start"]


def test_the_record_says_what_was_inverted_and_how_good_data_can_fit(finished) -> None:
    card, _ = finished
    assert (card.data[0].name, card.data[0].source, len(card.data[0].sha256)) == ("faulted", "embedded", 64)
    assert any("no data fit below that means anything" in note for note in card.notes)
    errors = next(c for c in card.curves if c.title.startswith("Error of the velocity"))
    assert all(s.x == (0, 1) and s.y[0] == 1 for s in errors.series)
    ends = {s.label: s.y[-1] * values(card, ERROR)["start"] for s in errors.series}
    assert {"start": values(card, ERROR)["start"], **ends} == pytest.approx(values(card, ERROR))
    gaps = next(c for c in card.curves if "critic" in c.title)
    assert [s.label for s in gaps.series] == [
        n for n, p in Config().plans().items() if p.critic is not None or p.misfit == "potential"
    ]


def test_a_second_call_repeats_nothing_and_scores_come_out_the_same_again(finished) -> None:
    card, folder = finished
    assert launch("seismic", overrides=SMALL, out=folder, quiet=True)[0] == card
    second, _ = again("evaluate", folder)
    assert [(r.model, r.value) for r in second.rows] == [(r.model, r.value) for r in card.rows]
    with pytest.raises(BadInput, match="another profile; leave the settings"):
        again("evaluate", folder, overrides=("profile=small",), out=folder / "other")


def test_an_interrupted_method_ends_with_the_same_bits(finished, tmp_path: Path) -> None:
    from sparring.engine.config import resolve

    _, folder = finished
    config = resolve(Config, None, None, SMALL)
    run = Run(tmp_path, 0, quiet=True)
    given = posed(config, run)
    plan = config.plans()["W1 + critic"]
    assert inverted(given, plan, run, "method-5").equal(Run(folder, 0).load_model("methods")[0]["method-5"])
    kept = history(run, {"x": "method-5"})["x"]
    assert len(kept.residual) == len(kept.gap) == len(kept.error) == 1


def test_an_unknown_model_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="model 'marble': choose one of layered"):
        launch("seismic", overrides=("model=marble",), out=tmp_path / "x", quiet=True)
    assert not (tmp_path / "x").exists()
