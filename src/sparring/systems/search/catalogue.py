"""Reading a shop's own files: the catalogue (CSV, JSONL, parquet), the category tree, the query log."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparring.errors import BadInput
from sparring.systems.search.shop import Click, Product, Shop

LONGEST_NAME = 80
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Columns:
    """Which column is what; `attributes` empty means every other column."""

    id: str = "id"
    name: str = "name"
    category: str = "category"
    attributes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, given: Sequence[str]) -> Columns:
        """From `field=column` pairs, e.g. name=title, attributes=brand,colour. Raises `BadInput`."""
        found = cls()
        for text in given:
            key, equals, value = text.partition("=")
            if not equals or key not in ("id", "name", "category", "attributes") or not value:
                raise BadInput(f"--map {text}: write id=, name=, category= or attributes= and a column's name")
            chosen: Any = tuple(v for v in value.split(",") if v) if key == "attributes" else value
            found = replace(found, **{key: chosen})
        return found


def read_shop(
    catalogue: Path, mapping: Columns | None = None, tree: Path | None = None, log: Path | None = None
) -> Shop:
    """A shop from its files. Raises `BadInput` that names the file, the row, the field and the mend."""
    products, mended = _products(catalogue, mapping or Columns())
    parents = {} if tree is None else read_tree(tree)
    clicks, dropped = ((), 0) if log is None else _clicks(log, {p.id for p in products})
    if dropped:
        mended.append(f"{dropped} lines of {log} name a product that is not in the catalogue: left out")
    return Shop(catalogue.stem, tuple(products), parents, clicks, tuple(mended))


def clean(text: object, longest: int) -> str:
    """Lower case, single spaces, no control characters, at most `longest` characters; "" for what is missing."""
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return ""
    joined = " ".join("".join(c if c.isprintable() else " " for c in str(text)).lower().split())
    return joined[:longest].rsplit(" ", 1)[0] if len(joined) > longest else joined


def _products(path: Path, mapping: Columns) -> tuple[list[Product], list[str]]:
    rows = list(_rows(path))
    if not rows:
        raise BadInput(f"{path}: holds no products")
    columns = list(rows[0][1])
    for key in ("id", "name", "category"):
        if getattr(mapping, key) not in columns:
            raise BadInput(
                f"{path}: no column {getattr(mapping, key)!r} for the {key}; it has {', '.join(map(str, columns))} "
                f"(say which with --map {key}=COLUMN)"
            )
    absent = [a for a in mapping.attributes if a not in columns]
    if absent:
        raise BadInput(f"{path}: no column {absent[0]!r}; it has {', '.join(map(str, columns))}")
    known: dict[str, Product] = {}
    repeated = 0
    for line, row in rows:
        product = _product(path, line, row, mapping)
        before = known.get(product.id)
        if before is not None and before != product:
            raise BadInput(f"{path}, row {line}: id {product.id!r} appears twice with different facts; keep one")
        repeated += before is not None
        known[product.id] = product
    mended = [f"{repeated} repeated rows: kept once"] if repeated else []
    priceless = sum("price" not in p.attributes for p in known.values())
    if priceless and any("price" in p.attributes for p in known.values()):
        mended.append(f"{priceless} products have no price: told as not listed")
    return list(known.values()), mended


def _product(path: Path, line: int, row: Mapping[str, Any], mapping: Columns) -> Product:
    name, key = clean(row.get(mapping.name), LONGEST_NAME), clean(row.get(mapping.id), LONGEST_NAME)
    if not name or not key:
        raise BadInput(f"{path}, row {line}: the {'name' if not name else 'id'} is empty; fill it or drop the row")
    base = (mapping.id, mapping.name, mapping.category)
    given: dict[str, Any] = {k: row.get(k) for k in mapping.attributes or [c for c in row if c not in base]}
    nested = given.pop("attributes", None)
    if isinstance(nested, Mapping):
        given |= {str(k): v for k, v in nested.items()}
    attributes = {clean(k, LONGEST_VALUE): clean(v, LONGEST_VALUE) for k, v in given.items()}
    listed = {k: v for k, v in attributes.items() if k and v and not (k == "price" and _zero(v))}
    return Product(key, name, clean(row.get(mapping.category), LONGEST_VALUE) or "other", listed)


def _zero(price: str) -> bool:
    return re.fullmatch(r"[^\d]*0+([.,]0*)?", price) is not None


def _rows(path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".parquet":
        return _parquet(path)
    text = _text(path)
    if kind in (".jsonl", ".ndjson"):
        return _jsonl(path, text)
    if kind in (".csv", ".tsv"):
        reader = csv.DictReader(text.splitlines(), delimiter="\t" if kind == ".tsv" else ",")
        if reader.fieldnames is None:
            raise BadInput(f"{path}: is empty")
        return _whole(path, reader)
    raise BadInput(f"{path}: a catalogue is .csv, .tsv, .jsonl or .parquet")


def _whole(path: Path, reader: Any) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for line, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            raise BadInput(f"{path}, row {line}: has not as many cells as the header; quote cells that hold commas")
        yield line, row


def _jsonl(path: Path, text: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError):
            raise BadInput(f"{path}, line {line}: not JSON; write one object a line") from None
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {line}: not an object; write one object a line")
        yield line, row


def _parquet(path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise BadInput(f"{path}: parquet needs pyarrow; pip install pyarrow, or export it as CSV") from None
    try:
        table: Any = parquet.read_table(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]})") from None
    except Exception as error:  # pyarrow's own errors share no public base
        raise BadInput(f"{path}: cannot be read as parquet ({type(error).__name__})") from None
    return enumerate(table.to_pylist(), start=1)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None


def read_tree(path: Path) -> dict[str, str]:
    """Child to parent, from CSV (`child,parent`) or from Best Buy's JSON (`name`, `subCategories`).

    Of a category below several parents the first is kept. Raises `BadInput` for a cycle.
    """
    parents: dict[str, str] = {}
    if path.suffix.lower() == ".json":
        try:
            nodes = json.loads(_text(path))
            edges = [(s["name"], n["name"]) for n in nodes for s in n.get("subCategories", [])]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BadInput(f"{path}: not a list of categories with `name` and `subCategories`") from None
    else:
        edges = []
        for line, row in enumerate(csv.reader(_text(path).splitlines()), start=1):
            if len(row) != 2:
                raise BadInput(f"{path}, line {line}: write child,parent")
            edges.append((row[0], row[1]))
        edges = edges[1:] if edges and edges[0] == ("child", "parent") else edges
    for child, parent in edges:
        below, above = clean(child, LONGEST_VALUE), clean(parent, LONGEST_VALUE)
        if below and above and below != above and not (path.suffix == ".json" and _reaches(parents, above, below)):
            parents.setdefault(below, above)
    for start in parents:
        if _reaches(parents, parents[start], start):
            raise BadInput(f"{path}: category {start!r} lies below itself; remove one of the edges")
    return parents


def _reaches(parents: Mapping[str, str], start: str, goal: str) -> bool:
    seen: set[str] = set()
    while start in parents and start not in seen:
        seen.add(start)
        start = parents[start]
        if start == goal:
            return True
    return start == goal


def _clicks(path: Path, known: set[str]) -> tuple[tuple[Click, ...], int]:
    text = _text(path)
    reader = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in text.split("\n", 1)[0] else ",")
    columns = reader.fieldnames or []
    if "query" not in columns or "product" not in columns:
        raise BadInput(f"{path}: a query log has the columns query and product; it has {', '.join(columns) or 'none'}")
    out: list[Click] = []
    dropped = 0
    for row in reader:
        query, product = clean(row["query"], LONGEST_VALUE), clean(row["product"], LONGEST_NAME)
        if query and product in known:
            out.append(Click(query, product))
        else:
            dropped += 1
    return tuple(out), dropped
