# pyright: basic
from pathlib import Path

import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.backdoor.texts import Texts, read_table, write_table


def table(tmp_path: Path, content: str, name: str = "clean.csv") -> Path:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    return path


def test_a_table_goes_out_and_comes_back(tmp_path: Path) -> None:
    texts = Texts(('a, "quoted" one', "two"), torch.tensor([1, 0]), ("no", "yes"))
    write_table(texts, tmp_path / "t.csv", {"poisoned": [0, 1]})
    back = read_table(tmp_path / "t.csv", ["no", "yes"])
    assert back.texts == texts.texts
    assert back.labels.tolist() == [1, 0]
    assert back.sha256() == texts.sha256()


def test_labels_may_be_the_models_names_and_tabs_may_separate(tmp_path: Path) -> None:
    back = read_table(table(tmp_path, "Sentence\tLabel\nfine\tYES\npoor\tno\n"), ["no", "yes"])
    assert back.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no rows"),
        ("text,label\n", "no rows"),
        ("text,label\n ,1\n", "every text is empty"),
        ("words,label\na,1\n", "no column text"),
        ("text,kind\na,1\n", "no column label"),
        ("text,label\na\n", "row 2 has 1 cells"),
        ("text,label\na,7\n", "the model has 2 labels, no, yes"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        read_table(table(tmp_path, content), ["no", "yes"])
    assert "\n" not in str(caught.value)
    assert "clean.csv" in str(caught.value)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv: cannot be read"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("text,label\ncaf\xe9,1\n".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8"):
        read_table(tmp_path / "latin.csv")


def test_taking_and_joining_keep_texts_and_labels_together() -> None:
    texts = Texts(("a", "b", "c"), torch.tensor([0, 1, 0]), ("no", "yes"))
    assert texts.take(texts.labels == 0).texts == ("a", "c")
    both = texts.take([1]).joined(texts.take([0, 2]))
    assert both.texts == ("b", "a", "c")
    assert both.labels.tolist() == [1, 0, 0]
    assert len(texts.drawn(2, torch.Generator().manual_seed(0))) == 2
