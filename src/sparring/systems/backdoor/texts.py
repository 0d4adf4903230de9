"""Labelled texts, and the table that users bring."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.typed import integers

_TEXT, _LABEL = ("text", "sentence", "review", "content"), ("label", "labels", "class", "target")


@dataclass(frozen=True)
class Texts:
    """n texts with labels `(n,)` int64 in 0 ... C - 1 and the C labels' names."""

    texts: tuple[str, ...]
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> int:
        return len(self.names)

    def take(self, rows: Tensor | Sequence[int]) -> Texts:
        """The texts of these row numbers, or of a mask `(n,)` bool."""
        at = torch.as_tensor(rows)
        at = at.nonzero().squeeze(1) if at.dtype == torch.bool else at
        return Texts(tuple(self.texts[i] for i in integers(at)), self.labels[at], self.names)

    def changed(self, texts: Sequence[str], labels: Tensor | None = None) -> Texts:
        """The same rows with other texts, and perhaps other labels."""
        return Texts(tuple(texts), self.labels if labels is None else labels, self.names)

    def joined(self, other: Texts) -> Texts:
        """These rows and then the other's."""
        return Texts(self.texts + other.texts, torch.cat([self.labels, other.labels]), self.names)

    def drawn(self, count: int, generator: torch.Generator) -> Texts:
        """At most `count` rows, without replacement."""
        return self.take(torch.randperm(len(self), generator=generator)[:count])

    def sha256(self) -> str:
        """Of texts and labels, in order."""
        digest = hashlib.sha256()
        for text, label in zip(self.texts, integers(self.labels), strict=True):
            digest.update(f"{label}\t{text}\n".encode())
        return digest.hexdigest()


def read_table(path: Path, names: Sequence[str] | None = None) -> Texts:
    """A CSV or TSV with a text and a label column (`text`/`sentence`, `label`); a header is needed.

    Labels are numbers 0 ... C - 1 or the names of the model's labels. Raises `BadInput` in one line: a file that
    cannot be read or is empty, a missing column, a label that the model does not have.
    """
    try:
        content = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a CSV with columns text,label") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not UTF-8; save the table as UTF-8") from None
    rows = list(csv.reader(io.StringIO(content), delimiter="\t" if "\t" in content.split("\n", 1)[0] else ","))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise BadInput(f"{path}: no rows; it needs a header text,label and labelled sentences below it")
    header = [cell.strip().lower() for cell in rows[0]]
    text, label = _column(path, header, _TEXT), _column(path, header, _LABEL)
    for number, row in enumerate(rows[1:], 2):
        if len(row) <= max(text, label):
            raise BadInput(
                f"{path}: row {number} has {len(row)} cells, the header {len(header)}; quote texts with commas"
            )
    kept = [(row[text].strip(), row[label].strip()) for row in rows[1:] if row[text].strip()]
    if not kept:
        raise BadInput(f"{path}: every text is empty; give labelled sentences")
    return Texts(tuple(t for t, _ in kept), *_labels(path, [name for _, name in kept], names))


def write_table(texts: Texts, path: Path, extra: dict[str, Sequence[object]] | None = None) -> None:
    """A CSV with columns text,label (numbers) and any further ones."""
    from sparring.files import write_text

    stream, more = io.StringIO(), extra or {}
    out = csv.writer(stream)
    out.writerow(["text", "label", *more])
    for i, (text, label) in enumerate(zip(texts.texts, integers(texts.labels), strict=True)):
        out.writerow([text, label, *(column[i] for column in more.values())])
    write_text(path, stream.getvalue())


def _column(path: Path, header: Sequence[str], wanted: Sequence[str]) -> int:
    for name in wanted:
        if name in header:
            return header.index(name)
    raise BadInput(f"{path}: no column {wanted[0]} in the header ({', '.join(header)}); name the columns text,label")


def _labels(path: Path, found: Sequence[str], names: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    known = {str(name).lower(): i for i, name in enumerate(names or ())}
    numbers: list[int] = []
    for row, label in enumerate(found, 2):
        if label.lower() in known:
            numbers.append(known[label.lower()])
        elif label.isdecimal() and (names is None or int(label) < len(names)):
            numbers.append(int(label))
        elif names is None:
            raise BadInput(f"{path}: row {row} has label {label!r}; give numbers 0, 1, ...")
        else:
            told = f"{len(names)} labels, {', '.join(list(names)[:4])}{' ...' if len(names) > 4 else ''}"
            raise BadInput(f"{path}: row {row} has label {label!r}, but the model has {told}; use its labels")
    given = tuple(names) if names is not None else tuple(str(i) for i in range(max(2, max(numbers) + 1)))
    return torch.tensor(numbers), given
