"""Where shops and prompts come from: the generator, or the user's own copies of the public sets."""

from __future__ import annotations

import csv
import random
import re
from pathlib import Path

from sparring.data.sources import locate
from sparring.errors import BadInput
from sparring.systems.search.catalogue import LONGEST_NAME, LONGEST_VALUE, clean, read_tree
from sparring.systems.search.shop import Click, Product, Shop, generated

_CELL = re.compile(r"COL (\w+) VAL (.*?)(?= COL \w+ VAL |$)")
_PAIRS = {"walmart-amazon": "walmart_amazon", "amazon-google": "amazon_google"}


def load(name: str, seed: int, products: int, data: Path | None = None) -> Shop:
    """A shop of that many products. Raises `BadInput` if a set is not found."""
    if name == "generated":
        return generated(seed, products)
    if name not in _PAIRS:
        raise BadInput(f"no shop is called {name!r}; choose generated, {' or '.join(_PAIRS)}")
    path = locate("product-pairs", f"{_PAIRS[name]}_train.txt", data)
    whole = read_pairs(path, name)
    if len(whole.products) < products:
        raise BadInput(f"{path}: has {len(whole.products):,} products, {products:,} were asked for")
    tree = read_tree(locate("bestbuy-categories", None, data)) if name == "walmart-amazon" else {}
    few = random.Random(f"products {seed}").sample(list(whole.products), products)  # noqa: S311
    return Shop(name, tuple(few), tree, searched(few, seed), whole.mended)


def read_pairs(path: Path, name: str) -> Shop:
    """The products of a file of labelled pairs in Ditto's form (`COL title VAL ... COL brand VAL ...`, tab, ...).

    Products are told apart by their title; of two with one title the first is kept.
    """
    found: dict[str, Product] = {}
    repeated = 0
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); get the file again") from None
    for number, line in enumerate(lines, start=1):
        cells = line.split("\t")
        if len(cells) != 3:
            raise BadInput(f"{path}, line {number}: not two products and a label with tabs between")
        for side in cells[:2]:
            told = {key: clean(value, LONGEST_VALUE) for key, value in _CELL.findall(side.strip())}
            title = clean(told.pop("title", ""), LONGEST_NAME)
            if not title:
                continue
            if title in found:
                repeated += 1
                continue
            category = told.pop("category", "") or "software"
            listed = {k: v for k, v in told.items() if v and not (k == "price" and float(v or 0) == 0)}
            found[title] = Product(f"{name}-{len(found):05d}", title, category, listed)
    return Shop(name, tuple(found.values()), mended=(f"{repeated:,} repeated titles: kept once",))


def searched(products: list[Product], seed: int) -> tuple[Click, ...]:
    """A query per product from its own words, for catalogues that come without a log."""
    draw = random.Random(f"log {seed}")  # noqa: S311
    out: list[Click] = []
    for p in products:
        told = [v for k, v in sorted(p.attributes.items()) if k not in ("price", "modelno")]
        if told:
            out.append(Click(f"{draw.choice(told)} {p.category}", p.id))
    return tuple(out)


def wands_queries(data: Path | None = None) -> tuple[tuple[str, str], ...]:
    """The WANDS queries, each with its category (query, class)."""
    path = locate("wands-queries", None, data)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return tuple((clean(r["query"], LONGEST_VALUE), clean(r["query_class"], LONGEST_VALUE)) for r in rows)


def safe_prompts(data: Path | None = None) -> tuple[str, ...]:
    """XSTest's 250 safe prompts. Raises `BadInput` if the file is not found or has other columns."""
    path = locate("xstest", None, data)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"prompt", "label"} <= rows[0].keys():
        raise BadInput(f"{path}: has no columns prompt and label; get xstest_prompts.csv")
    return tuple(r["prompt"] for r in rows if r["label"] == "safe")
