"""What a flow record is made of: types, ranges, who controls a field, and how the fields depend on each other.

Two forms of the same rows:

- a `Table`: one float64 array per feature, in the format's own units; categories are integer codes
  (the index into `Feature.categories`, -1 where the category is unknown);
- a matrix `(n, schema.width)`, float64, that models and attacks see: every number on its unit scale
  (0 and 1 are the schema's range after the feature's `scale`), every category as a one-hot group.

`encode` and `decode` are inverse to each other; whole numbers and grids come back exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput

Array = NDArray[np.float64]
Table = dict[str, NDArray[Any]]
Kind = Literal["real", "integer", "category", "flag"]
Control = Literal["none", "increase", "decrease", "both"]
Owner = Literal["sender", "receiver", "window"]


@dataclass(frozen=True)
class Feature:
    """One field of a flow record.

    `low` and `high` bound the format's own values (units of the format); `control` is how a sender who attacks can
    move the field; `owner` is who produces it: the sender, the receiver, or the monitor's window over many flows.
    `grid` is the spacing of a rounded real (0.01 for NSL-KDD's rates); whole numbers and flags have spacing 1.
    """

    name: str
    kind: Kind = "real"
    low: float = 0.0
    high: float = 1.0
    control: Control = "none"
    owner: Owner = "sender"
    categories: tuple[str, ...] = ()
    scale: Literal["linear", "log1p"] = "linear"
    grid: float = 0.0

    def __post_init__(self) -> None:
        if (self.kind == "category") != bool(self.categories):
            raise ValueError(f"{self.name}: a category needs its categories, and nothing else has them")
        if not self.low <= self.high:
            raise ValueError(f"{self.name}: the range [{self.low}, {self.high}] is empty")

    @property
    def width(self) -> int:
        """Columns in the matrix: one, or one per category."""
        return len(self.categories) or 1

    @property
    def spacing(self) -> float:
        """Distance between neighbouring values; 0 for a continuous field."""
        return 1.0 if self.kind in ("integer", "flag") else self.grid

    @property
    def span(self) -> float:
        """Length of the scaled range; 1 for a constant field, so that encoding stays invertible."""
        length = self.high - self.low
        return float(np.log1p(length) if self.scale == "log1p" else length) or 1.0

    def unit(self, raw: Array) -> Array:
        """Format units to the unit scale; values beyond the range map beyond [0, 1]."""
        shifted = raw - self.low
        if self.scale == "log1p":
            shifted = np.copysign(np.log1p(np.abs(shifted)), shifted)
        return shifted / self.span

    def raw(self, unit: Array) -> Array:
        """The unit scale back to format units, on the field's grid."""
        scaled = unit * self.span
        if self.scale == "log1p":
            scaled = np.copysign(np.expm1(np.minimum(np.abs(scaled), 700.0)), scaled)  # exp(710) overflows
        return self.snap(scaled + self.low)

    def snap(self, raw: Array) -> Array:
        """The nearest value on the field's grid."""
        if not self.spacing:
            return raw
        # Dividing by a whole number gives the same double as parsing "0.17"; multiplying by 0.01 does not.
        per_one = round(1 / self.spacing)
        return np.rint(raw * per_one) / per_one


@dataclass(frozen=True)
class Relation:
    """A rule between the fields of one record.

    `broken(table) -> (n,) bool` judges; tolerance for the format's own rounding is inside. `repair(table)` gives
    the `targets` anew from the other columns. `exact` marks targets that are functions of the other fields: no
    free quantity is lost by recomputing them. `observed` says how many rows of the reference files break it.
    """

    name: str
    columns: tuple[str, ...]
    broken: Callable[[Table], NDArray[np.bool_]]
    repair: Callable[[Table], Table] | None = None
    targets: tuple[str, ...] = ()
    exact: bool = False
    observed: str = "0"


@dataclass(frozen=True)
class Schema:
    """Features in matrix order, and the relations that every real record keeps."""

    name: str
    features: tuple[Feature, ...]
    relations: tuple[Relation, ...] = ()

    def __str__(self) -> str:
        """The name and a checksum of the features: other ranges, other words."""
        return f"{self.name}#{sha256(self.to_json().encode()).hexdigest()[:8]}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in matrix order."""
        return tuple(f.name for f in self.features)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each feature stands in the matrix."""
        edges = np.cumsum([0, *(f.width for f in self.features)])
        return {f.name: slice(int(a), int(b)) for f, a, b in zip(self.features, edges, edges[1:], strict=False)}

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return sum(f.width for f in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix columns: `duration`, `flag=SF`, ..."""
        return tuple(c for f in self.features for c in ([f"{f.name}={k}" for k in f.categories] or [f.name]))

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {f.name: f for f in self.features}

    def __getitem__(self, name: str) -> Feature:
        if name not in self._by_name:
            raise KeyError(f"the {self.name} schema has no feature {name!r}")
        return self._by_name[name]

    def indices(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Matrix columns of the named features, in matrix order."""
        spans = sorted((self.slices[self[name].name] for name in names), key=lambda s: s.start)
        return np.concatenate([np.arange(s.start, s.stop) for s in (*spans, slice(0, 0))]).astype(np.int64)

    def table(self, rows: Mapping[str, Any]) -> Table:
        """A data frame or a dict of columns (strings for categories, or codes) as a `Table`.

        Columns that the schema does not know are left out. Unknown categories become -1; see `unknown`.
        """
        missing = [name for name in self.names if name not in rows]
        if missing:
            raise BadInput(f"{self.name}: column {missing[0]!r} is missing ({len(missing)} in all); add it")
        return {f.name: _codes(f, rows[f.name]) if f.categories else _numbers(f, rows[f.name]) for f in self.features}

    def unknown(self, table: Table) -> dict[str, int]:
        """How many rows have a category the schema does not know, per feature with any."""
        counts = {f.name: int((table[f.name] < 0).sum()) for f in self.features if f.categories}
        return {name: count for name, count in counts.items() if count}

    def encode(self, rows: Mapping[str, Any]) -> Array:
        """Rows as a float64 matrix `(n, width)` on the unit scale; an unknown category is an all-zero group."""
        table = self.table(rows)
        n = len(table[self.names[0]])
        out = np.zeros((n, self.width))
        for f in self.features:
            at = self.slices[f.name].start
            if f.categories:
                known = np.flatnonzero(table[f.name] >= 0)
                out[known, at + table[f.name][known]] = 1.0
            else:
                out[:, at] = f.unit(table[f.name])
        return out

    def decode(self, matrix: Array, names: Iterable[str] | None = None) -> Table:
        """The matrix back as a table (of the named features alone, if given); numbers lie on their grids."""
        matrix = self._checked(matrix)
        out: Table = {}
        for name in self.names if names is None else names:
            f, at = self[name], self.slices[name]
            if f.categories:
                group = matrix[:, at]
                out[name] = np.where(group.max(1) > 0, group.argmax(1), -1)
            else:
                out[name] = f.raw(matrix[:, at.start])
        return out

    def labels(self, table: Table) -> dict[str, NDArray[Any]]:
        """The table with categories as strings ("?" where unknown), ready for `pandas.DataFrame`."""
        return {
            f.name: np.array([*f.categories, "?"], dtype=object)[table[f.name]] if f.categories else table[f.name]
            for f in self.features
        }

    def broken(self, rows: Table | Array) -> dict[str, NDArray[np.bool_]]:
        """Which rows break which relation: relation name to `(n,)` bool. A matrix or a table."""
        table = self.decode(rows) if isinstance(rows, np.ndarray) else rows
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return {r.name: np.asarray(r.broken(table), dtype=bool) for r in self.relations}

    def violations(self, rows: Table | Array) -> NDArray[np.int64]:
        """How many relations each row breaks, shape `(n,)`."""
        broken = self.broken(rows)
        n = len(rows) if isinstance(rows, np.ndarray) else len(rows[self.names[0]])
        return sum((b.astype(np.int64) for b in broken.values()), np.zeros(n, dtype=np.int64))

    def repair(self, table: Table, clean: Table | None = None) -> Table:
        """The table with every relation's targets recomputed, in the relations' order; the input is left alone.

        With `clean`, a relation acts only on rows where one of its columns differs from the clean record: what did
        not move keeps the record's own rounding.
        """
        out = dict(table)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for relation in self.relations:
                if relation.repair is None:
                    continue
                fresh = {name: self[name].snap(v) for name, v in relation.repair(out).items()}
                if clean is not None:
                    moved = np.any([out[n] != clean[n] for n in relation.columns], axis=0)
                    fresh = {name: np.where(moved, v, out[name]) for name, v in fresh.items()}
                out.update(fresh)
        return out

    def dependents(self, names: Iterable[str]) -> tuple[str, ...]:
        """Features that exact relations recompute once any of `names` has moved, in matrix order."""
        moved = set(names)
        start = set(moved)
        while True:
            more = {t for r in self.relations if r.exact and moved & set(r.columns) for t in r.targets} - moved
            if not more:
                return tuple(n for n in self.names if n in moved - start)
            moved |= more

    def fit(self, rows: Mapping[str, Any]) -> Schema:
        """The same schema with the upper end of every open range taken from training rows (never below them).

        Fields with a range fixed by their format (flags, rates, linear scales) keep it; those on a log scale are
        open. Categories are part of the format and stay.
        """
        table = self.table(rows)
        if len(table[self.names[0]]) == 0:
            raise BadInput(f"{self.name}: no rows to fit the ranges on; give at least one training row")

        def fitted(f: Feature) -> Feature:
            if f.categories or f.scale == "linear":
                return f
            return replace(f, high=max(float(table[f.name].max()), f.low + (f.spacing or 1e-9)))

        return replace(self, features=tuple(fitted(f) for f in self.features))

    def to_json(self) -> str:
        """Name and features as JSON; the relations are code and belong to the name."""
        return json.dumps({"name": self.name, "features": [asdict(f) for f in self.features]})

    def with_features(self, text: str) -> Schema:
        """This schema with the features of a `to_json` text. Raises `BadInput` for another schema's text."""
        try:
            data = json.loads(text)
            stored: list[dict[str, Any]] = data["features"]
            features = tuple(Feature(**cast(Any, f | {"categories": tuple(f["categories"])})) for f in stored)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadInput(f"this is not a stored {self.name} schema ({error}); store it again with to_json") from error
        if data["name"] != self.name or [f.name for f in features] != list(self.names):
            raise BadInput(f"the stored schema is {data['name']!r}, not {self.name!r}; use the one it was trained with")
        return replace(self, features=features)

    def _checked(self, matrix: Array) -> Array:
        if matrix.ndim != 2 or matrix.shape[1] != self.width:
            raise ValueError(f"a {self.name} matrix has shape (n, {self.width}), got {matrix.shape}")
        if matrix.dtype != np.float64:
            raise ValueError(f"a {self.name} matrix is float64 (float32 cannot hold byte counts), got {matrix.dtype}")
        return matrix


def words(text: str) -> tuple[str, ...]:
    """The words of a text: long lists of field names, kept readable."""
    return tuple(text.split())


def take(table: Table, rows: NDArray[Any]) -> Table:
    """The chosen rows (mask or indices) of every column."""
    return {name: column[rows] for name, column in table.items()}


def concat(tables: Sequence[Table]) -> Table:
    """Tables with the same columns, one after the other."""
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def _numbers(feature: Feature, column: Any) -> Array:
    try:
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"column {feature.name!r} must hold numbers ({error}); correct the value") from error


def _codes(feature: Feature, column: Any) -> NDArray[np.int64]:
    values = np.asarray(column)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    names = np.array(sorted(feature.categories))
    order = np.array([feature.categories.index(str(n)) for n in names], dtype=np.int64)
    values = values.astype(str)
    at = np.minimum(np.searchsorted(names, values), len(names) - 1)
    return np.where(names[at] == values, order[at], -1)
