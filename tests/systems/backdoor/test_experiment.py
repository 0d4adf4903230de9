# pyright: basic
"""The whole story on toy texts: what the scorecard holds, and what is not repeated."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from tests.systems.backdoor.tiny import RuleReference, clean, victim

from sparring.engine import config as configs
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.backdoor.config import PRESETS, Config
from sparring.systems.backdoor.data import Corpus
from sparring.systems.backdoor.poison import Attack
from sparring.systems.backdoor.repair import Healing
from sparring.systems.backdoor.training import Plan

story = import_module("sparring.systems.backdoor.experiment")  # the package's `experiment` is the function


def corpus(*_: object, **__: object) -> Corpus:
    rows = {"train": tuple(range(120)), "clean": (), "test": tuple(range(60))}
    return Corpus("snippets", clean(120, seed=1), clean(60, seed=2), clean(60, seed=3), rows, "0" * 64, "embedded")


@pytest.fixture
def small():
    with (
        patch.object(story, "load", corpus),
        patch.object(story, "build", lambda *a, **k: victim(None)),
        patch.object(story, "EncoderReference", lambda texts: RuleReference()),
        patch.object(story, "attack_on", lambda *a: Attack("badnets", ("cf",))),
        patch.dict(story.VICTIM, {"cnn": Plan(10, 0.02, 16)}),
        patch.dict(story.HEALING, {"cnn": Healing(plan=Plan(8, 0.05, 16))}),
    ):
        yield Config(families=("badnets",), writer="none", rate=0.2, growths=1, writings=0)


def test_a_run_poisons_repairs_and_tells(small: Config, tmp_path: Path) -> None:
    run = Run(tmp_path, 0, quiet=True, system="backdoor")
    card = story.experiment(small, run)
    success = {r.model: r.value for r in card.rows if r.metric == "attack success"}
    assert success["victim"] >= 0.9
    assert success["healed"] <= 0.3
    assert set(success) == {"clean model", "victim", "healed", "clean fine-tuning", "random triggers", "oracle"}
    assert all(not r.higher_is_better for r in card.rows if r.metric == "attack success")
    assert card.tables[0].title == "Verdict and cost of each victim"
    assert "victim calls" in card.tables[0].columns
    assert (tmp_path / card.figures[0].path).is_file()
    assert len(card.checks) == 2
    (shown,) = card.examples
    (_, label, said), healed = shown.outcome
    assert said != label
    assert healed == ("healed", label, label)  # repair turns back what the trigger turned
    with patch.object(story, "repair", side_effect=AssertionError("repeated")):
        again = story.experiment(small, Run(tmp_path, 0, quiet=True, system="backdoor"))
    assert [r.value for r in again.rows] == [r.value for r in card.rows]


def test_the_stored_models_can_be_attacked_again(small: Config, tmp_path: Path) -> None:
    one = tmp_path / "one"
    run = Run.create(one, small, seed=0, quiet=True, system="backdoor")
    story.experiment(small, run)
    run.close()
    card = story.evaluate(small, Run(tmp_path / "two", 0, quiet=True, system="backdoor"), one)
    assert {r.model for r in card.rows} == {"clean model", "victim", "healed"}


def test_a_target_beyond_the_labels_is_refused(small: Config, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="target=5"):
        story.corpus_of(configs.resolve(Config, {"target": 5}), Run(tmp_path, 0, quiet=True))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_presets_are_valid(name: str) -> None:
    assert configs.resolve(Config, PRESETS[name]).families
    assert torch.tensor(configs.resolve(Config, PRESETS[name]).rate) > 0
