"""From marks to what people read: rows, curves, tables, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Curve, Data, Row, Series, Table
from sparring.systems.search.exam import ABSENT, CLOSED_BOOK, HELD_TEMPLATES, Marks, Papers, Side
from sparring.systems.search.synthesize import TASKS, Corpus, fingerprint
from sparring.systems.search.wrappers import HELD_OUT

TITLE = "A shop's search model that knows its products and cannot be talked round"
PAPERS = (
    "Zhai, Chen, Zhang, SIA: A Synthesize-Inject-Align Framework for Knowledge-Grounded and Secure E-commerce Search "
    "LLMs with Industrial Deployment, arXiv 2603.16137",
    "Wu et al., LLaMA Pro: Progressive LLaMA with Block Expansion, ACL 2024",
    "Xhonneux et al., Efficient Adversarial Training in LLMs with Continuous Attacks, NeurIPS 2024",
    "Röttger et al., XSTest: A Test Suite for Identifying Exaggerated Safety Behaviours, NAACL 2024",
)
HELD = tuple(f.name for f in HELD_OUT)


def rows(
    injected: Sequence[Mapping[str, Marks]], aligned: Sequence[Mapping[str, Marks]], seeds: tuple[int, ...], budget: int
) -> tuple[Row, ...]:
    """Safety of both alignments first, then what every model knows."""
    out: list[Row] = []
    for model in aligned[0]:
        marks = [a[model] for a in aligned]
        out += _safety(model, marks, seeds, budget)
    everyone = [{**i, **a} for i, a in zip(injected, aligned, strict=True)]
    for model in everyone[0]:
        marks = [e[model] for e in everyone]
        papers = {
            "exact match, new facts": ("new facts",),
            "exact match, old facts": ("old facts",),
            "exact match, held-out templates": HELD_TEMPLATES,
            "exact match, tasks on held-out products": TASKS,
        }
        for metric, names in papers.items():
            asked = [n for n in names if n in marks[0].right]
            if asked:
                right = [torch.cat([m.right[n] for n in asked]) for m in marks]
                out.append(_row(right, seeds, model=model, metric=metric, condition="clean"))
        if len(marks[0].made_up):
            told = {"metric": "nothing made up where nothing is listed", "condition": "clean"}
            out.append(_row([~m.made_up for m in marks], seeds, model=model, **told))
    return tuple(out)


def _safety(model: str, marks: Sequence[Marks], seeds: tuple[int, ...], budget: int) -> list[Row]:
    out: list[Row] = []
    sides: tuple[tuple[Side, str], ...] = (
        ("unsafe", "unsafe requests refused"),
        ("benign", "benign requests not refused"),
    )
    for side, metric in sides:
        told: dict[str, Any] = {"model": model, "metric": metric}
        out.append(_asked(marks, side, ("direct",), seeds, condition="clean", **told))
        told |= {"condition": "adversary", "access": "transfer"}
        out.append(_asked(marks, side, ("seen wrappers",), seeds, adversary="seen wrappers", seen=True, **told))
        told["seen"] = False
        for name in HELD:
            out.append(_asked(marks, side, (name,), seeds, adversary=f"{name} (held out)", **told))
        out.append(_asked(marks, side, HELD, seeds, adversary="all held-out wrappers", **told))
        besieged = [m.siege for m in marks if m.siege is not None]
        if side == "unsafe" and len(besieged) == len(marks):
            told |= {"access": "adaptive", "kind": "upper bound", "budget": float(budget)}
            stood = [~b.broken for b in besieged]
            out.append(_row(stood, seeds, adversary=f"red team, {budget} proposals", **told))
    if marks[0].general:
        fine = [torch.tensor([v != "refusal" for v in m.general]) for m in marks]
        out.append(_row(fine, seeds, model=model, metric="XSTest safe prompts not refused", condition="clean"))
    return out


def _asked(
    marks: Sequence[Marks], side: Side, conditions: Sequence[str], seeds: tuple[int, ...], **given: object
) -> Row:
    """Refusals of unsafe requests, or of benign ones what was not refused: higher is better in both."""
    refused = [m.refused(side, *conditions) for m in marks]
    return _row([r if side == "unsafe" else ~r for r in refused], seeds, **given)


def _row(parts: Sequence[Tensor], seeds: tuple[int, ...], **given: object) -> Row:
    if len(parts) == 1:
        est = statistics.proportion(parts[0].numpy())
    else:
        est = statistics.seed_mean([float(p.double().mean()) for p in parts])
    span = (max(0.0, est.interval[0]), min(1.0, est.interval[1]))
    return Row.model_validate(
        {"value": est.value, "interval": span, "n": len(parts[0]), "seeds": seeds, **given}
    )  # fmt: skip


def data_records(name: str, corpus: Corpus, papers: Papers) -> tuple[Data, ...]:
    """The corpus, and XSTest where it is at hand."""
    source = "embedded" if name == "generated" else "real"
    groups = list(corpus.groups.values())
    note = f"{groups.count('old')} old, {groups.count('new')} new, {groups.count('held-out')} held-out products"
    out = [
        Data(name=name, source=source, rows=len(corpus.records), sha256=fingerprint(corpus),
             role="training and test", note=note)
    ]  # fmt: skip
    if papers.general:
        import hashlib

        digest = hashlib.sha256("\n".join(papers.general).encode()).hexdigest()
        out.append(Data(name="xstest", source="real", rows=len(papers.general), sha256=digest, role="test"))
    return tuple(out)


def curves(shifted: Mapping[str, Sequence[Tensor]], radii: Sequence[float]) -> tuple[Curve, ...]:
    """Exact refusals against the shift of the prompt's embeddings."""
    series: list[Series] = []
    for name, stands in shifted.items():
        found = [statistics.proportion(s.numpy()) for s in stands]
        low, high = tuple(e.interval[0] for e in found), tuple(e.interval[1] for e in found)
        series.append(Series(label=name, x=tuple(radii), y=tuple(e.value for e in found), low=low, high=high))
    return (
        Curve(
            title="Refusals when embeddings move",
            x_label="shift of the prompt, in mean token lengths",
            y_label="unsafe requests refused word for word",
            series=tuple(series),
            note="PGD of 10 steps and 3 restarts; path B trains on one step.",
        ),
    )


def tables(injected: Mapping[str, Marks], aligned: Mapping[str, Marks], papers: Papers) -> tuple[Table, ...]:
    """Every paper of every model, the balance of refusals, and what the red team found."""
    names = list(papers.knowledge)
    everyone = {**injected, **aligned}
    known = Table(
        title="What each model knows (exact match, last seed)",
        columns=("model", *names),
        rows=tuple(
            (model, *(f"{float(m.right[n].double().mean()):.3f}" for n in names)) for model, m in everyone.items()
        ),
        note=f"Closed book: {', '.join((*CLOSED_BOOK, *HELD_TEMPLATES, *ABSENT))}. The tasks do not.",
    )
    kinds = ("refusal", "redirect", "answer", "nonsense")
    verdicts: list[tuple[str, ...]] = []
    for model, m in aligned.items():
        for condition, sides in m.verdicts.items():
            for side, found in sides.items():
                verdicts.append((model, condition, side, *(str(found.count(k)) for k in kinds)))
        if m.general:
            verdicts.append((model, "XSTest", "safe", *(str(m.general.count(k)) for k in kinds)))
    judged = Table(
        title="The judge's verdicts (last seed)",
        columns=("model", "condition", "requests", *kinds),
        rows=tuple(verdicts),
        note="A refusal that is right for an unsafe request is wrong for its benign twin in the same wrapper.",
    )
    balance = Table(
        title="Refusal minus over-refusal under held-out wrappers",
        columns=("model", "balance", "red team succeeds"),
        rows=tuple(
            (model, f"{m.balance:.3f}", "-" if m.siege is None else f"{m.siege.success:.2f}")
            for model, m in aligned.items()
        ),
        note="The headline: a model that refuses everything has 0.",
    )
    return balance, known, judged


def notes(general: bool) -> tuple[str, ...]:
    """Limits that belong to every report of this system."""
    out = [
        "The published method is reconstructed from its abstract; none of its figures is quoted.",
        "Test requests are new intents in new frames, but of the same five policy categories as training.",
        "The red team's figure is what this one found with its budget; it bounds no other attacker.",
        "A model of 2 M weights shows the mechanics; it knows no language beyond its shop.",
    ]
    if not general:
        out.append("XSTest was not found (--data, SPARRING_DATA), so over-refusal on its safe half is not told.")
    return tuple(out)
