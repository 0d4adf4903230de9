"""Flow records from delimited files: checked, streamed in blocks, in bounded memory.

A `Format` says how a file's columns become a schema's features. Training is strict about labels and categories;
detection reads files without labels, turns unknown categories into all-zero groups and counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network.lines import Block, blocks, check_fields
from sparring.network.schema import Schema, Table, concat, take

_MISSING = ["", "NaN", "nan", "NA", "N/A", "null", "NULL"]


@dataclass(frozen=True)
class Format:
    """How a kind of file holds a schema's features.

    `key` brings column names of different tool versions to one form. `header` are the columns of files without a
    header line (shorter lines miss the last ones). `label` is the column that decides `families` (label in lower
    case to family; "normal" or "benign" is the benign one); `keep` are further columns handed through as strings
    where present (time, addresses). `undefined` are columns that have no finite value in a flow of zero duration;
    they read as 0 there. `copies` are features that some versions leave out, and the feature they repeat.
    """

    name: str
    schema: Schema
    label: str
    families: Mapping[str, str]
    key: Callable[[str], str] = str.lower
    header: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()
    duration: str = ""
    copies: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class FlowRows:
    """Flow records and what came with them.

    `label` and `family` are `(n,)` strings, None in unlabelled files; `keep` the columns handed through; `unknown`
    counts the rows with an unknown category, per feature; `undefined` the rows of zero duration whose rates were
    not finite; `line` `(n,)` where each row stood in its file.
    """

    table: Table
    line: NDArray[np.int64]
    label: NDArray[Any] | None = None
    family: NDArray[Any] | None = None
    keep: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    unknown: dict[str, int] = field(default_factory=dict[str, int])
    undefined: int = 0

    def __len__(self) -> int:
        return len(self.line)

    @property
    def attack(self) -> NDArray[np.bool_]:
        """Which rows are attacks, `(n,)`. Raises `BadInput` where the file had no labels."""
        if self.family is None:
            raise BadInput("these flows have no labels; give a file with a label column")
        return ~np.isin(self.family, ("normal", "benign"))

    def take(self, rows: NDArray[Any]) -> FlowRows:
        """The chosen rows (mask or indices); the counts stay those of the file."""
        return replace(
            self,
            table=take(self.table, rows),
            line=self.line[rows],
            label=None if self.label is None else self.label[rows],
            family=None if self.family is None else self.family[rows],
            keep=take(self.keep, rows),
        )


def read(path: Path, form: Format, *, labelled: bool = True, families: Mapping[str, str] | None = None) -> FlowRows:
    """The whole file at once; see `stream`."""
    return joined(list(stream(path, form, labelled=labelled, families=families)))


def stream(
    path: Path, form: Format, *, labelled: bool = True, families: Mapping[str, str] | None = None
) -> Iterator[FlowRows]:
    """The file's flows block by block (some 10,000 rows each).

    `labelled` (training, evaluation): the label column must be there, with labels that `families` knows (default:
    the format's), and every category must be known. Otherwise (detection) labels are ignored, unknown categories
    are -1 in the table, an all-zero group in the matrix, and counted in `unknown`.

    Raises `BadInput` naming file, line and field: a missing column, a value that is no number, NaN or infinity,
    an unknown label or category, a wrong delimiter, and whatever `lines.blocks` finds.
    """
    layout: _Layout | None = None
    for block in blocks(path):
        if layout is None:
            layout, block = _layout(path, block, form, labelled)
            if not block.text.strip():
                continue
        yield _parsed(path, block, form, layout, families or form.families)
    if layout is None:
        raise BadInput(f"{path}: no flow in the file; give one flow a line")


def joined(parts: Sequence[FlowRows]) -> FlowRows:
    """Parts of one file, one after the other. Raises `BadInput` where there is none."""
    if not parts:
        raise BadInput("no flows in the file; give at least one after the header")
    unknown: dict[str, int] = {}
    for part in parts:
        for name, count in part.unknown.items():
            unknown[name] = unknown.get(name, 0) + count
    label = None if parts[0].label is None else np.concatenate([p.label for p in parts if p.label is not None])
    family = None if parts[0].family is None else np.concatenate([p.family for p in parts if p.family is not None])
    return FlowRows(
        concat([p.table for p in parts]),
        np.concatenate([p.line for p in parts]),
        label,
        family,
        concat([p.keep for p in parts]),
        unknown,
        sum(p.undefined for p in parts),
    )


def drop_duplicates(flows: FlowRows) -> FlowRows:
    """The first of every set of rows with equal features; whatever their labels say."""
    columns = np.column_stack([np.asarray(c, dtype=np.float64) for c in flows.table.values()])
    packed = np.ascontiguousarray(columns).view(f"V{columns.shape[1] * 8}").ravel()
    first = np.unique(packed, return_index=True)[1]
    return flows.take(np.sort(first))


@dataclass(frozen=True)
class _Layout:
    """The file's columns: how many, which position holds which feature, where the label is (None: not read)."""

    delimiter: str
    columns: int
    position: dict[str, int]
    label: int | None
    keep: dict[str, int]


def _layout(path: Path, block: Block, form: Format, labelled: bool) -> tuple[_Layout, Block]:
    """The layout from the first line, and the block without its header line."""
    first, _, rest = block.text.partition(b"\n")
    line = Block(first + b"\n", block.line).stream().read().strip()
    delimiter = max(",;\t|", key=line.count)
    names = [name.strip().strip('"').strip() for name in line.split(delimiter)]
    if form.header:
        if len(names) < len(form.schema.names):
            raise BadInput(
                f"{path}: line 1 has {len(names)} fields, {form.name} has {len(form.schema.names)} features and a "
                "label; check the file and its delimiter"
            )
        data, names = block, list(form.header[: len(names)])
    else:
        data = Block(rest, block.line + 1)
    where: dict[str, int] = {}
    for at, name in enumerate(names):
        where.setdefault(form.key(name), at)
    keyed = {name: form.key(name) for name in (*form.schema.names, form.label, *form.keep)}
    for name, source in form.copies.items():
        keyed[name] = keyed[name] if keyed[name] in where else keyed[source]
    missing = [n for n in form.schema.names if keyed[n] not in where]
    if labelled and keyed[form.label] not in where:
        missing.append(form.label)
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise BadInput(f"{path}: column {missing[0]!r} of {form.name} is missing{more}; add it or check the delimiter")
    layout = _Layout(
        delimiter,
        len(names),
        {n: where[keyed[n]] for n in form.schema.names},
        where[keyed[form.label]] if labelled else None,
        {n: where[keyed[n]] for n in form.keep if keyed[n] in where},
    )
    return layout, data


def _parsed(path: Path, block: Block, form: Format, layout: _Layout, families: Mapping[str, str]) -> FlowRows:
    import pandas as pd

    check_fields(path, block, layout.columns, layout.delimiter)
    text = {layout.position[f.name] for f in form.schema.features if f.categories} | set(layout.keep.values())
    text |= set() if layout.label is None else {layout.label}
    numbers = set(layout.position.values()) - text
    options: dict[str, Any] = {
        "sep": layout.delimiter,
        "header": None,
        "names": range(layout.columns),
        "usecols": sorted(text | numbers),
        "keep_default_na": False,
        "skipinitialspace": True,
        "skip_blank_lines": True,
    }
    try:
        dtypes: dict[Any, Any] = {**dict.fromkeys(numbers, "float64"), **dict.fromkeys(text, "str")}
        frame = pd.read_csv(
            block.stream(), **options, dtype=dtypes, na_values=dict.fromkeys(numbers, _MISSING), low_memory=False
        )
    except ValueError:
        _name_culprit(path, block, form, layout, pd.read_csv(block.stream(), **options, dtype=str))
        raise
    lines = _line_numbers(block)
    numeric = {name: frame[at].to_numpy(np.float64, copy=True) for name, at in layout.position.items() if at in numbers}
    undefined = _checked_numbers(path, form, numeric, lines)
    strings = {n: _clean(frame[at]) for n, at in {**layout.position, **layout.keep}.items() if at in text}
    rows: dict[str, Any] = {**numeric, **{n: c for n, c in strings.items() if n in layout.position}}
    table = form.schema.table(rows)
    unknown = form.schema.unknown(table)
    keep = {n: strings[n] for n in layout.keep}
    if layout.label is None:
        return FlowRows(table, lines, keep=keep, unknown=unknown, undefined=undefined)
    for name in unknown:
        at = int(np.flatnonzero(table[name] < 0)[0])
        raise BadInput(
            f"{path}: line {lines[at]}: {form.name} has no {name} {rows[name][at]!r}; correct it or leave the row out"
        )
    label = _clean(frame[layout.label])
    return FlowRows(table, lines, label, _families(path, label, lines, families), keep, unknown, undefined)


def _families(path: Path, label: NDArray[Any], lines: NDArray[np.int64], families: Mapping[str, str]) -> NDArray[Any]:
    names, inverse = np.unique(label.astype(str), return_inverse=True)
    found = [families.get(name.lower().rstrip(".")) for name in names]
    for at, family in enumerate(found):
        if family is None:
            line = lines[np.flatnonzero(inverse == at)[0]]
            known = ", ".join(sorted(families)[:4])
            raise BadInput(
                f"{path}: line {line}: unknown label {str(names[at])[:40]!r} (known: {known}, ...); correct or map it"
            )
    return np.array(found, dtype=object)[inverse]


def _checked_numbers(path: Path, form: Format, numeric: Table, lines: NDArray[np.int64]) -> int:
    """Zero for the undefined rates of flows without duration; `BadInput` for any other NaN or infinity."""
    undefined = np.zeros(len(lines), dtype=bool)
    for name, column in numeric.items():
        bad = ~np.isfinite(column)
        if name in form.undefined:
            instant = bad & (numeric[form.duration] <= 0)
            column[instant] = 0.0
            undefined |= instant
            bad &= ~instant
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            what = "is empty or NaN" if np.isnan(column[at]) else "is infinite"
            raise BadInput(f"{path}: line {lines[at]}: field {name!r} {what}; give a finite number or drop the row")
    return int(undefined.sum())


def _name_culprit(path: Path, block: Block, form: Format, layout: _Layout, frame: Any) -> None:
    import pandas as pd

    lines = _line_numbers(block)
    for f in form.schema.features:
        if not f.categories:
            text: Any = frame[layout.position[f.name]]
            parsed: Any = pd.to_numeric(text.mask(text.isin(_MISSING)), errors="coerce")
            bad: Any = parsed.isna() & ~text.isin(_MISSING)
            if bad.any():
                at = int(np.flatnonzero(bad.to_numpy())[0])
                shown = str(text.iloc[at])[:40]
                raise BadInput(f"{path}: line {lines[at]}: field {f.name!r} holds {shown!r}, not a number; correct it")


def _line_numbers(block: Block) -> NDArray[np.int64]:
    """Line numbers of the block's lines that are not blank."""
    filled = [bool(line.strip()) for line in block.text.split(b"\n")[:-1]]
    return block.line + np.flatnonzero(filled).astype(np.int64)


def _clean(column: Any) -> NDArray[Any]:
    return column.str.strip().to_numpy(dtype=object)
