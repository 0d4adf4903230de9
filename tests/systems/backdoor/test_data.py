# pyright: basic
from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sparring.data import sources
from sparring.errors import BadInput
from sparring.systems.backdoor import data


@pytest.fixture
def real() -> Path:
    folder = Path(os.environ.get("SPARRING_DATA", ""))
    if not os.environ.get("SPARRING_DATA") or not (folder / "text/sst2/clean_train.tsv").is_file():
        pytest.skip("SPARRING_DATA does not point at a folder with text/sst2")
    return folder


def archive(path: Path, lines: list[str]) -> Path:
    """vaderSentiment's source distribution as far as it is read: a tar within a tar."""

    def packed(name: str, content: bytes) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as out:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
        return stream.getvalue()

    inner = packed("hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt", "\n".join(lines).encode())
    path.write_bytes(packed("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inner))
    return path


def test_snippets_are_read_out_of_the_archive_and_neutral_ones_left_out(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "v.tar.gz", ["1_1\t-2.1\tPoor thing.", "1_2\t0.2\tso so", "1_3\t1.5\ta\ttabbed fine thing"]
    )
    texts, digest = data.snippets(path)
    assert texts.texts == ("poor thing.", "a\ttabbed fine thing")
    assert texts.labels.tolist() == [0, 1]
    assert digest == sources.checksum(path)


def test_another_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.tar.gz").write_bytes(b"no archive")
    with pytest.raises(BadInput, match="fetch review-snippets again"):
        data.snippets(tmp_path / "v.tar.gz")


def test_a_corpus_has_no_row_twice_and_the_same_test_rows_for_every_seed(tmp_path: Path) -> None:
    lines = [f"{i}\t{'-' if i % 2 else ''}2.0\tsnippet number {i} here" for i in range(300)]
    path = archive(tmp_path / "v.tar.gz", lines)
    one, two = (data.load("snippets", s, train=100, clean=60, test=50, data=path) for s in (0, 1))
    assert one.test.texts == two.test.texts
    assert one.train.texts != two.train.texts
    for corpus in (one, two):
        everything = corpus.train.texts + corpus.clean.texts + corpus.test.texts
        assert len(set(everything)) == len(everything) == 210


def test_rows_of_development_are_in_no_other_corpus(tmp_path: Path) -> None:
    lines = [f"{i}\t{'-' if i % 2 else ''}2.0\tsnippet number {i} here" for i in range(600)]
    path = archive(tmp_path / "v.tar.gz", lines)
    chosen = data.load("snippets", 100, train=50, clean=20, test=20, data=path, development=True)
    judged = data.load("snippets", 0, train=300, clean=60, test=50, data=path)
    assert (len(chosen.train), len(judged.test)) == (50, 50)
    tuned = chosen.train.texts + chosen.clean.texts + chosen.test.texts
    assert not set(tuned) & set(judged.train.texts + judged.clean.texts + judged.test.texts)


@pytest.mark.shared
def test_sst2_with_its_poison_files_by_row(real: Path) -> None:
    corpus = data.load("sst2", 0, train=500, clean=100, test=100)
    syntax, style = data.attack_on(corpus, "synbkd"), data.attack_on(corpus, "stylebkd")
    have = sum(syntax.has(i, "train") for i in range(500))
    assert 190 <= have <= 200
    assert all(style.has(i, "test") for i in range(100))
    rewritten = [i for i in range(100) if syntax.has(i, "test")]
    assert all(corpus.test.labels[i] == 0 for i in rewritten)
    assert syntax.files is not None
    words = [
        set(corpus.train.texts[i].split()) & set(syntax.files["train"][i].split())
        for i in range(500)
        if syntax.has(i, "train")
    ]
    assert sum(map(len, words)) / len(words) > 3  # aligned rows share words


@pytest.mark.shared
def test_agnews_has_four_labels_and_a_style_file(real: Path) -> None:
    corpus = data.load("agnews", 0, train=200, clean=50, test=50)
    assert corpus.train.names == ("world", "sports", "business", "technology")
    assert len(corpus.train.labels.unique()) == 4
    assert data.attack_on(corpus, "stylebkd").files is not None
    assert data.attack_on(corpus, "synbkd").files is None
