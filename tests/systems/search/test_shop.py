# pyright: basic
from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sparring.errors import BadInput
from sparring.systems.search import data
from sparring.systems.search.catalogue import Columns, clean, read_shop, read_tree
from sparring.systems.search.knowledge import Knowledge
from sparring.systems.search.shop import Click, Product, Shop, generated
from sparring.systems.search.store import write_catalogue

ROWS = [
    {"sku": "1", "title": "Vela Kettle", "kind": "kettle", "colour": "Red", "price": "$0"},
    {"sku": "2", "title": "Oro, Lamp", "kind": "lamp", "colour": "", "price": "12.50"},
]
MAP = ["id=sku", "name=title", "category=kind"]


def written(path: Path, rows=ROWS) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows) + "\n\n")
    elif path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as stream:
            out = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            out.writeheader()
            out.writerows(rows)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_form_reads_the_same(tmp_path: Path, kind: str):
    shop = read_shop(written(tmp_path / f"shop.{kind}"), Columns.parse(MAP))
    kettle, lamp = shop.products
    assert kettle == Product("1", "vela kettle", "kettle", {"colour": "red"})  # a price of 0 is no price
    assert lamp == Product("2", "oro, lamp", "lamp", {"price": "12.50"})
    assert "1 products have no price: told as not listed" in shop.mended


def test_chosen_attributes_alone_are_read(tmp_path: Path):
    shop = read_shop(written(tmp_path / "shop.csv"), Columns.parse([*MAP, "attributes=colour"]))
    assert [dict(p.attributes) for p in shop.products] == [{"colour": "red"}, {}]


def test_a_shop_comes_back_from_its_own_catalogue(tmp_path: Path):
    shop = generated(3, 30)
    write_catalogue(tmp_path / "catalogue.jsonl", shop)
    assert read_shop(tmp_path / "catalogue.jsonl").products == shop.products


@pytest.mark.parametrize(
    ("content", "name", "options", "words"),
    [
        ("", "a.csv", [], "is empty"),
        ("id,name,category\n", "a.csv", [], "holds no products"),
        ("id,title,category\n1,a,b\n", "a.csv", [], "no column 'name' for the name; it has id, title, category"),
        ("id,name,category\n1,,b\n", "a.csv", [], "row 2: the name is empty"),
        ("id,name,category,c\n1,a,b,x\n1,a,b,y\n", "a.csv", [], "row 3: id '1' appears twice with different facts"),
        ("id,name,category\n1,a,b,c\n", "a.csv", [], "row 2: has not as many cells"),
        ("id,name,category\n1,a,b\n", "a.csv", ["attributes=size"], "no column 'size'"),
        ("id,name,category\n1,a,b\n", "a.txt", [], "a catalogue is .csv"),
        ("{]\n", "a.jsonl", [], "line 1: not JSON"),
        ("[1]\n", "a.jsonl", [], "line 1: not an object"),
        ("no parquet", "a.parquet", [], "cannot be read as parquet"),
    ],
)
def test_bad_catalogues_are_named(tmp_path: Path, content: str, name: str, options: list[str], words: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=words.replace(".", r"\.")) as error:
        read_shop(tmp_path / name, Columns.parse(options))
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_other_bad_files_are_named(tmp_path: Path):
    with pytest.raises(BadInput, match="cannot be read"):
        read_shop(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"id,name,category\n1,caf\xe9,b\n")
    with pytest.raises(BadInput, match=r"not UTF-8 \(byte 22\)"):
        read_shop(tmp_path / "latin.csv")
    with pytest.raises(BadInput, match="--map colour=x"):
        Columns.parse(["colour=x"])


def test_repeated_rows_are_kept_once(tmp_path: Path):
    shop = read_shop(written(tmp_path / "shop.csv", [*ROWS, ROWS[0]]), Columns.parse(MAP))
    assert len(shop.products) == 2
    assert "1 repeated rows: kept once" in shop.mended


def test_trees_of_both_forms(tmp_path: Path):
    (tmp_path / "t.csv").write_text("child,parent\nkettle,kitchen\nkitchen,home\n")
    assert read_tree(tmp_path / "t.csv") == {"kettle": "kitchen", "kitchen": "home"}
    nodes = [{"name": "Home", "subCategories": [{"name": "Kitchen"}]}, {"name": "Kitchen", "subCategories": []}]
    (tmp_path / "t.json").write_text(json.dumps(nodes))
    assert read_tree(tmp_path / "t.json") == {"kitchen": "home"}
    assert Shop("s", (), read_tree(tmp_path / "t.csv")).path("kettle") == ("home", "kitchen", "kettle")


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("a,b\nb,c\nc,a\n", "t.csv", "lies below itself"),
        ("a,b,c\n", "t.csv", "line 1: write child,parent"),
        ("{}", "t.json", "not a list of categories|^$"),
        ("[1]", "t.json", "not a list of categories"),
    ],
)
def test_bad_trees_are_named(tmp_path: Path, content: str, name: str, words: str):
    (tmp_path / name).write_text(content)
    if content == "{}":
        assert read_tree(tmp_path / name) == {}
        return
    with pytest.raises(BadInput, match=words):
        read_tree(tmp_path / name)


def test_the_log_names_known_products_and_the_rest_is_counted(tmp_path: Path):
    (tmp_path / "log.csv").write_text("query,product\nRed Kettle,1\nlamp,99\n,1\n")
    shop = read_shop(written(tmp_path / "shop.csv"), Columns.parse(MAP), log=tmp_path / "log.csv")
    assert shop.log == (Click("red kettle", "1"),)
    assert any(m.startswith("2 lines of") for m in shop.mended)
    (tmp_path / "bad.csv").write_text("q,p\n1,2\n")
    with pytest.raises(BadInput, match="columns query and product"):
        read_shop(tmp_path / "shop.csv", Columns.parse(MAP), log=tmp_path / "bad.csv")


def test_values_are_plain_short_and_lower_case():
    assert clean("  Red\tand \x00 Blue ", 60) == "red and blue"
    assert clean(float("nan"), 9) == clean(None, 9) == ""
    assert clean("one two three", 9) == "one two"


def test_the_generated_shop_follows_its_seed_alone():
    assert generated(1, 60) == generated(1, 60)
    assert generated(1, 60) != generated(2, 60)
    shop = generated(0, 100)
    assert len({p.name for p in shop.products}) == 100
    assert all(shop.path(p.category)[0] != p.category for p in shop.products)
    assert 0.6 < sum("colour" in p.attributes for p in shop.products) / 100 < 0.9


def test_a_chain_walks_edges_of_the_graph():
    graph = Knowledge(generated(0, 60))
    chains = [c for c in map(graph.chain, graph.shop.log) if c is not None]
    assert len(chains) > 50
    assert all(set(c.triples) <= graph.triples for c in chains)
    product = graph.shop.products[0]
    assert not set(graph.absent(product)) & product.attributes.keys()
    assert product in graph.having(product.category, "brand", product.attributes["brand"])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["walmart-amazon", "amazon-google"])
def test_real_catalogues(name: str, shared_data: Path):
    shop = data.load(name, 0, 100, shared_data)
    assert len(shop.products) == 100
    named = {p.id: {k for k in p.attributes if k not in ("price", "modelno")} for p in shop.products}
    assert {c.product for c in shop.log} == {k for k, told in named.items() if told}
    assert all(p.name and p.category for p in shop.products)
    assert data.load(name, 0, 100, shared_data) == shop


@pytest.mark.shared
def test_real_queries_and_prompts(shared_data: Path):
    assert len(data.safe_prompts(shared_data)) == 250
    queries = data.wands_queries(shared_data)
    assert len(queries) == 480
    assert ("salon chair", "massage chairs") in queries
