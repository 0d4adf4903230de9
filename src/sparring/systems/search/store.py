"""What a run leaves for its users: both models as `transformers` folders, the catalogue, the corpus."""

from __future__ import annotations

import json
from pathlib import Path

from sparring.engine.runtime import is_main
from sparring.errors import BadInput
from sparring.files import write_text
from sparring.language.chat import Chat
from sparring.systems.search.catalogue import read_shop
from sparring.systems.search.shop import Product, Shop
from sparring.systems.search.synthesize import Corpus, write


def save(folder: Path, model: Chat, plain: Chat, corpus: Corpus, shop: Shop) -> None:
    """`model/` (with path B), `plain/` (without), `catalogue.jsonl` and `corpus/`."""
    if not is_main():
        return
    for name, chat in (("model", model), ("plain", plain)):
        chat.save(folder / name)
        if chat.system is not None:
            write_text(folder / name / "system.txt", chat.system + "\n")
    write_catalogue(folder / "catalogue.jsonl", shop)
    write(corpus, folder / "corpus")


def write_catalogue(path: Path, shop: Shop) -> None:
    """The products as `read_shop` reads them."""
    rows = [
        {"id": p.id, "name": p.name, "category": p.category, "attributes": dict(p.attributes)} for p in shop.products
    ]
    write_text(path, "\n".join(json.dumps(row) for row in rows) + "\n")


def load(place: str, catalogue: Path | None) -> tuple[Chat, Shop]:
    """A model and its shop: from a run folder, or a model folder (or hub id) and a catalogue."""
    run = Path(place)
    inside = run / "model" if (run / "model" / "config.json").is_file() else None
    if catalogue is None:
        if inside is None or not (run / "catalogue.jsonl").is_file():
            raise BadInput(f"{place}: is no run folder of this system; name the products with --catalogue FILE")
        catalogue = run / "catalogue.jsonl"
    told = (inside or run) / "system.txt"
    system = told.read_text("utf-8").strip() if told.is_file() else None
    return Chat.load(str(inside or place), system), read_shop(catalogue)


def listed(product: Product) -> list[str]:
    """A product's facts as `attribute: value` lines."""
    return [f"{a}: {v}" for a, v in product.attributes.items()]
