"""The knowledge graph of a shop: triples, and the walks that answers rest on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from sparring.systems.search.shop import Click, Product, Shop

Triple = tuple[str, str, str]
"""Subject, predicate, object; the subject is a product's id, a category or a query."""


@dataclass(frozen=True)
class Chain:
    """query -> category -> constraint -> product, each step an edge of the graph."""

    query: str
    category: str
    attribute: str
    value: str
    product: Product

    @property
    def triples(self) -> tuple[Triple, ...]:
        """The edges that the chain walks."""
        p = self.product
        return (
            (self.query, "clicked", p.id), (p.id, "category", self.category), (p.id, self.attribute, self.value),
        )  # fmt: skip


@dataclass(frozen=True)
class Knowledge:
    """A shop as a graph."""

    shop: Shop

    @cached_property
    def products(self) -> dict[str, Product]:
        return {p.id: p for p in self.shop.products}

    @cached_property
    def triples(self) -> frozenset[Triple]:
        """Everything that is listed: facts, categories and what is above them, clicks."""
        found: set[Triple] = set()
        for p in self.shop.products:
            found.add((p.id, "category", p.category))
            found |= {(p.id, key, value) for key, value in p.attributes.items()}
        found |= {(child, "below", parent) for child, parent in self.shop.parents.items()}
        found |= {(c.query, "clicked", c.product) for c in self.shop.log}
        return frozenset(found)

    @cached_property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """Per category the attributes that at least one of its products lists, sorted."""
        found: dict[str, set[str]] = defaultdict(set)
        for p in self.shop.products:
            found[p.category] |= p.attributes.keys()
        return {category: tuple(sorted(keys)) for category, keys in found.items()}

    def absent(self, product: Product) -> tuple[str, ...]:
        """Attributes that others of its category list and this product does not."""
        return tuple(a for a in self.attributes[product.category] if a not in product.attributes)

    def having(self, category: str, attribute: str, value: str) -> tuple[Product, ...]:
        """The products of a category with that fact."""
        members = (p for p in self.shop.products if p.category == category)
        return tuple(p for p in members if p.attributes.get(attribute) == value)

    def chain(self, click: Click) -> Chain | None:
        """The walk from a logged query to its product, over the attribute value that the query names."""
        product = self.products[click.product]
        for attribute, value in sorted(product.attributes.items()):
            if f" {value} " in f" {click.query} ":
                return Chain(click.query, product.category, attribute, value, product)
        return None
