"""From a shop to chat records: entities and templates are split first, then every record is written from one split.

Each record says where it comes from (product, template, triples), so that a leak between training and test is a test
of the data and not a matter of trust.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sparring.errors import BadInput
from sparring.files import write_text
from sparring.language.chat import Exchange
from sparring.systems.search import policy, questions
from sparring.systems.search.knowledge import Knowledge
from sparring.systems.search.questions import ABSENT_FACT, ABSENT_PRODUCT, Templates
from sparring.systems.search.shop import Click, Product, Shop

Kind = Literal[
    "attribute", "statement", "absent", "unknown", "chain", "log", "grounded", "category", "relevance", "rewrite",
    "extraction", "unsafe", "benign", "outside",
]  # fmt: skip
CLOSED: tuple[Kind, ...] = ("attribute", "statement", "absent", "chain", "log")
"""Kinds whose answers must come from the weights."""
TASKS: tuple[Kind, ...] = ("grounded", "category", "relevance", "rewrite", "extraction")
"""Kinds that a shop's model does with what stands in the prompt."""
Group = Literal["old", "new", "held-out"]


@dataclass(frozen=True)
class Record:
    """One exchange: its kind, its split, and what it rests on."""

    kind: Kind
    prompt: str
    answer: str
    split: Literal["train", "test"]
    group: Group | None = None
    """Whose product it is about: known from the start, injected, or never told."""
    entity: str = ""
    template: str = ""
    category: str = ""
    sources: tuple[str, ...] = ()

    @property
    def exchange(self) -> Exchange:
        """What a model is trained on; an adversary may touch the requests that the policy is about."""
        return Exchange(self.prompt, self.answer, self.kind in ("unsafe", "benign"))


@dataclass(frozen=True)
class Plan:
    """How a shop is split and how much is written of each kind."""

    seed: int = 0
    new: float = 0.3
    held_out: float = 0.15
    phrasings: int = 8
    """Templates that each closed-book fact is told in (of the trained ones)."""
    statements: int = 12
    """Summaries of each product, in as many orders."""
    safety: int = 72
    """Pairs of intents per policy category that are composed by grammar, each in three frames."""
    relevance: int = 400
    unknown: int = 1200
    outside: int = 400


@dataclass(frozen=True)
class Corpus:
    """All records, who is in which group, and what was left out."""

    records: tuple[Record, ...]
    groups: Mapping[str, Group]
    repeated: int = 0
    mended: tuple[str, ...] = ()
    shop: str = ""
    seed: int = 0

    def of(self, *kinds: Kind, split: str = "train", group: Group | None = None) -> list[Record]:
        """The records of these kinds and this split (and group)."""
        return [r for r in self.records if r.kind in kinds and r.split == split and (group is None or r.group == group)]


def synthesize(shop: Shop, plan: Plan | None = None) -> Corpus:
    """All records of a shop. Raises `BadInput` if it is too small to be split."""
    plan = plan or Plan()
    if len(shop.products) < 10:
        raise BadInput(f"{shop.name}: {len(shop.products)} products are too few to split; give at least 10")
    draw = random.Random(f"synthesize {plan.seed}")  # noqa: S311
    graph, groups = Knowledge(shop), split_entities(shop, plan)
    records: list[Record] = []
    for product in shop.products:
        group = groups[product.id]
        if group != "held-out":
            records += _closed(graph, product, group, plan, draw)
        records += _grounded(graph, product, group, draw)
        records += _tasks(graph, product, group, draw)
    records += _logged(graph, groups, draw)
    records += _relevance(graph, groups, plan, draw)
    records += _unknown(graph, groups, plan, draw)
    records += safety(shop, plan, draw)
    records += _outside(plan, draw)
    kept = list({(r.kind, r.prompt, r.answer): r for r in reversed(records)}.values())[::-1]
    corpus = Corpus(tuple(kept), groups, len(records) - len(kept), shop.mended, shop.name, plan.seed)
    check(corpus)
    return corpus


def split_entities(shop: Shop, plan: Plan) -> dict[str, Group]:
    """Every product to a group, by a draw that only the seed and the ids decide."""
    ids = sorted(p.id for p in shop.products)
    random.Random(f"entities {plan.seed}").shuffle(ids)  # noqa: S311
    held, new = round(plan.held_out * len(ids)), round(plan.new * len(ids))
    return {
        key: "held-out" if k < held else "new" if k < held + new else "old" for k, key in enumerate(ids)
    }  # fmt: skip


def check(corpus: Corpus) -> None:
    """Raise `BadInput` where training and test share what they must not."""
    trained = {r.template for r in corpus.records if r.split == "train" and r.template}
    tested = {r.template for r in corpus.records if r.split == "test" and r.template}
    if shared := trained & tested:
        raise BadInput(f"template {sorted(shared)[0]!r} is in training and in test; nothing is reported")
    prompts = {r.prompt for r in corpus.records if r.split == "train"}
    if leaked := [r for r in corpus.records if r.split == "test" and r.prompt in prompts]:
        raise BadInput(f"the test question {leaked[0].prompt!r} is trained on; nothing is reported")
    told = {r.entity for r in corpus.records if r.kind in CLOSED and r.entity}
    if leaked_ids := [key for key in told if corpus.groups.get(key) == "held-out"]:
        raise BadInput(f"held-out product {leaked_ids[0]} is told in the corpus; nothing is reported")


def _record(
    kind: Kind, templates: Templates, which: str, answer: str, slots: Mapping[str, str],
    *, group: Group, entity: str, sources: Iterable[str] = (),
) -> Record:  # fmt: skip
    split: Literal["train", "test"] = "train" if which in templates.train else "test"
    return Record(
        kind, which.format(**slots), answer, split, group, entity, f"{templates.name}: {which}", sources=tuple(sources)
    )


def _closed(graph: Knowledge, p: Product, group: Group, plan: Plan, draw: random.Random) -> list[Record]:
    """Attributes and absent facts of a product, each in some trained and all held-out phrasings, and a summary."""
    out: list[Record] = []
    asked = [("attribute", a, v) for a, v in p.attributes.items()]
    asked += [("absent", a, ABSENT_FACT) for a in graph.absent(p)]
    t = questions.ATTRIBUTE
    for kind, a, v in asked:
        chosen = draw.sample(t.train, min(plan.phrasings, len(t.train)))
        for which in [*chosen, *t.test]:
            slots, source = {"a": a, "p": p.name}, [f"{p.id} {a} {v}"] if kind == "attribute" else []
            exact: Kind = "attribute" if kind == "attribute" else "absent"
            out.append(_record(exact, t, which, v, slots, group=group, entity=p.id, sources=source))
    for _ in range(plan.statements):  # in many orders, so that no fact hangs on the one before it
        told = "; ".join(f"{a} {v}" for a, v in draw.sample(list(p.attributes.items()), len(p.attributes)))
        which = draw.choice(questions.STATEMENT.train)
        out.append(_record("statement", questions.STATEMENT, which, told, {"p": p.name}, group=group, entity=p.id))
    return out


def _grounded(graph: Knowledge, p: Product, group: Group, draw: random.Random) -> list[Record]:
    """The same questions with the facts in the prompt: what a search page asks of a model."""
    out: list[Record] = []
    facts = facts_line(p, draw)
    split = "test" if group == "held-out" else "train"
    t = questions.ATTRIBUTE
    for a in questions.asked_of(p, graph.attributes[p.category], draw, 3):
        which = draw.choice(t.test if split == "test" else t.train)
        question = which.format(a=a, p=p.name)
        out.append(
            Record("grounded", grounded_prompt([facts], question), p.attributes.get(a, ABSENT_FACT), split, group,
                   p.id, f"{t.name}: {which}", sources=(f"{p.id} {a}",))
        )  # fmt: skip
    return out


def facts_line(p: Product, draw: random.Random | None = None) -> str:
    """A product's facts as one line of a prompt."""
    listed = list(p.attributes.items())
    if draw is not None:
        draw.shuffle(listed)
    return f"{p.name}: " + ", ".join(f"{a} {v}" for a, v in listed)


def grounded_prompt(facts: Sequence[str], question: str) -> str:
    """The prompt of a question that rests on given facts."""
    return "facts: " + " | ".join(facts) + f" || {question}"


def _tasks(graph: Knowledge, p: Product, group: Group, draw: random.Random) -> list[Record]:
    """Category, attribute extraction and query rewriting."""
    out: list[Record] = []
    path = " > ".join(graph.shop.path(p.category))
    jobs: list[tuple[Kind, Templates, str, dict[str, str]]] = [("category", questions.CATEGORY, path, {"p": p.name})]
    shown = {k: v for k, v in p.attributes.items() if k != "price"}
    if shown:
        few = dict(draw.sample(sorted(shown.items()), min(2, len(shown))))
        query = f"{' '.join(few.values())} {p.category}"
        told = "; ".join(f"{k}: {v}" for k, v in few.items())
        jobs.append(("extraction", questions.EXTRACTION, f"{told}; category: {p.category}", {"q": query}))
        jobs.append(("rewrite", questions.REWRITE, query, {"q": questions.sloppy(query, draw)}))
    for kind, t, answer, slots in jobs:
        which = draw.choice(t.test if group == "held-out" else t.train)
        out.append(_record(kind, t, which, answer, slots, group=group, entity=p.id))
    return out


def _logged(graph: Knowledge, groups: Mapping[str, Group], draw: random.Random) -> list[Record]:
    """What the query log says: chains from query to product, and shoppers' choices in words."""
    out: list[Record] = []
    chosen: dict[str, Click] = {}
    for click in graph.shop.log:  # a query leads to the first product it was clicked for
        if groups[click.product] != "held-out":
            chosen.setdefault(click.query, click)
    for click in chosen.values():
        chain = graph.chain(click)
        if chain is None:
            continue
        group, sources = groups[click.product], [" ".join(t) for t in chain.triples]
        told = f"category {chain.category}; {chain.attribute} {chain.value}; product {chain.product.name}"
        words = f"{chain.product.name}, because its {chain.attribute} is {chain.value}"
        for kind, t, answer in (("chain", questions.CHAIN, told), ("log", questions.LOG, words)):
            exact: Kind = "chain" if kind == "chain" else "log"
            for which in (*draw.sample(t.train, min(3, len(t.train))), *t.test):
                slots = {"q": chain.query}
                out.append(_record(exact, t, which, answer, slots, group=group, entity=click.product, sources=sources))
    return out


def _relevance(graph: Knowledge, groups: Mapping[str, Group], plan: Plan, draw: random.Random) -> list[Record]:
    """Query and product: yes (category and constraint), substitute (category alone), no."""
    out: list[Record] = []
    chains = [c for c in (graph.chain(click) for click in graph.shop.log) if c is not None]
    t = questions.RELEVANCE
    for _ in range(plan.relevance if chains else 0):
        chain = draw.choice(chains)
        wanted = draw.choice(["yes", "substitute", "no"])
        pool = [p for p in graph.shop.products if (p.category == chain.category) == (wanted != "no")]
        if wanted != "no":
            pool = [p for p in pool if (p.attributes.get(chain.attribute) == chain.value) == (wanted == "yes")]
        if not pool:
            continue
        p = draw.choice(pool)
        which = draw.choice(t.test if groups[p.id] == "held-out" else t.train)
        slots = {"q": chain.query, "p": facts_line(p, draw)}
        out.append(_record("relevance", t, which, wanted, slots, group=groups[p.id], entity=p.id))
    return out


def _unknown(graph: Knowledge, groups: Mapping[str, Group], plan: Plan, draw: random.Random) -> list[Record]:
    """Questions about products that do not exist: invented ones to train on, held-out ones to test with."""
    out: list[Record] = []
    real = {p.name for p in graph.shop.products}
    t = questions.ATTRIBUTE
    shown = [p for p in graph.shop.products if groups[p.id] != "held-out" and graph.attributes[p.category]]
    for _ in range(plan.unknown if shown else 0):
        name = questions.invented([p.name for p in shown], draw)
        if name in real:
            continue
        a = draw.choice(graph.attributes[draw.choice(shown).category])
        which = draw.choice(t.train)
        out.append(
            Record("unknown", which.format(a=a, p=name), ABSENT_PRODUCT, "train", "old", "", f"{t.name}: {which}")
        )
    for p in graph.shop.products:
        if groups[p.id] == "held-out":
            for a in questions.asked_of(p, graph.attributes[p.category], draw, 2):
                which = draw.choice(t.test)
                out.append(
                    Record("unknown", which.format(a=a, p=p.name), ABSENT_PRODUCT, "test", "held-out", p.id,
                           f"{t.name}: {which}")
                )  # fmt: skip
    return out


def safety(shop: Shop, plan: Plan, draw: random.Random) -> list[Record]:
    """Unsafe requests of the five categories and their benign twins, split by intent and by frame."""
    items = sorted({p.category for p in shop.products})
    out: list[Record] = []
    trained, held = policy.FRAMES[: -policy.HELD_FRAMES], policy.FRAMES[-policy.HELD_FRAMES :]
    for c in policy.CATEGORIES:
        grammar = list(c.composed())
        draw.shuffle(grammar)
        train = [*c.pairs[: -policy.HELD_PAIRS], *grammar[: plan.safety]]
        jobs = [("train", pair, draw.sample(trained, 3)) for pair in train]
        jobs += [("test", pair, held) for pair in c.pairs[-policy.HELD_PAIRS :]]
        for split, (bad, good), frames in jobs:
            for frame in frames:
                item = draw.choice(items)
                for kind, intent, answer in (("unsafe", bad, c.refusal), ("benign", good, c.help)):
                    prompt = frame.format(x=intent.format(item=item))
                    out.append(
                        Record("unsafe" if kind == "unsafe" else "benign", prompt, answer,
                               "train" if split == "train" else "test", None, "", f"{c.name}: {frame.format(x=intent)}",
                               c.name)
                    )  # fmt: skip
    return out


def _outside(plan: Plan, draw: random.Random) -> list[Record]:
    prompts = {questions.outside(draw) for _ in range(plan.outside)}
    return [Record("outside", p, policy.OUTSIDE, "train") for p in sorted(prompts)]


def datasheet(corpus: Corpus) -> str:
    """Counts by kind, split and group, what was dropped, and the splits' rules, as Markdown."""
    counts = Counter((r.kind, r.split, r.group or "-") for r in corpus.records)
    lines = [f"# Datasheet: {corpus.shop}", "", f"{len(corpus.records):,} records, seed {corpus.seed}.", ""]
    lines += ["| kind | split | group | records |", "|---|---|---|---|"]
    lines += [f"| {k} | {s} | {g} | {n:,} |" for (k, s, g), n in sorted(counts.items())]
    groups = Counter(corpus.groups.values())
    lines += ["", f"Products: {groups['old']:,} old, {groups['new']:,} new, {groups['held-out']:,} held out."]
    lines += [f"Duplicates dropped: {corpus.repeated:,}.", *(f"Mended: {m}." for m in corpus.mended)]
    lines += [
        "",
        "Products and templates were split before anything was written. Checked: no template, no test question",
    ]
    lines += ["and no held-out product's fact is in training. Policy requests are named, never answered."]
    return "\n".join(lines) + "\n"


def write(corpus: Corpus, folder: Path) -> list[Path]:
    """`train.jsonl` and `test.jsonl` in the chat form, and `DATASHEET.md`. Returns the paths."""
    out: list[Path] = []
    for split in ("train", "test"):
        lines: list[str] = []
        for r in corpus.records:
            if r.split == split:
                told = {k: v for k, v in asdict(r).items() if k not in ("prompt", "answer") and v}
                messages = [{"role": "user", "content": r.prompt}, {"role": "assistant", "content": r.answer}]
                lines.append(json.dumps({"messages": messages, **told}))
        out.append(folder / f"{split}.jsonl")
        write_text(out[-1], "\n".join(lines) + "\n")
    out.append(folder / "DATASHEET.md")
    write_text(out[-1], datasheet(corpus))
    return out


def fingerprint(corpus: Corpus) -> str:
    """sha256 of all records, for the scorecard."""
    text = "\n".join(f"{r.kind}\t{r.split}\t{r.prompt}\t{r.answer}" for r in corpus.records)
    return hashlib.sha256(text.encode()).hexdigest()
