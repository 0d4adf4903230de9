"""What a run leaves for its users: both models as `transformers` folders, the catalogue, the corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sparring.engine.runtime import is_main
from sparring.errors import BadInput
from sparring.files import write_text
from sparring.language.chat import Chat
from sparring.systems.search.catalogue import read_shop
from sparring.systems.search.shop import Shop
from sparring.systems.search.synthesize import Corpus, write

_SIDE = "sparring.json"
"""Beside a model: its system message, and whether it was trained to find its facts in the prompt."""


def save(folder: Path, model: Chat, plain: Chat, corpus: Corpus, shop: Shop, *, facts_in_prompt: bool = False) -> None:
    """`model/` (with path B), `plain/` (without), `catalogue.jsonl` and `corpus/`."""
    if not is_main():
        return
    for name, chat in (("model", model), ("plain", plain)):
        chat.save(folder / name)
        side = {"system": chat.system, "facts_in_prompt": facts_in_prompt}
        write_text(folder / name / _SIDE, json.dumps(side, indent=2) + "\n")
    write_catalogue(folder / "catalogue.jsonl", shop)
    write(corpus, folder / "corpus")


def write_catalogue(path: Path, shop: Shop) -> None:
    """The products as `read_shop` reads them."""
    rows = [
        {"id": p.id, "name": p.name, "category": p.category, "attributes": dict(p.attributes)} for p in shop.products
    ]
    write_text(path, "\n".join(json.dumps(row) for row in rows) + "\n")


def load(place: str, catalogue: Path | None) -> tuple[Chat, Shop, bool]:
    """A model, its shop, and whether it wants its facts in the prompt: from a run folder, or a model and a catalogue.

    A model that was not made here is taken to want them.
    """
    run = Path(place)
    inside = run / "model" if (run / "model" / "config.json").is_file() else None
    if catalogue is None:
        if inside is None or not (run / "catalogue.jsonl").is_file():
            raise BadInput(f"{place}: is no run folder of this system; name the products with --catalogue FILE")
        catalogue = run / "catalogue.jsonl"
    shop = read_shop(catalogue)
    side: dict[str, Any] = {}
    path = (inside or run) / _SIDE
    if path.is_file():
        try:
            side = dict(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError, RecursionError):
            raise BadInput(f"{path}: damaged; make the model again") from None
    system = side.get("system")
    chat = Chat.load(str(inside or place), system if isinstance(system, str) else None)
    return chat, shop, side.get("facts_in_prompt") is not False
