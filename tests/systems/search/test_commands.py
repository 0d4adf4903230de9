# pyright: basic
from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.systems.search import exam, system
from sparring.systems.search.assistant import Assistant
from sparring.systems.search.commands import app
from sparring.systems.search.config import Config
from sparring.systems.search.corpusfiles import read
from sparring.systems.search.shop import generated
from sparring.systems.search.store import load
from sparring.systems.search.synthesize import Corpus, fingerprint, write

STORY = importlib.import_module("sparring.systems.search.experiment")
TINY = Config(
    products=20, base_steps=2, inject_steps=1, align_steps=1, batch=4, requests=1, budget=2, rivals=False
)  # fmt: skip


def invoke(*words: object):
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of almost no training: every part plays, nothing is learnt."""
    folder = tmp_path_factory.mktemp("run") / "r"
    run = Run.create(folder, TINY, seed=0, system="search", quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exam, "REPLY", 3)
        patch.setattr(STORY, "RADII", (0.0, 0.3))
        card = system.experiment(TINY, run)
    card.save(folder / "scorecard.json")
    run.close()
    return folder


def test_a_run_leaves_models_catalogue_corpus_and_a_scorecard(finished: Path):
    card = Scorecard.load(finished / "scorecard.json")
    assert {"base", "expansion", "without path B", "with path B"} == {r.model for r in card.rows}
    metrics = {r.metric for r in card.rows}
    assert {"unsafe requests refused", "benign requests not refused", "exact match, new facts"} <= metrics
    held = [r for r in card.rows if r.adversary == "all held-out wrappers"]
    assert len(held) == 4
    assert all(r.n == 180 and r.seen is False for r in held)
    assert any("XSTest" in n for n in card.notes) or any(d.name == "xstest" for d in card.data)
    for name in ("model", "plain"):
        assert (finished / name / "model.safetensors").is_file()
    assert json.loads((finished / "model" / "sparring.json").read_text()) == {
        "system": None, "facts_in_prompt": False,
    }  # fmt: skip
    assert read(finished / "corpus").groups.keys() <= {p.id for p in generated(0, 20).products}


def test_evaluate_examines_the_stored_models_again(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exam, "REPLY", 3)
    monkeypatch.setattr(STORY, "RADII", (0.0, 0.3))
    assert system.evaluate is not None
    again = system.evaluate(TINY, Run(tmp_path / "e", 0, quiet=True, system="search"), finished)
    first = Scorecard.load(finished / "scorecard.json")
    told = {(r.model, r.metric, r.adversary): r.value for r in first.rows}
    assert all(told[r.model, r.metric, r.adversary] == r.value for r in again.rows)


def test_a_run_folder_is_enough_to_ask(finished: Path):
    chat, shop, facts = load(str(finished), None)
    assert not facts
    assert len(shop.products) == 20
    reply = Assistant(chat, shop, facts_in_prompt=facts).ask(f"what is the colour of {shop.products[0].name}?")
    assert reply.text
    told = json.loads(invoke("ask", finished, "what is the colour of the kettle?", "--json").stdout)
    assert {"answer", "verdict", "facts", "refused_because", "supported"} <= told.keys()
    with pytest.raises(BadInput, match="--catalogue"):
        load(str(finished / "model"), None)


def test_attack_writes_one_attempt_a_line(finished: Path, tmp_path: Path):
    out = tmp_path / "hits.jsonl"
    told = json.loads(invoke(
        "attack", finished, "--data", finished / "corpus", "--requests", 2, "--budget", 3, "-o", out, "--json"
    ).stdout)  # fmt: skip
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert told["attempts"] == rows
    assert [set(r) for r in rows] == [{"probe", "prompt", "passed", "proposals", "seed"}] * 2


def test_the_users_way_from_catalogue_to_model(finished: Path, tmp_path: Path):
    shop = generated(5, 20)
    with (tmp_path / "goods.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["sku", "title", "kind", "colour"])
        out.writerows([p.id, p.name, p.category, p.attributes.get("colour", "")] for p in shop.products)
    maps = ("--map", "id=sku", "--map", "name=title", "--map", "category=kind")
    result = invoke("synthesize", tmp_path / "goods.csv", *maps, "-o", tmp_path / "data")
    assert "11 old, 6 new, 3 held out" in result.stdout
    with pytest.raises(BadInput, match="exists already"):
        invoke("synthesize", tmp_path / "goods.csv", *maps, "-o", tmp_path / "data")
    few = ("--steps", 1, "--batch", 2, "--data", tmp_path / "data")
    grown = invoke("inject", finished, *few, "--every", 2, "-o", tmp_path / "grown")
    assert "held-out templates" in grown.stdout
    config = json.loads((tmp_path / "grown" / "config.json").read_text())
    assert config["num_hidden_layers"] == 9  # 4 blocks, 6 after the run's own expansion
    invoke("align", tmp_path / "grown", *few, "-o", tmp_path / "aligned")
    assert (tmp_path / "aligned" / "model.safetensors").is_file()
    assert not list(tmp_path.glob(".sparring.*"))
    told = invoke("ask", tmp_path / "aligned", "hello", "--catalogue", finished / "catalogue.jsonl")
    assert told.exit_code == 0


def test_a_corpus_comes_back_from_its_files(corpus: Corpus, tmp_path: Path):
    write(corpus, tmp_path)
    again = read(tmp_path)
    train_first = [r for s in ("train", "test") for r in corpus.records if r.split == s]
    assert list(again.records) == train_first
    assert fingerprint(again) == fingerprint(type(corpus)(tuple(train_first), {}))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "no messages"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "no messages of a user and an assistant"),
        ('{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "kind": "z"}', "'z'"),
        (
            '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "group": "z"}',
            "group 'z'",
        ),
        ("", "holds no records"),
    ],
)
def test_bad_corpora_are_named(tmp_path: Path, line: str, words: str):
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(line + "\n")
    with pytest.raises(BadInput, match=words):
        read(tmp_path)
    (tmp_path / "test.jsonl").unlink()
    if not line:
        with pytest.raises(BadInput, match="cannot be read"):
            read(tmp_path)
