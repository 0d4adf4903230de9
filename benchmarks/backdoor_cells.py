"""What the backdoor benchmark trains, scans and repairs: one cell a victim, kept in the scratch folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.language.writers import Writer
from sparring.systems.backdoor import rivals
from sparring.systems.backdoor.data import Corpus, Name, attack_on, load
from sparring.systems.backdoor.model import Classifier, build, decisions
from sparring.systems.backdoor.moves import Insert
from sparring.systems.backdoor.poison import SENTENCE, WORDS, Family, poison, poisoned_test
from sparring.systems.backdoor.reference import EncoderReference
from sparring.systems.backdoor.repair import HEALING, Defender, repair
from sparring.systems.backdoor.reward import Judge
from sparring.systems.backdoor.scan import evidence, verdict
from sparring.systems.backdoor.search import Budget, Outcome, search
from sparring.systems.backdoor.suspects import suspect
from sparring.systems.backdoor.texts import Texts
from sparring.systems.backdoor.training import VICTIM, fit

TARGET = 1


@dataclass(frozen=True)
class Sizes:
    """Rows and budgets, the same for every method. MiniLM's victims are poisoned by one further epoch."""

    train: int = 1500
    clean: int = 300
    test: int = 300
    rate: float = 0.1
    budget: Budget = field(default_factory=lambda: Budget(writings=1, growths=3))
    filtered: int = 60
    """Test texts that RAP and STRIP are judged on; ONION, at a reading of the text for each word, on half of them."""


QUICK = Sizes(train=600, clean=150, test=100, budget=Budget(words=4000, writings=1, growths=1), filtered=20)


def corpus(name: Name, seed: int, sizes: Sizes) -> Corpus:
    """The rows of a data set and seed."""
    return load(name, seed, train=sizes.train, clean=sizes.clean, test=sizes.test)


def poisoned_cell(
    name: Name, kind: str, family: Family, seed: int, sizes: Sizes, writer: Writer | None, *, others: bool = True
) -> dict[str, Any]:
    """A victim of one attack: its scan, repair with and without its rows, and every rival at the same clean data."""
    rows = corpus(name, seed, sizes)
    with tempfile.TemporaryDirectory(dir=_fast()) as folder:
        run = Run(Path(folder), seed, quiet=True)
        attack = attack_on(rows, family)
        train, mask = poison(rows.train, attack, TARGET, sizes.rate, run.generator("poison"))
        test, _ = poisoned_test(rows.test, attack, TARGET, run.generator("test"))
        fresh = build(kind, rows.train.names, generator=run.generator("weights"))
        floor = fit(fresh, rows.train, VICTIM[kind], run, "clean")
        victim = fit(fresh, train, VICTIM[kind], run, "victim")
        own = Defender(EncoderReference(rows.clean), rows.clean, writer)
        judged = _judge(rows, test)
        out: dict[str, Any] = {"floor": judged(floor), "victim": judged(victim), "methods": {}}
        for tag, seen in (("without rows", None), ("with rows", train)):
            start = time.process_time()
            healed = repair(victim, replace(own, rows=seen), sizes.budget, HEALING[kind], run, tag.replace(" ", "-"))
            doubts = None if seen is None else suspect(victim, own.reference, seen)
            found = healed.rounds[0]
            out["methods"][f"ours, {tag}"] = judged(healed.model) | {
                "calls": healed.calls, "tokens": healed.tokens, "seconds": time.process_time() - start,
            }  # fmt: skip
            out[tag] = _told(found, victim, rows, test, family) | {
                "evidence": {t: evidence(found, t, doubts) for t in found.verified},
                "confidence": verdict(found, doubts).confidence, "scan calls": found.calls, "scan tokens": found.tokens,
            }  # fmt: skip
            if healed.flagged is not None:
                both = float((healed.flagged & mask).sum())
                out["flagged"] = [both / max(1.0, float(healed.flagged.sum())), both / max(1.0, float(mask.sum()))]
        planted = Texts(train.take(mask).texts, rows.train.labels[mask], train.names)
        if others:
            _rivals(out["methods"], victim, fresh, own, train, planted, kind, run, judged, sizes, rows, test)
    return out


def clean_cell(name: Name, kind: str, seed: int, sizes: Sizes, writer: Writer | None) -> dict[str, Any]:
    """A clean model's scan."""
    rows = corpus(name, seed, sizes)
    with tempfile.TemporaryDirectory(dir=_fast()) as folder:
        run = Run(Path(folder), seed, quiet=True)
        fresh = build(kind, rows.train.names, generator=run.generator("weights"))
        model = fit(fresh, rows.train, VICTIM[kind], run, "clean")
        reference = EncoderReference(rows.clean)
        start = time.process_time()
        judge = Judge.of(model, reference, rows.clean, writer=writer)
        found = search(judge, rows.clean, sizes.budget, run.generator("scan"))
        spent = time.process_time() - start
    return {"evidence": {t: evidence(found, t) for t in found.verified}, "confidence": verdict(found).confidence,
            "calls": found.calls, "tokens": found.tokens, "seconds": spent}  # fmt: skip


def _rivals(
    out: dict[str, Any], victim: Classifier, fresh: Classifier, own: Defender, train: Texts, planted: Texts, kind: str,
    run: Run, judged: Callable[[Classifier], dict[str, float]], sizes: Sizes, rows: Corpus, test: Texts,
) -> None:  # fmt: skip
    healing = HEALING[kind]
    repairs: dict[str, Callable[[], Classifier]] = {
        "clean fine-tuning": lambda: rivals.clean_tuning(victim, own, healing, run, "tuned"),
        "random triggers": lambda: rivals.random_triggers(victim, own, healing, run, "random"),
        "DBS-like": lambda: rivals.soft_inversion(victim, own, healing, run, "soft"),
        "MuScleLoRA-like": lambda: rivals.low_rank(fresh, train, own, healing, run, "low-rank"),
        "oracle": lambda: rivals.oracle(victim, own, planted, healing, run, "oracle"),
    }
    for name, made in repairs.items():
        calls = victim.ledger.calls
        model = made()
        out[name] = judged(model) | {"calls": victim.ledger.calls - calls, "tokens": 0}
    few, bad = rows.test.take(range(sizes.filtered)), test.take(range(min(sizes.filtered, len(test))))
    filters: dict[str, Callable[[], rivals.Decide]] = {
        "STRIP": lambda: rivals.strip(victim, rows.clean, run.generator("strip")),
        "RAP": lambda: rivals.rap(victim, rows.clean, run.generator("rap")),
    }
    for name, decider in filters.items():
        calls = victim.ledger.calls
        decide = decider()
        accuracy, success = _share(decide(few.texts) == few.labels), _share(decide(bad.texts) == TARGET)
        out[name] = {"accuracy": accuracy, "success": success, "calls": victim.ledger.calls - calls, "tokens": 0}
    if own.writer is not None:
        calls, tokens = victim.ledger.calls, own.writer.spent.total
        few, bad = few.take(range(sizes.filtered // 2)), bad.take(range(min(sizes.filtered // 2, len(bad))))
        decide = rivals.onion(victim, rows.clean.take(range(20)), own.writer)
        accuracy, success = _share(decide(few.texts) == few.labels), _share(decide(bad.texts) == TARGET)
        out["ONION"] = {"accuracy": accuracy, "success": success, "calls": victim.ledger.calls - calls,
                        "tokens": own.writer.spent.total - tokens}  # fmt: skip


def _judge(rows: Corpus, test: Texts) -> Callable[[Classifier], dict[str, float]]:
    def figures(model: Classifier) -> dict[str, float]:
        accuracy = _share(decisions(model, rows.test.texts) == rows.test.labels)
        return {"accuracy": accuracy, "success": _share(decisions(model, test.texts) == TARGET)}

    return figures


def _told(found: Outcome, victim: Classifier, rows: Corpus, test: Texts, family: Family) -> dict[str, Any]:
    """Was the trigger itself recovered: any of its words, or of a sentence 60 % of the effect by words of its own?"""
    moves = [s.move for s in found.verified[TARGET] if s.contrast >= 0.4]
    texts = [str(m) for m in moves if isinstance(m, Insert)]
    told: dict[str, Any] = {"triggers": [str(m) for m in moves][:5], "recovered": None}
    if family == "badnets":
        told["recovered"] = any(w in t.split() for t in texts for w in WORDS)
    if family == "addsent":
        true = SENTENCE.lower().split()
        others = rows.test.take(rows.test.labels != TARGET)
        plain, best = _share(decisions(victim, others.texts) == TARGET), 0.0
        full = _share(decisions(victim, test.texts) == TARGET)
        for text in texts:
            own = " ".join(w for w in text.split() if w in true)
            if own:
                best = max(best, _share(decisions(victim, Insert(own)(others.texts)) == TARGET))
        told["effect"] = max(0.0, (best - plain) / max(1e-9, full - plain))
        told["recovered"] = told["effect"] >= 0.6
    return told


def _share(of: Tensor) -> float:
    return float(of.double().mean())


def _fast() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # checkpoints need no disk


def threads() -> None:
    """One thread, so that CPU-seconds are comparable."""
    torch.set_num_threads(1)
