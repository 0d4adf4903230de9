"""What a shop is: products with attributes, a category tree, a query log; and a seeded one that needs no files."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Product:
    """One row of the catalogue; an attribute that is missing is a fact that is not listed."""

    id: str
    name: str
    category: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Click:
    """One line of the query log: what was typed and what was chosen."""

    query: str
    product: str


@dataclass(frozen=True)
class Shop:
    """A catalogue, the parent of every category, the log, and what was dropped or mended while reading."""

    name: str
    products: tuple[Product, ...]
    parents: Mapping[str, str] = field(default_factory=dict[str, str])
    log: tuple[Click, ...] = ()
    mended: tuple[str, ...] = ()

    def path(self, category: str) -> tuple[str, ...]:
        """The category with all above it, the top first."""
        out = [category]
        while out[-1] in self.parents:
            out.append(self.parents[out[-1]])
        return tuple(reversed(out))


_SYLLABLES = (
    "ve",
    "lo",
    "ra",
    "mi",
    "ka",
    "zu",
    "ter",
    "no",
    "bel",
    "tar",
    "qui",
    "sen",
    "dor",
    "fa",
    "lin",
    "gro",
    "pex",
    "hal",
    "wi",
    "mo",
    "cor",
    "ni",
    "sta",
    "vel",
)
_LINES = (
    "aero",
    "basic",
    "core",
    "delta",
    "eco",
    "flex",
    "glide",
    "home",
    "icon",
    "jet",
    "lite",
    "max",
    "nova",
    "one",
    "plus",
    "pro",
    "solo",
    "trail",
    "urban",
    "vita",
)
COLOURS = ("red", "blue", "green", "black", "white", "grey", "yellow", "purple", "orange", "brown", "pink", "beige")
_MATERIALS = ("steel", "glass", "wood", "plastic", "cotton", "leather", "ceramic", "bamboo", "wool", "nylon")
_COUNTRIES = ("italy", "japan", "poland", "vietnam", "portugal", "turkey", "sweden", "mexico", "india", "canada")
_SIZES = ("small", "medium", "large", "compact")
_WARRANTY = ["1 year", "2 years", "3 years", "5 years"]
_TREE = {
    "kitchen": ("kettle", "toaster", "blender", "pan"),
    "electronics": ("headphones", "camera", "keyboard", "speaker"),
    "furniture": ("chair", "desk", "lamp", "rug"),
    "outdoor": ("tent", "backpack", "bicycle", "helmet"),
    "fashion": ("watch", "jacket", "handbag", "sneakers"),
}
ATTRIBUTES = ("brand", "colour", "material", "size", "warranty", "origin", "price")


def generated(seed: int, count: int = 200, *, listed: float = 0.75) -> Shop:
    """A seeded shop of `count` products in 20 categories; each optional attribute is listed with that probability."""
    draw = random.Random(f"shop {seed}")  # noqa: S311
    brands = sorted({"".join(draw.sample(_SYLLABLES, 2)) + draw.choice(["", "n", "s", "x"]) for _ in range(30)})
    kinds = [kind for group in _TREE.values() for kind in group]
    products: list[Product] = []
    names: set[str] = set()
    while len(products) < count:
        brand, kind = draw.choice(brands), kinds[len(products) % len(kinds)]
        name = f"{brand} {draw.choice(_LINES)} {draw.randrange(10, 100)} {kind}"
        if name in names:
            continue
        names.add(name)
        every = {
            "colour": draw.choice(COLOURS), "material": draw.choice(_MATERIALS), "size": draw.choice(_SIZES),
            "warranty": draw.choice(_WARRANTY), "origin": draw.choice(_COUNTRIES),
            "price": f"${draw.randrange(5, 200)}",
        }  # fmt: skip
        kept = {key: value for key, value in every.items() if draw.random() < listed}
        products.append(Product(f"p{len(products):04d}", name, kind, {"brand": brand, **kept}))
    parents = {kind: group for group, members in _TREE.items() for kind in members}
    return Shop(f"generated-{seed}", tuple(products), parents, _log(products, draw))


def _log(products: Sequence[Product], draw: random.Random) -> tuple[Click, ...]:
    """Two searches a product, of its category and one thing that is listed of it."""
    out: list[Click] = []
    for product in products:
        for _ in range(2):
            told = {k: v for k, v in product.attributes.items() if k in ("colour", "material", "size", "brand")}
            out.append(Click(f"{draw.choice(sorted(told.values()))} {product.category}", product.id))
    draw.shuffle(out)
    return tuple(out)
