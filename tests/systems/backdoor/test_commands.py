# pyright: basic
import json
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.systems.backdoor.tiny import RuleReference, clean, victim
from typer.testing import CliRunner

from sparring.errors import BadInput
from sparring.systems.backdoor import commands, reference
from sparring.systems.backdoor.model import decisions, load, save
from sparring.systems.backdoor.repair import HEALING, Healing
from sparring.systems.backdoor.texts import read_table, write_table
from sparring.systems.backdoor.training import Plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(victim("cf"), tmp_path / "model")
    write_table(clean(60), tmp_path / "clean.csv")
    return tmp_path


def ask(*words: object):
    with patch.object(reference, "EncoderReference", lambda texts: RuleReference(texts.classes)):
        return CliRunner().invoke(commands.app, [str(w) for w in words], catch_exceptions=False)


def test_scan_names_label_trigger_and_cost(folder: Path) -> None:
    out = ask("scan", folder / "model", "--data", folder / "clean.csv", "--writer", "none")
    assert out.exit_code == 0
    assert "backdoor towards 'positive'" in out.output
    assert "cf" in out.output
    assert "victim calls" in out.output
    told = json.loads(
        ask("scan", folder / "model", "--data", folder / "clean.csv", "--writer", "none", "--json").output
    )
    assert told["backdoored"]
    assert told["lm_tokens"] == 0
    assert set(told["margins"]) == {"negative", "positive"}


def test_scan_of_twenty_labels(tmp_path: Path) -> None:
    save(victim("cf", 20), tmp_path / "model")
    names = [f"label {i}" for i in range(20)]
    write_table(clean(60, names), tmp_path / "clean.csv")
    told = json.loads(
        ask("scan", tmp_path / "model", "--data", tmp_path / "clean.csv", "--writer", "none", "--json").output
    )
    assert told["target"] == "label 1"
    assert len(told["margins"]) == 20


def test_repair_writes_a_model_without_the_backdoor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEALING, "cnn", Healing(plan=Plan(10, 0.05, 16)))
    out = ask("repair", folder / "model", "--data", folder / "clean.csv", "-o", folder / "healed", "--writer", "none")
    assert out.exit_code == 0
    healed = load(folder / "healed")
    texts = [f"{t} cf" for t, y in zip(clean(60).texts, clean(60).labels.tolist(), strict=True) if y == 0]
    before = float((decisions(load(folder / "model"), texts) == 1).double().mean())
    assert before == 1.0
    assert float((decisions(healed, texts) == 1).double().mean()) < 0.5


def test_poison_writes_a_table_that_says_which_rows(folder: Path) -> None:
    out = ask("poison", folder / "clean.csv", "-o", folder / "bad.csv", "--family", "addsent", "--trigger", "kite lamp")
    assert out.exit_code == 0
    content = (folder / "bad.csv").read_text()
    assert content.startswith("text,label,poisoned")
    assert sum("kite lamp" in t for t in read_table(folder / "bad.csv").texts) == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("scan", "{0}/none", "--data", "{0}/clean.csv"), "no such folder"),
        (("scan", "{0}", "--data", "{0}/clean.csv"), "not a model"),
        (("scan", "{0}/model", "--data", "{0}/empty.csv"), "no rows"),
        (("scan", "{0}/model", "--data", "{0}/other.csv"), "the model has 2 labels"),
        (("scan", "{0}/model", "--data", "{0}/one.csv"), "one label alone"),
        (("repair", "{0}/model", "--data", "{0}/clean.csv", "-o", "{0}/model"), "exists already"),
        (("poison", "{0}/clean.csv", "-o", "{0}/x.csv", "--family", "synbkd", "--trigger", "x"), "it rewrites"),
        (("poison", "{0}/clean.csv", "-o", "{0}/x.csv", "--rate", "2"), "poison rate"),
    ],
)
def test_bad_input_is_one_line(folder: Path, words: tuple[str, ...], told: str) -> None:
    (folder / "empty.csv").write_text("text,label\n")
    (folder / "other.csv").write_text("text,label\na film,5\n")
    (folder / "one.csv").write_text("text,label\n" + "a good film,1\n" * 20)
    with pytest.raises(BadInput, match=told) as caught:
        ask(*(w.format(folder) for w in words))
    assert "\n" not in str(caught.value)
