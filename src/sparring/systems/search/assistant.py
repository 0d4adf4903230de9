"""One question answered for a shopper: retrieved facts, the model's reply, and whether the facts bear it out."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparring.errors import BadInput
from sparring.language.chat import Chat
from sparring.systems.search.judge import Verdict, judge
from sparring.systems.search.questions import ABSENT_FACT, ABSENT_PRODUCT
from sparring.systems.search.shop import Product, Shop
from sparring.systems.search.synthesize import facts_line, grounded_prompt

LONGEST = 1_000
"""Characters of a question; a shopper's question is shorter."""
_NEAR = 0.25
_PLAIN = re.compile(r"[a-z0-9]+")
_COMMON = frozenset(
    ("the", "a", "an", "is", "are", "of", "in", "it", "its", "for", "and", "to", "has", "with", "this", "that")
)


class Index:
    """The catalogue by similarity of its character n-grams (TF-IDF), so that misspelt names are found as well."""

    def __init__(self, shop: Shop) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError:
            raise BadInput("retrieval needs scikit-learn; pip install 'sparring[search]'") from None
        self.products = shop.products
        self._words: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        texts = [
            f"{p.name} {p.category} {' '.join(v for k, v in p.attributes.items() if k != 'price')}"
            for p in shop.products
        ]
        self._rows: Any = self._words.fit_transform(texts)

    def find(self, question: str, count: int = 3, near: float = _NEAR) -> list[tuple[Product, float]]:
        """The most similar products with their cosine similarity, at least `near`, best first."""
        scores: Any = (self._rows @ self._words.transform([question.lower()]).T).toarray()[:, 0]
        best = sorted(range(len(scores)), key=lambda k: -scores[k])[:count]
        return [(self.products[k], float(scores[k])) for k in best if scores[k] >= near]


@dataclass(frozen=True)
class Reply:
    """What a shopper sees: the answer, the facts beside it, and why something was refused."""

    text: str
    verdict: Verdict
    products: tuple[Product, ...]
    reason: str | None = None
    """Why it was refused; None where it was not."""
    supported: bool | None = None
    """Whether the facts shown bear the answer out; None where nothing was claimed."""
    said: str = ""
    """The model's own words, where something else is shown."""
    tokens: tuple[int, int] = (0, 0)


class Assistant:
    """A model and a catalogue. With `facts_in_prompt` the model is given the facts; in any case it is checked by them.

    Each question stands alone: what a client sends as system message or as earlier turns does not reach the model,
    so it cannot loosen the policy.
    """

    def __init__(self, chat: Chat, shop: Shop, *, facts_in_prompt: bool = True, tokens: int = 48) -> None:
        self.chat, self.shop, self.index = chat, shop, Index(shop)
        self.facts_in_prompt, self.tokens = facts_in_prompt, tokens

    def ask(self, question: str, *, tokens: int | None = None) -> Reply:
        """Answer a question. Raises `BadInput` for an empty or overlong one."""
        asked = " ".join(question.split())
        if not asked:
            raise BadInput("the question is empty")
        if len(asked) > LONGEST:
            raise BadInput(f"the question has {len(asked):,} characters; at most {LONGEST:,} are taken")
        found = tuple(p for p, _ in self.index.find(asked))
        prompt = asked.lower()
        if self.facts_in_prompt and found:
            prompt = grounded_prompt([facts_line(p) for p in found], prompt)
        most = self.chat.longest - 64
        if len(self.chat.ids(prompt)) > most:
            prompt = asked.lower()
        if len(self.chat.ids(prompt)) > most:
            raise BadInput(f"the question is longer than the model takes ({most} tokens)")
        said = self.chat.reply([prompt], tokens=min(tokens or self.tokens, self.tokens))[0]
        used = (len(self.chat.ids(prompt)), len(self.chat.ids(said)))
        return self._judged(asked.lower(), said, found, used)

    def _judged(self, asked: str, said: str, found: tuple[Product, ...], used: tuple[int, int]) -> Reply:
        verdict = judge(said)
        if verdict == "refusal":
            _, colon, why = said.partition(":")
            return Reply(said, verdict, (), (why if colon else said).strip(" ."), tokens=used)
        if verdict == "redirect":
            return Reply(said, verdict, (), tokens=used)
        if verdict == "nonsense" or not said:
            return Reply(_listing(found), verdict, found, supported=False, said=said, tokens=used)
        if not found or said in (ABSENT_FACT, ABSENT_PRODUCT):
            named = tuple(p for p in found if p.name in asked and contradicts(p, asked, said))
            if named:  # the model has not met what the catalogue lists by now
                return Reply(_listing(named), verdict, named, supported=False, said=said, tokens=used)
            return Reply(said, verdict, found, tokens=used)
        bearing = tuple(p for p in found if supports(p, said))
        if bearing:
            return Reply(said, verdict, bearing, supported=True, tokens=used)
        return Reply(_listing(found), verdict, found, supported=False, said=said, tokens=used)


def supports(product: Product, text: str) -> bool:
    """Whether every telling word of a text stands in the product's facts."""
    facts = set(_PLAIN.findall(f"{facts_line(product)} {product.category}".lower()))
    words = [w for w in _PLAIN.findall(text.lower()) if w not in _COMMON]
    return bool(words) and all(w in facts for w in words)


def contradicts(product: Product, asked: str, said: str) -> bool:
    """Whether the catalogue lists what the model says is not there: the product named, or the attribute asked for."""
    if said == ABSENT_PRODUCT:
        return True
    words = set(_PLAIN.findall(asked.replace(product.name, " ")))
    return said == ABSENT_FACT and any(words >= set(_PLAIN.findall(a)) for a in product.attributes)


def _listing(found: Sequence[Product]) -> str:
    if not found:
        return "nothing in the catalogue answers this."
    return f"the catalogue lists {facts_line(found[0])}"


def told(reply: Reply) -> dict[str, Any]:
    """What the page shows beside the answer; in the API's answers under "shop"."""
    facts = [{"product": p.name, "category": p.category, "facts": dict(p.attributes)} for p in reply.products]
    return {
        "verdict": reply.verdict, "refused_because": reply.reason, "supported": reply.supported, "facts": facts,
        "model_said": reply.said or None,
    }  # fmt: skip
