"""From what a run found to what people read: rows, checks, tables, curves, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Change, Check, Curve, Example, Row, Series, Table, Verdict

TITLE = "Backdoor: find a text model's trigger, then train it away"
PAPERS = (
    "Zhang, Gao, Jian, Tan, Zhou: BadLLM-TG: A Backdoor Defender powered by LLM Trigger Generator, arXiv 2603.15692 "
    "(from its abstract; the rest is reconstructed)",
    "Gu et al., BadNets; Dai et al., AddSent; Qi et al., Hidden Killer (SynBkd) and Mind the Style of Text! (StyleBkd)",
    "Yang et al., Large Language Models as Optimizers, ICLR 2024 (improvement through the prompt)",
)
NOTES = (
    "Attack success counts all test texts of other labels; the clean model's figure on the same texts is the zero.",
    "The reward, the game's rounds and all rivals are reconstructed: the papers' full texts were not at hand.",
    "SynBkd and StyleBkd on snippets, and SynBkd on AG News, are made by rules; SST-2 and StyleBkd on AG News use the "
    "published rewritings.",
    "A clean model has universal triggers too (words of the class); only what the reference does not follow counts.",
)


@dataclass(frozen=True)
class Bout:
    """One victim: decisions right `(n,)` bool on clean texts, and hits `(m,)` bool of the attack, by model.

    Models are "clean model", "victim", "healed" and rivals. `told` holds the verdict in words and figures of cost.
    """

    family: str
    right: dict[str, Tensor]
    hit: dict[str, Tensor]
    verdict: str
    confidence: float
    triggers: list[list[str]]
    history: list[list[dict[str, Any]]]
    calls: int
    tokens: int
    example: list[str] = field(default_factory=list[str])
    rows: list[float] | None = None
    """Precision and recall of the flagged training rows."""


def rows(bouts: Sequence[Bout], seed: int) -> tuple[Row, ...]:
    """Accuracy and attack success of every model against every attack."""
    out: list[Row] = []
    for name in ("clean model", "victim", "healed", *_rivals(bouts)):
        shown = [b for b in bouts if name in b.right]
        right = torch.cat([b.right[name] for b in shown])
        out.append(_row(name, "accuracy", right, seed, condition="clean"))
        for b in shown:
            told = {"adversary": b.family, "seen": False, "access": "adaptive", "higher_is_better": False}
            out.append(_row(name, "attack success", b.hit[name], seed, condition="adversary", **told))
    return tuple(out)


def _row(model: str, metric: str, found: Tensor, seed: int, **given: object) -> Row:
    est = statistics.proportion(found.numpy())
    told = {"model": model, "metric": metric, "value": est.value, "interval": est.interval, "n": len(found)}
    return Row.model_validate({**told, "seeds": (seed,), **given})


def checks(bouts: Sequence[Bout]) -> tuple[Check, ...]:
    """Did the attacks take, and did repair keep the accuracy?"""
    found: list[Check] = []
    for b in bouts:
        success, floor = share(b.hit["victim"]), share(b.hit["clean model"])
        found.append(
            Check(
                model="victim",
                name=f"{b.family} took",
                passed=success >= floor + 0.2,
                detail=f"attack success {success:.3f}, {floor:.3f} on the clean model",
            )
        )
        before, after = share(b.right["victim"]), share(b.right["healed"])
        found.append(
            Check(
                model="healed",
                name=f"accuracy kept, {b.family}",
                passed=after >= before - 0.05,
                detail=f"{after:.3f} after repair, {before:.3f} before",
            )
        )
    return tuple(found)


def verdicts(found: Sequence[Check]) -> tuple[Verdict, ...]:
    """Unreliable where a check failed; else an upper bound."""
    out: list[Verdict] = []
    for model in ("victim", "healed"):
        flags = tuple(c.name for c in found if c.model == model and not c.passed)
        out.append(Verdict(model=model, status="unreliable" if flags else "upper bound", flags=flags))
    return tuple(out)


def curves(bouts: Sequence[Bout]) -> tuple[Curve, ...]:
    """The generator's best reward over its rounds, first search of each victim, towards the best label."""
    series: list[Series] = []
    for b in bouts:
        lines = [line for line in b.history[0] if line["best"] is not None]
        target = max(lines, key=lambda line: line["best"])["target"]
        own = [line for line in lines if line["target"] == target]
        series.append(
            Series(
                label=b.family,
                x=tuple(float(i + 1) for i in range(len(own))),
                y=tuple(float(line["best"]) for line in own),
            )
        )
    return (
        Curve(
            title="Reward over the generator's rounds",
            x_label="round of one generator",
            y_label="best reward so far",
            series=tuple(series),
            note="In order: screening, gradient, rewriters, (mining,) then growth and the writer by turns.",
        ),
    )


def tables(bouts: Sequence[Bout]) -> tuple[Table, ...]:
    """Verdicts and costs, the triggers of every round, success before and after."""
    first = Table(
        title="Verdict and cost of each victim",
        columns=("attack", "verdict", "victim calls", "LM tokens", "rows flagged"),
        rows=tuple((b.family, b.verdict, f"{b.calls:,}", f"{b.tokens:,}", _flagged(b)) for b in bouts),
    )
    models = ["clean model", "victim", "healed", *_rivals(bouts)]
    second = Table(
        title="Attack success",
        columns=("attack", *models),
        rows=tuple((b.family, *(f"{share(b.hit[m]):.3f}" if m in b.hit else "" for m in models)) for b in bouts),
        note="The clean model's column is the others' natural zero; oracle knows the poisoned rows and their labels.",
    )
    third = Table(
        title="Triggers found, by round of the game",
        columns=("attack", "round", "trigger", "found by", "victim flips", "reference flips", "reward"),
        rows=tuple((b.family, *line) for b in bouts for line in (tuple(row) for row in b.triggers)),
    )
    return (first, second, third)


def examples(bouts: Sequence[Bout]) -> tuple[Example, ...]:
    """One poisoned text per attack, before and after repair."""
    out: list[Example] = []
    for b in bouts:
        if b.example:
            plain, poisoned, label, before, after = b.example
            out.append(
                Example(
                    title=b.family,
                    adversary=b.family,
                    changes=(Change(name="text", before=plain, after=poisoned),),
                    outcome=(("victim", label, before), ("healed", label, after)),
                )
            )
    return tuple(out)


def share(of: Tensor) -> float:
    """The share of True."""
    return float(of.double().mean())


def _rivals(bouts: Sequence[Bout]) -> list[str]:
    known = {"clean model", "victim", "healed"}
    return list(dict.fromkeys(m for b in bouts for m in b.right if m not in known))


def _flagged(bout: Bout) -> str:
    return "" if bout.rows is None else f"precision {bout.rows[0]:.2f}, recall {bout.rows[1]:.2f}"
