"""The templates that facts are asked in, split into trained and held-out ones, and the noise of real queries."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sparring.systems.search.shop import Product

ABSENT_FACT = "not listed"
ABSENT_PRODUCT = "no such product"


@dataclass(frozen=True)
class Templates:
    """Phrasings of one kind of question; those of `test` are never trained on."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


ATTRIBUTE = Templates(
    "attribute",
    (
        "what is the {a} of {p}?", "{p} {a}", "tell me the {a} of {p}", "which {a} does {p} have?", "{a} of {p}",
        "i want to know the {a} of the {p}", "for {p}, what {a} is listed?", "do you know the {a} of {p}?",
        "can you check {p} for its {a}?", "the {p}: {a}?", "please give me the {a} for {p}", "what {a} has the {p}?",
        "name the {a} of the {p}", "hi, what is the {a} for {p}?", "look up {p} and say the {a}", "{a}? i mean {p}",
        "about {p}: which {a} is it?", "i am looking at {p}. what is its {a}?", "say the {a} of {p}, please",
        "is there a {a} listed for {p}?", "what would be the {a} of {p}?", "{p}, its {a}?",
        "could you read out the {a} of {p}?", "my question is about {p} and its {a}",
    ),
    (
        "may i ask what {a} the {p} has?", "{p} - what is the {a} of it?", "i wonder about the {a} of {p}",
        "hello, i need the {a} for the {p}", "so {p}, what about the {a}?", "give the {a} for {p}",
    ),
)  # fmt: skip
STATEMENT = Templates("statement", ("tell me about {p}", "describe {p}", "everything on {p}"), ())
CATEGORY = Templates(
    "category",
    ("category of {p}", "which category is {p} in?", "where in the shop is {p}?", "file {p} under a category"),
    ("in which part of the tree does {p} belong?", "category for {p}?"),
)
EXTRACTION = Templates(
    "extraction",
    ("attributes in: {q}", "what does the query ask for: {q}", "parse the query {q}", "extract the facets of {q}"),
    ("facets in the query {q}", "take apart: {q}"),
)
REWRITE = Templates(
    "rewrite",
    ("rewrite: {q}", "correct the query: {q}", "clean up {q}", "better query for: {q}"),
    ("make this query clean: {q}", "fix: {q}"),
)
RELEVANCE = Templates(
    "relevance",
    ("query: {q} | product: {p} | relevant?", "does {p} fit the query {q}?", "for the query {q}, is {p} right?"),
    ("is {p} an answer to the query {q}?",),
)
CHAIN = Templates(
    "chain",
    ("find: {q}", "search for {q}", "i need a {q}", "show me a {q}", "think step by step: {q}", "looking for {q}"),
    ("got any {q}?", "i search a {q}"),
)
LOG = Templates(
    "log",
    ("what do shoppers choose for {q}?", "who searches {q} takes what?", "best seller for {q}", "top choice for {q}"),
    ("which product do people pick for {q}?",),
)


def asked_of(p: Product, candidates: Sequence[str], draw: random.Random, count: int) -> list[str]:
    """Some attributes to ask of a product, now and then one of the `candidates` that it does not list."""
    pool = sorted({*p.attributes, *draw.sample(list(candidates), min(2, len(candidates)))})
    return draw.sample(pool, min(count, len(pool)))


def invented(names: Sequence[str], draw: random.Random) -> str:
    """A name made of parts of real names, as a product that could exist."""
    parts = [draw.choice(names).split(" ") for _ in range(4)]
    longest = max(len(p) for p in parts[:1])
    mixed = [draw.choice(parts)[min(k, 99)] if k < min(map(len, parts)) else parts[0][k] for k in range(longest)]
    return " ".join(str(draw.randrange(10, 100)) if word.isdigit() else word for word in mixed)


def sloppy(query: str, draw: random.Random) -> str:
    """The query as people type it: words swapped, a letter missing or doubled, filler around."""
    words = query.split(" ")
    if draw.random() < 0.3:
        draw.shuffle(words)
    at = draw.randrange(len(words))
    word = words[at]
    if len(word) > 3:
        k = draw.randrange(1, len(word))
        words[at] = word[:k] + (word[k - 1] if draw.random() < 0.5 else "") + word[k + (draw.random() < 0.5) :]
    text = " ".join(words)
    return draw.choice(["{} pls", "hey {}", "{}", "need {} asap", "{} cheap pls", "any {}"]).format(text)


_THINGS = [
    "python process",
    "war",
    "planet",
    "river",
    "whale",
    "poem",
    "bridge",
    "king",
    "novel",
    "film",
    "virus",
    "engine",
    "wall",
    "garden",
    "dog",
    "bug",
    "tree",
    "song",
    "party",
    "battery",
    "joke",
    "match",
    "city",
    "castle",
    "history",
    "battle",
    "theory",
    "cake",
    "exam",
    "team",
    "game",
    "boss",
    "character",
    "fire",
    "crime",
    "law",
    "bank",
    "medicine",
    "drug",
    "gun",
    "knife",
    "bomb",
    "murder",
    "racism",
    "weed",
    "cell",
    "thread",
    "time",
    "light",
    "question",
    "fish",
    "chemistry",
    "password",
    "island",
]
_ACTS = [
    "kill",
    "stop",
    "cook",
    "paint",
    "explain",
    "draw",
    "fix",
    "understand",
    "shoot",
    "describe",
    "beat",
    "crush",
    "cut",
    "grow",
    "win",
    "end",
    "blow up",
    "learn about",
    "remember",
    "destroy",
    "burn",
    "catch",
    "hit",
    "steal a glance at",
    "photograph",
    "measure",
    "count",
    "clean",
    "execute",
    "break",
]
_ASK = (
    "what is a {t}?", "how do i {a} a {t}?", "who first thought of the {t}?", "why is there a {t}?",
    "what is the history of the {t}?", "how can i {a} the {t} in my game?", "when was the {t} made?",
    "where did the {t} happen?", "can you explain how to {a} a {t}?", "what is the best way to {a} a {t} in a story?",
    "should a {t} {a} another {t}?", "what does it mean to {a} a {t}?", "which {t} is the largest?",
    "where can i see a {t} and a {t2}?", "how did people {a} the {t} long ago?", "why do we have no {t} for the {t2}?",
)  # fmt: skip


def outside(draw: random.Random) -> str:
    """A harmless question that has nothing to do with the shop, often with words that sound dangerous."""
    return draw.choice(_ASK).format(t=draw.choice(_THINGS), t2=draw.choice(_THINGS), a=draw.choice(_ACTS))
