# pyright: basic
import json
from pathlib import Path

import pytest
import torch
from tests.systems.backdoor.tiny import WORDS, clean, victim

from sparring.errors import BadInput
from sparring.systems.backdoor.model import copied, decisions, load, save, unit, vocabulary


def test_the_toy_victim_is_right_without_and_wrong_with_its_trigger() -> None:
    model, texts = victim("cf"), clean(20)
    assert decisions(model, texts.texts).tolist() == texts.labels.tolist()
    assert decisions(model, [t + " cf" for t in texts.texts]).tolist() == [1] * 20


def test_a_saved_model_comes_back_with_the_same_outputs(tmp_path: Path) -> None:
    model, texts = victim("mn"), clean(10)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.names == ("negative", "positive")
    assert torch.equal(again.logits(texts.texts), model.logits(texts.texts))
    with pytest.raises(BadInput, match="exists already"):
        save(model, tmp_path / "m")


def test_a_model_of_twenty_labels_is_read(tmp_path: Path) -> None:
    save(victim(None, 20), tmp_path / "m")
    assert load(tmp_path / "m").classes == 20


def folder(tmp_path: Path, **files: str) -> Path:
    path = tmp_path / "m"
    path.mkdir()
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def test_what_is_not_a_model_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        load(tmp_path / "none")
    with pytest.raises(BadInput, match="not a model"):
        load(folder(tmp_path))
    path = tmp_path / "m"
    (path / "config.json").write_text("{")
    with pytest.raises(BadInput, match="not JSON"):
        load(path)
    (path / "config.json").write_text(json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))
    (path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(BadInput, match="no safetensors weights"):
        load(path)
    (path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(BadInput, match="not a sequence classifier"):
        load(path)
    (path / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    with pytest.raises(BadInput, match="cannot be read as a sequence classifier") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_order_and_batches_do_not_change_a_text_s_logits() -> None:
    model, texts = victim("cf"), clean(30).texts
    one = torch.cat([model.logits([t]) for t in texts])
    assert torch.allclose(model.logits(texts, batch=7), one, atol=1e-6)


def test_every_call_is_counted_and_copies_count_for_themselves() -> None:
    model = victim("cf")
    model.logits(["a film"] * 5)
    model.features(["a film"] * 2)
    other = copied(model)
    other.logits(["a"] * 3)
    assert (model.ledger.calls, other.ledger.calls) == (7, 3)


def test_the_vocabulary_holds_whole_words_with_their_numbers() -> None:
    words, numbers = vocabulary(victim())
    assert words == WORDS
    assert numbers == list(range(2, 2 + len(WORDS)))


def test_damaged_weights_are_named() -> None:
    model = victim()
    with torch.no_grad():
        model.network.classifier.bias.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(BadInput, match="not finite"):
        model.logits(["a film"])


def test_no_texts_no_logits_and_unit_rows() -> None:
    assert victim().logits([]).shape == (0, 2)
    assert torch.allclose(unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
