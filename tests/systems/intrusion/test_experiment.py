"""The whole story in small: a run, its folder, a resumed run, and the same models attacked and certified again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.launch import again, launch

SMALL = (
    "train_rows=800",
    "attacked=20",
    "queries=40",
    "training_queries=20",
    "curve_points=[0.5, 1.0]",
    "stack.rounds=15",
    "stack.trees=10",
    "stack.epochs=1",
    "stack.folds=2",
    "autoencoder.epochs=1",
    "autoencoder.members=2",
    "sparring.rounds=1",
    "sparring.rows=60",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Scorecard, Path]:
    return launch("intrusion", overrides=SMALL, out=tmp_path_factory.mktemp("run") / "a", quiet=True)


def rows(card: Scorecard, model: str, kind: str = "upper bound") -> dict[str, float]:
    return {str(r.adversary): r.value for r in card.rows if r.model == model and r.kind == kind}


def test_a_run_leaves_all_that_a_user_needs(finished):
    _, folder = finished
    for name in ("config.yaml", "scorecard.json", "metrics.jsonl", "model.safetensors", "report.html", "MODEL_CARD.md"):
        assert (folder / name).exists()
    assert json.loads((folder / "model.json").read_text())


def test_the_scorecard_says_on_which_data_it_ran(finished):
    card, _ = finished
    assert {d.source for d in card.data} == {"embedded"}
    assert all(len(d.sha256) == 64 for d in card.data)


def test_seen_and_held_out_adversaries_stand_beside_each_other(finished):
    card, _ = finished
    seen = {r.adversary: r.seen for r in card.rows if r.condition == "adversary" and r.kind == "upper bound"}
    assert seen["actions as trained"] is True
    assert seen["unseen action: window"] is False
    assert {v.model for v in card.verdicts} == {"baseline", "hardened"}


def test_the_proof_is_never_above_an_attack(finished):
    card, _ = finished
    for model in ("baseline", "hardened"):
        certified = max(rows(card, model, "certified").values())
        assert certified <= min(rows(card, model).values())


def test_the_same_seed_gives_the_same_figures_and_a_finished_run_is_not_repeated(finished, tmp_path):
    card, folder = finished
    twin, _ = launch("intrusion", overrides=SMALL, out=tmp_path / "b", quiet=True)
    assert twin.rows == card.rows
    before = (folder / "scorecard.json").stat().st_mtime_ns
    launch("intrusion", overrides=SMALL, out=folder, quiet=True)
    assert (folder / "scorecard.json").stat().st_mtime_ns == before


def test_a_stopped_run_goes_on_where_it_was(finished, tmp_path, monkeypatch):
    card, _ = finished
    experiment = sys.modules["sparring.systems.intrusion.experiment"]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(experiment, "told", stop)
        with pytest.raises(KeyboardInterrupt):
            launch("intrusion", overrides=SMALL, out=tmp_path / "c", quiet=True)
    monkeypatch.setattr(experiment, "fit", stop)  # nothing is trained a second time
    resumed, _ = launch("intrusion", overrides=SMALL, out=tmp_path / "c", quiet=True)
    assert resumed.rows == card.rows


def test_stored_models_are_attacked_and_certified_again(finished, tmp_path):
    card, folder = finished
    harder, _ = again("evaluate", folder, overrides=["queries=80"], out=tmp_path / "harder")
    free = "all actions, strong"
    assert rows(harder, "baseline")[free] <= rows(card, "baseline")[free] + 0.1
    proved, _ = again("certify", folder, out=tmp_path / "proved")
    assert rows(proved, "hardened", "certified") == rows(card, "hardened", "certified")
    assert max(rows(proved, "baseline", "certified").values()) == 0
    assert {(v.model, v.status) for v in proved.verdicts} == {("hardened", "certified")}


def test_another_split_is_refused(finished, tmp_path):
    with pytest.raises(BadInput, match="another split"):
        again("evaluate", finished[1], overrides=["train_rows=500"], out=tmp_path / "d")
