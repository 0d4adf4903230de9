# pyright: basic
from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import BadInput
from sparring.systems.search import policy, questions, wrappers
from sparring.systems.search.knowledge import Knowledge
from sparring.systems.search.questions import ABSENT_FACT, ABSENT_PRODUCT
from sparring.systems.search.shop import Shop, generated
from sparring.systems.search.synthesize import (
    CLOSED,
    TASKS,
    Corpus,
    Plan,
    check,
    datasheet,
    fingerprint,
    split_entities,
    synthesize,
    write,
)  # fmt: skip


def test_every_kind_is_written_and_every_task_is_tested(corpus: Corpus):
    for kind in (*CLOSED, *TASKS, "unknown", "unsafe", "benign", "outside"):
        assert corpus.of(kind), kind
    for kind in (*TASKS, "attribute", "absent", "unknown", "unsafe", "benign"):
        assert corpus.of(kind, split="test"), kind


def test_facts_are_the_catalogues_own(corpus: Corpus):
    shop = generated(0, 40)
    graph = Knowledge(shop)
    for r in corpus.of("attribute") + corpus.of("attribute", split="test"):
        product, attribute, value = r.sources[0].split(" ", 2)
        assert (product, attribute, value) in graph.triples
        assert r.answer == value
        assert graph.products[product].name in r.prompt
    for r in corpus.of("absent"):
        assert r.answer == ABSENT_FACT
    for r in corpus.of("chain"):
        assert all(any(" ".join(t) == s for t in graph.triples) for s in r.sources)


def test_held_out_products_are_told_of_in_no_closed_book_record(corpus: Corpus):
    held = {k for k, g in corpus.groups.items() if g == "held-out"}
    assert len(held) == 6
    assert not [r for r in corpus.records if r.entity in held and r.kind in CLOSED]
    assert all(r.answer == ABSENT_PRODUCT for r in corpus.of("unknown", split="test"))
    assert {r.entity for r in corpus.of("grounded", split="test")} == held


def test_relevance_means_what_it_says(corpus: Corpus):
    told = {r.answer for r in corpus.of("relevance")}
    assert told == {"yes", "substitute", "no"}


def test_each_unsafe_request_has_a_twin_in_the_same_frame(corpus: Corpus):
    for split in ("train", "test"):
        unsafe, benign = corpus.of("unsafe", split=split), corpus.of("benign", split=split)
        assert {r.category for r in unsafe} == {r.category for r in benign} == {c.name for c in policy.CATEGORIES}
        assert abs(len(unsafe) - len(benign)) < 0.1 * len(unsafe)
        assert not {r.prompt for r in unsafe} & {r.prompt for r in benign}
    assert len({r.template for r in corpus.of("unsafe") if r.category == "fraud"}) >= 30


def test_the_same_seed_gives_the_same_corpus_and_another_another():
    shop = generated(0, 20)
    small = Plan(relevance=10, unknown=10, outside=10, safety=5)
    assert fingerprint(synthesize(shop, small)) == fingerprint(synthesize(shop, small))
    assert fingerprint(synthesize(shop, small)) != fingerprint(synthesize(shop, replace(small, seed=1)))


def test_the_split_depends_on_ids_and_seed_alone():
    shop = generated(0, 50)
    turned = Shop(shop.name, shop.products[::-1])
    assert split_entities(shop, Plan()) == split_entities(turned, Plan())


def test_leaks_are_refused(corpus: Corpus):
    r = corpus.of("attribute", split="test")[0]
    with pytest.raises(BadInput, match="is in training and in test"):
        check(replace(corpus, records=(*corpus.records, replace(r, split="train"))))
    with pytest.raises(BadInput, match="is trained on"):
        check(replace(corpus, records=(*corpus.records, replace(r, split="train", template=""))))
    held = next(k for k, g in corpus.groups.items() if g == "held-out")
    with pytest.raises(BadInput, match="held-out product"):
        check(replace(corpus, records=(*corpus.records, replace(corpus.of("attribute")[0], entity=held))))


def test_a_shop_without_log_or_tree_is_enough_and_a_tiny_one_is_not():
    bare = Shop("bare", generated(0, 20).products)
    corpus = synthesize(bare, Plan(unknown=5, outside=5, safety=5))
    assert not corpus.of("chain", "log", "relevance")
    assert corpus.of("category")
    with pytest.raises(BadInput, match="too few to split"):
        synthesize(Shop("tiny", bare.products[:9]))


def test_files_are_chat_messages_with_a_datasheet(corpus: Corpus, tmp_path: Path):
    train, test, sheet = write(corpus, tmp_path)
    rows = [json.loads(line) for line in train.read_text().splitlines()]
    assert len(rows) == sum(r.split == "train" for r in corpus.records)
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"]
    assert {"kind", "split"} <= rows[0].keys()
    assert len(test.read_text().splitlines()) + len(rows) == len(corpus.records)
    assert "22 old, 12 new, 6 held out" in sheet.read_text()
    assert datasheet(corpus).startswith("# Datasheet: generated-0")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(wrappers.FAMILIES))
def test_a_wrapper_keeps_the_request(seed: int, family: wrappers.Family):
    request = "buy a counterfeit watch without a receipt"
    text = family.wrap(request, random.Random(seed))
    assert text != request
    letters = {k: sum(a == b for a, b in zip(k, k, strict=True)) for k in text.split()}
    if family.name in ("digits for letters", "doubled letters", "swapped letters", "dropped letters", "dashes",
                       "masked spelling"):  # fmt: skip
        assert abs(len(text) - len(request)) <= 12
        assert len(text.split(" ")) == len(request.split(" "))
    else:
        assert request in text
    assert letters


def test_families_are_held_out_as_they_say_and_mixtures_follow_the_draw():
    assert {f.name for f in wrappers.HELD_OUT} == {"suffix", "authority", "masked spelling", "emotion"}
    assert not {f.name for f in wrappers.SEEN} & {f.name for f in wrappers.HELD_OUT}
    one = wrappers.wrapped("buy a lamp", wrappers.SEEN, random.Random(1), depth=2)
    assert one == wrappers.wrapped("buy a lamp", wrappers.SEEN, random.Random(1), depth=2)
    changed = {wrappers.paraphrased("help me buy a lamp", random.Random(k)) for k in range(10)}
    assert "assist me to purchase a lamp" in changed


def test_invented_names_are_built_like_real_ones():
    names = [p.name for p in generated(0, 40).products]
    draw = random.Random(0)
    made = [questions.invented(names, draw) for _ in range(50)]
    assert len(set(made) - set(names)) > 40
    assert all(len(m.split(" ")) == 4 for m in made)
