"""The story on one page: write the data, teach a base, inject new products, align without and with an adversary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as File

from torch import Tensor

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard, Verdict
from sparring.language.chat import Chat
from sparring.language.packaged import smollm
from sparring.language.small import llama, tokenizer
from sparring.systems.search import align, data, exam, inject, store, tell
from sparring.systems.search.config import Config
from sparring.systems.search.exam import Marks, Papers
from sparring.systems.search.synthesize import CLOSED, TASKS, Corpus, Plan, synthesize
from sparring.systems.search.training import Tuning, tune

SYSTEM = "you are the search assistant of a shop."
RADII = (0.0, 0.3, 1.0)


@dataclass(frozen=True)
class Bout:
    """One seed: what was written, what each way of injecting knows, and the marks of both alignments."""

    corpus: Corpus
    papers: Papers
    injected: dict[str, Marks]
    aligned: dict[str, Marks]
    shifted: dict[str, list[Tensor]]


def experiment(config: Config, run: Run) -> Scorecard:
    """Play the whole story on every seed and tell what came out."""
    seeds = tuple(range(run.seed, run.seed + config.seeds))
    bouts = [bout(config, run, seed) for seed in seeds]
    return _told(config, run, seeds, bouts)


def evaluate(config: Config, run: Run, source: File) -> Scorecard:
    """Examine the stored models of a finished run again, on its last seed."""
    seed = run.seed + config.seeds - 1
    corpus, papers = prepared(config, run, seed)
    models = {name: Chat.load(source / name, _system(config)) for name in ("plain", "model")}
    named = {"without path B": models["plain"], "with path B": models["model"]}
    return _told(config, run, (seed,), [_examined(config, run, seed, corpus, papers, named, {})])


def prepared(config: Config, run: Run, seed: int) -> tuple[Corpus, Papers]:
    """The corpus of a seed and the questions that every model is asked."""
    corpus = synthesize(data.load(config.data, seed, config.products, run.data), Plan(seed=seed))
    try:
        general = data.safe_prompts(run.data)
    except BadInput:  # told in the report: XSTest is the user's own copy
        general = ()
    return corpus, Papers.of(corpus, seed, general=general)


def base(config: Config, corpus: Corpus, run: Run, name: str) -> Chat:
    """The model to start from: trained from scratch on the old products and plain refusals, or the packaged one."""
    if config.model == "smollm2":
        return Chat.load(smollm(), SYSTEM)
    words = tokenizer(r.prompt + " " + r.answer for r in corpus.records if r.split == "train")
    chat = llama(words, generator=run.generator(f"weights/{name}"))
    given = align.sources(corpus, align.PLAIN, group="old", safety=0.28)
    return tune(chat, given, Tuning(config.base_steps, 2e-3, config.batch), run, name)


def injected(config: Config, chat: Chat, corpus: Corpus, method: inject.Method, run: Run, name: str) -> Chat:
    """The base with the new products, by one method; what the base was taught is replayed."""
    new = [r.exchange for r in corpus.of(*CLOSED, group="new")]
    old = [r.exchange for r in corpus.of(*CLOSED, *TASKS, group="old")]
    old += [r.exchange for r in corpus.of("unknown", "outside", "unsafe", "benign")]
    rate = config.rate if method != "full" else config.rate / 2
    plan = Tuning(config.inject_steps, rate, config.batch)
    return inject.inject(chat, new, old, method, plan, run, name, every=config.every, replay=config.replay)


def _system(config: Config) -> str | None:
    return SYSTEM if config.model == "smollm2" else None


def bout(config: Config, run: Run, seed: int) -> Bout:
    """One seed of the story; what a killed run had trained is not trained again."""
    corpus, papers = prepared(config, run, seed)
    with run.phase("base"):
        start = base(config, corpus, run, f"base-{seed}")
    found: dict[str, Marks] = {"base": exam.knowledge(start, papers)}
    models: dict[str, Chat] = {}
    with run.phase("injection"):
        for method in inject.METHODS if config.rivals else ("expansion",):
            models[method] = injected(config, start, corpus, method, run, f"{method}-{seed}")
            found[method] = exam.knowledge(models[method], papers)
    with run.phase("alignment"):
        plan = Tuning(config.align_steps, config.rate / 2, config.batch)
        path = replace(align.ADVERSARIAL, radius=config.radius)
        grown = models["expansion"]
        both = {
            "without path B": align.align(grown, corpus, align.PLAIN, plan, run, f"plain-{seed}"),
            "with path B": align.align(grown, corpus, path, plan, run, f"adversarial-{seed}"),
        }
    shop = data.load(config.data, seed, config.products, run.data)
    store.save(
        run.folder, both["with path B"], both["without path B"], corpus, shop,
        facts_in_prompt=config.model == "smollm2",
    )  # fmt: skip
    return _examined(config, run, seed, corpus, papers, both, found)


def _examined(
    config: Config,
    run: Run,
    seed: int,
    corpus: Corpus,
    papers: Papers,
    models: dict[str, Chat],
    found: dict[str, Marks],
) -> Bout:
    with run.phase("evaluation"):
        marks = {
            name: exam.everything(chat, papers, seed, requests=config.requests, budget=config.budget)
            for name, chat in models.items()
        }
        asked = corpus.of("unsafe", split="test")[:12]
        moved = {
            name: exam.shifted(chat, asked, RADII, run.generator(f"shift/{seed}")) for name, chat in models.items()
        }
    return Bout(corpus, papers, found, marks, moved)


def _told(config: Config, run: Run, seeds: tuple[int, ...], bouts: Sequence[Bout]) -> Scorecard:
    last = bouts[-1]
    return scorecard(
        run,
        config,
        title=tell.TITLE,
        data=tell.data_records(config.data, last.corpus, last.papers),
        seeds=seeds,
        rows=tell.rows([b.injected for b in bouts], [b.aligned for b in bouts], seeds, config.budget),
        verdicts=tuple(Verdict(model=name, status="upper bound") for name in last.aligned),
        curves=tell.curves(last.shifted, RADII),
        tables=tell.tables(last.injected, last.aligned, last.papers),
        notes=tell.notes(bool(last.papers.general)),
        papers=tell.PAPERS,
    )
