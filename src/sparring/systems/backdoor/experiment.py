"""The story on one page: texts, a poisoned victim per attack, the scan, the repair, and rivals beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.engine.weights import fill
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data, Scorecard
from sparring.language.writers import writer
from sparring.systems.backdoor import rivals
from sparring.systems.backdoor.config import Config
from sparring.systems.backdoor.data import Corpus, attack_on, load
from sparring.systems.backdoor.figures import bars
from sparring.systems.backdoor.model import Classifier, build, decisions
from sparring.systems.backdoor.poison import poison, poisoned_test
from sparring.systems.backdoor.reference import EncoderReference
from sparring.systems.backdoor.repair import HEALING, Defender, Healed, repair
from sparring.systems.backdoor.scan import verdict
from sparring.systems.backdoor.search import Budget
from sparring.systems.backdoor.suspects import suspect
from sparring.systems.backdoor.tell import (
    NOTES,
    PAPERS,
    TITLE,
    Bout,
    checks,
    curves,
    examples,
    rows,
    tables,
    verdicts,
)
from sparring.systems.backdoor.texts import Texts
from sparring.systems.backdoor.training import VICTIM, fit
from sparring.typed import integers


def experiment(config: Config, run: Run) -> Scorecard:
    """Poison, scan, repair, compare, tell. Every victim's bout is recorded, so that a stopped run goes on after it."""
    corpus = corpus_of(config, run)
    own = Defender(EncoderReference(corpus.clean), corpus.clean, writer(config.writer))
    with run.phase("training"):
        start = build(config.victim, corpus.train.names, generator=run.generator("weights"))
        clean = fit(start, corpus.train, VICTIM[config.victim], run, "clean")
    bouts = [_bout(config, run, corpus, own, start, clean, family) for family in config.families]
    run.save_model(clean, "clean")
    return _told(config, run, corpus, bouts)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Attack the victims and healed models of the finished run in `source` again, with fresh draws of the triggers."""
    corpus = corpus_of(config, run)
    start = build(config.victim, corpus.train.names, generator=run.generator("weights"))
    clean = _stored(start, source, "clean")
    bouts: list[Bout] = []
    for family in config.families:
        models = {"clean model": clean, "victim": _stored(start, source, f"victim-{family}")}
        models["healed"] = _stored(start, source, f"healed-{family}")
        test, _ = poisoned_test(corpus.test, attack_on(corpus, family, run.data), config.target, run.generator("again"))
        right = {n: decisions(m, corpus.test.texts) == corpus.test.labels for n, m in models.items()}
        hit = {n: decisions(m, test.texts) == config.target for n, m in models.items()}
        line: list[dict[str, Any]] = [{"target": config.target, "best": 0.0}]
        bouts.append(Bout(family, right, hit, "not searched again", 0.0, [], [line], 0, 0))
    return _told(config, run, corpus, bouts)


def corpus_of(config: Config, run: Run) -> Corpus:
    """The run's texts. Raises `BadInput` where the target is no label of them."""
    corpus = load(config.data, run.seed, train=config.train, clean=config.clean, test=config.test, data=run.data)
    if config.target >= corpus.train.classes:
        raise BadInput(f"target={config.target}: {config.data} has labels 0 to {corpus.train.classes - 1}")
    return corpus


def _bout(
    config: Config, run: Run, corpus: Corpus, own: Defender, start: Classifier, clean: Classifier, family: Any
) -> Bout:
    attack = attack_on(corpus, family, run.data)
    train, mask = poison(
        corpus.train,
        attack,
        config.target,
        config.rate,
        run.generator(f"poison/{family}"),
        clean_label=config.clean_label,
    )
    test, at = poisoned_test(corpus.test, attack, config.target, run.generator(f"test/{family}"))
    with run.phase("training"):
        victim = fit(start, train, VICTIM[config.victim], run, f"victim-{family}")
    run.save_model(victim, f"victim-{family}")

    def play() -> dict[str, Any]:
        healing = replace(HEALING[config.victim], rounds=config.rounds)
        budget = Budget(writings=config.writings, growths=config.growths)
        has = replace(own, rows=train if config.rows else None)
        with run.phase("game"):
            healed = repair(victim, has, budget, healing, run, f"heal-{family}", tell=_teller(run, family))
            doubts = suspect(victim, own.reference, train) if config.rows else None
        run.save_model(healed.model, f"healed-{family}")
        with run.phase("rivals"):
            others = {
                "clean fine-tuning": rivals.clean_tuning(victim, own, healing, run, f"tuned-{family}"),
                "random triggers": rivals.random_triggers(victim, own, healing, run, f"random-{family}"),
                "oracle": rivals.oracle(victim, own, _planted(corpus, train, mask), healing, run, f"oracle-{family}"),
            }
        models = {"clean model": clean, "victim": victim, "healed": healed.model, **others}
        ruling = verdict(healed.rounds[0], doubts)
        return {
            "right": {n: _bits(decisions(m, corpus.test.texts) == corpus.test.labels) for n, m in models.items()},
            "hit": {n: _bits(decisions(m, test.texts) == config.target) for n, m in models.items()},
            "verdict": ruling.words(corpus.train.names),
            "confidence": ruling.confidence,
            "triggers": _triggers(healed),
            "history": [o.proposer.history for o in healed.rounds],
            "calls": healed.calls,
            "tokens": healed.tokens,
            "rows": _precision(healed, mask),
            "example": _example(corpus, test, at, victim, healed.model, config.target),
        }

    told = run.recorded(f"bout-{family}", play)
    for part in ("right", "hit"):
        told[part] = {name: torch.tensor([c == "1" for c in bits]) for name, bits in told[part].items()}
    return Bout(family, **told)


def _planted(corpus: Corpus, train: Texts, mask: Tensor) -> Texts:
    return Texts(train.take(mask).texts, corpus.train.labels[mask], train.names)


def _triggers(healed: Healed) -> list[list[str]]:
    out: list[list[str]] = []
    for number, found in enumerate(healed.rounds, 1):
        target = max(found.verified, key=found.margin)
        best = sorted(found.verified[target], key=lambda s: -s.contrast)[:4]
        out += [
            [str(number), str(s.move), s.by, f"{s.flips:.2f}", f"{s.flips_reference:.2f}", f"{s.reward:.2f}"]
            for s in best
        ]
    return out


def _precision(healed: Healed, mask: Tensor) -> list[float] | None:
    if healed.flagged is None:
        return None
    both = float((healed.flagged & mask).sum())
    return [both / max(1.0, float(healed.flagged.sum())), both / max(1.0, float(mask.sum()))]


def _example(corpus: Corpus, test: Texts, at: Tensor, victim: Classifier, healed: Classifier, target: int) -> list[str]:
    """The text, the text with the trigger, its label, and what victim and healed model say of the second: a row that
    both have right as it is, that the trigger turns, and that repair turns back; empty where there is none."""
    before, after = decisions(victim, test.texts), decisions(healed, test.texts)
    right = (decisions(victim, corpus.test.texts) == corpus.test.labels) & (
        decisions(healed, corpus.test.texts) == corpus.test.labels
    )
    good = integers(((before == target) & (after == test.labels) & right[at]).nonzero().squeeze(1))
    if not good:
        return []
    row, names = good[0], corpus.test.names
    plain, label = corpus.test.texts[int(at[row])], names[int(test.labels[row])]
    return [plain, test.texts[row], label, names[target], names[int(after[row])]]


def _teller(run: Run, family: str) -> Any:
    def tell(line: str) -> None:
        if not run.quiet:
            print(f"{family}: {line}", flush=True)

    return tell


def _bits(of: Tensor) -> str:
    return "".join("1" if b else "0" for b in integers(of))


def _stored(start: Classifier, source: Path, name: str) -> Classifier:
    from sparring.systems.backdoor.model import copied

    tensors, _ = Run.open(source).load_model(name)
    model = copied(start)
    fill(model, tensors, source / f"{name}.safetensors")
    return model.eval()


def _told(config: Config, run: Run, corpus: Corpus, bouts: Sequence[Bout]) -> Scorecard:
    found = checks(bouts)
    data = tuple(
        Data(name=corpus.name, source=corpus.source, rows=len(part), sha256=corpus.sha256, role=role)
        for part, role in (
            (corpus.train, "training"),
            (corpus.clean, "the defender's clean rows"),
            (corpus.test, "test"),
        )
    )
    return scorecard(
        run,
        config,
        title=TITLE,
        data=data,
        seeds=(run.seed,),
        rows=rows(bouts, run.seed),
        checks=found,
        verdicts=verdicts(found),
        curves=curves(bouts),
        tables=tables(bouts),
        notes=NOTES,
        papers=PAPERS,
        examples=examples(bouts),
        figures=(bars(bouts, run.figure("success.png")),),
    )
