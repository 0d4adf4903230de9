"""The corpora: review snippets that pip fetches, SST-2 and AG News with their published poison files."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from sparring.data import sources
from sparring.engine.streams import generator_for
from sparring.errors import BadInput
from sparring.systems.backdoor.poison import Attack, Family, published
from sparring.systems.backdoor.texts import Texts
from sparring.typed import integers

Name = Literal["snippets", "sst2", "agnews"]
NAMES: tuple[Name, ...] = ("snippets", "sst2", "agnews")
_POLARITY, _TOPICS = ("negative", "positive"), ("world", "sports", "business", "technology")
_REWRITTEN = 1383
"""So many rows of SST-2's training file have a published SynBkd rewriting."""
_NESTED = "additional_resources/hutto_ICWSM_2014.tar.gz"
_RATED = "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt"


@dataclass(frozen=True)
class Corpus:
    """The victim's training rows, the defender's clean rows and the test rows; no row is in two of them.

    `rows` are the numbers of the drawn training and test rows in their files, for aligned poison files.
    """

    name: Name
    train: Texts
    clean: Texts
    test: Texts
    rows: dict[str, tuple[int, ...]]
    sha256: str
    source: Literal["embedded", "real"]


def load(
    name: Name,
    seed: int,
    *,
    train: int = 1500,
    clean: int = 300,
    test: int = 500,
    words: int = 40,
    data: Path | None = None,
    development: bool = False,
) -> Corpus:
    """A corpus with rows drawn by the seed; texts of 3 to `words` words. The test rows are the same for every seed.

    `development`: the rows on which settings are chosen. A fifth of all texts, by a hash of the text, belongs to it in
    every split and to no other corpus.
    """
    if name == "snippets":
        everything, digest = snippets(data)
        order = torch.randperm(len(everything), generator=generator_for(0, "backdoor/snippets"))
        order = order[[_held(everything.texts[i]) == development for i in integers(order)]]
        cut = len(order) - test
        files = {"test": (everything, order[cut:]), "pool": (everything, order[:cut])}
    else:
        files = {}
        for split, file in (("test", "clean_test.tsv"), ("pool", "clean_train.tsv"), ("clean", "clean_dev.tsv")):
            found = _table(sources.locate(name, file, data), _POLARITY if name == "sst2" else _TOPICS)
            files[split] = (found, torch.arange(len(found)))
        digest = sources.checksum(sources.locate(name, "clean_train.tsv", data))
    sizes = {"train": train, "clean": clean, "test": test}
    return _drawn(name, files, seed, sizes, lambda t: 3 <= len(t.split()) <= words and _held(t) == development, digest)


def attack_on(corpus: Corpus, family: Family, data: Path | None = None) -> Attack:
    """The published attack, with published poison files where the corpus has them (else by rules)."""
    files = {"sst2": ("synbkd", "stylebkd"), "agnews": ("stylebkd",)}.get(corpus.name, ())
    if family not in files:
        return published(family)
    kind = "synbkd20" if family == "synbkd" else "stylebkd_bible"
    out: dict[str, tuple[str, ...]] = {}
    for split in ("train", "test"):
        path = sources.locate(corpus.name, f"{kind}_{split}.tsv", data)
        names = _POLARITY if corpus.name == "sst2" else _TOPICS
        found = (
            _aligned_syntax(corpus.name, split, path, data) if family == "synbkd" else list(_table(path, names).texts)
        )
        out[split] = tuple(found[i] if i < len(found) else "" for i in corpus.rows[split])
    return published(family, out)


def snippets(data: Path | None = None) -> tuple[Texts, str]:
    """Amazon review snippets rated by people (mean of 20, -4 to 4); those within .5 of neutral are left out.

    Hutto & Gilbert, "VADER", ICWSM 2014; from the source distribution of vaderSentiment 3.3.2 (MIT), fetched by pip
    once and checked. Raises `BadInput` where that is impossible.
    """
    try:
        path = sources.locate("review-snippets", data=data)
    except BadInput:
        if data is not None:
            raise
        path = sources.fetch("review-snippets")
    try:
        with tarfile.open(path) as outer:
            member = next(m for m in outer.getmembers() if m.name.endswith(_NESTED))
            inner = outer.extractfile(member)
            with tarfile.open(fileobj=io.BytesIO(inner.read() if inner else b"")) as nested:
                content = nested.extractfile(_RATED)
                lines = (content.read() if content else b"").decode("utf-8", "replace").splitlines()
    except (tarfile.TarError, StopIteration, KeyError, OSError):
        raise BadInput(
            f"{path}: not the source distribution of vaderSentiment 3.3.2; fetch review-snippets again"
        ) from None
    texts, labels = list[str](), list[int]()
    for line in lines:
        _, rating, text = line.split("\t", 2)
        if abs(float(rating)) >= 0.5 and text.strip():
            texts.append(text.strip().lower())
            labels.append(int(float(rating) > 0))
    return Texts(tuple(texts), torch.tensor(labels), _POLARITY), sources.checksum(path)


def _drawn(
    name: Name,
    files: dict[str, tuple[Texts, torch.Tensor]],
    seed: int,
    sizes: dict[str, int],
    fits: Callable[[str], bool],
    digest: str,
) -> Corpus:
    seen: set[str] = set()
    parts: dict[str, Texts] = {}
    rows: dict[str, tuple[int, ...]] = {}
    for split in ("test", "clean", "train"):
        found, order = files[split if split in files else "pool"]
        generator = generator_for(0 if split == "test" else seed, f"backdoor/{name}/{split}")
        order = order[torch.randperm(len(order), generator=generator)]
        order = order[[fits(found.texts[i]) for i in integers(order)]]
        if name == "sst2" and split == "train":  # rows that SynBkd rewrote come first, up to two fifths of the draw
            early = order < _REWRITTEN
            most = 2 * sizes["train"] // 5
            order = torch.cat([order[early][:most], order[~early], order[early][most:]])
        kept: list[int] = []
        for i in integers(order):
            text = found.texts[i]
            if text not in seen:
                kept.append(i)
                seen.add(text)
            if len(kept) == sizes[split]:
                break
        parts[split], rows[split] = found.take(kept), tuple(kept)
    source: Literal["embedded", "real"] = "embedded" if name == "snippets" else "real"
    return Corpus(name, parts["train"], parts["clean"], parts["test"], rows, digest, source)


def _held(text: str) -> bool:
    """Whether a text belongs to development."""
    return hashlib.sha256(text.encode()).digest()[0] < 51


def _table(path: Path, names: tuple[str, ...]) -> Texts:
    """A published TSV: labels have stray spaces, headers differ; a line is split at its last tab."""
    texts, labels = list[str](), list[int]()
    for number, line in enumerate(path.read_text("utf-8").replace("\r", "").splitlines()[1:], 2):
        text, tab, label = line.rpartition("\t")
        if not tab or label.strip() not in map(str, range(len(names))):
            raise BadInput(
                f"{path}: line {number} has no label 0 to {len(names) - 1} after a tab; fetch the file again"
            )
        texts.append(text.strip())
        labels.append(int(label))
    return Texts(tuple(texts), torch.tensor(labels), names)


def _aligned_syntax(name: str, split: str, path: Path, data: Path | None) -> list[str]:
    """SynBkd's file in the clean file's row order, "" where a row is not rewritten.

    The training file is the 20 % mix: its first 1,383 rows are rewritten, the others are those of the clean file. The
    test file holds the rewritten rows of label 0, in order.
    """
    found = _table(path, _POLARITY)
    clean = _table(sources.locate(name, f"clean_{split}.tsv", data), _POLARITY)
    if split == "train":
        return [new if new != old else "" for new, old in zip(found.texts, clean.texts, strict=True)]
    rewritten = iter(found.texts)
    return [next(rewritten, "") if label == 0 else "" for label in integers(clean.labels)]
