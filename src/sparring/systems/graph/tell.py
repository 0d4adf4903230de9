"""From strikes and certificates to what people read: rows and curves."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Curve, Data, Row, Series
from sparring.systems.graph.audit import Findings
from sparring.systems.graph.certificate import Certificate
from sparring.systems.graph.clipflow import ClipFlow, Pull, energy, gradient, solve
from sparring.systems.graph.flows import Flow
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.solvers import Solver
from sparring.systems.graph.sparse import Incidence
from sparring.systems.graph.training import Scene

TITLE = "Graph neural flows that stay stable under attack, with a certificate"
PAPERS = (
    "Chu, Chen, Zhou, Cui, Zhao, Wei, Kang, Lyapunov Stable Graph Neural Flow, arXiv 2603.12557",
    "Geisler et al., Robustness of Graph Neural Networks at Scale, NeurIPS 2021",
    "Kolter, Manek, Learning Stable Deep Dynamics Models, NeurIPS 2019",
)
NOTES = (
    "The published method is reconstructed from its abstract and its ancestors; none of its figures is quoted.",
    "A Lyapunov function bounds how fast states shrink, not which class they point to: alone it defends nothing.",
    "Attacks are joint moves, so a robust figure is the lowest accuracy over all moves, own and borrowed.",
    "The certificate speaks of changes after training; poisoned training graphs are another matter.",
    "Read every robust figure beside the row of mlp, which sees no edges and cannot be moved by them.",
)
CHANGES = (1, 2, 3, 5)

Proved = tuple[Certificate, Tensor, Tensor]


def rows(
    found: Sequence[Findings], proofs: Sequence[Proved], budgets: Sequence[float], seeds: tuple[int, ...]
) -> tuple[Row, ...]:
    """Clean, the worst move at each budget, the worst injection, and the certified shares."""
    out: list[Row] = []
    for name in found[0].clean:
        out.append(_row([f.clean[name] for f in found], seeds, model=name, condition="clean"))
        for budget in budgets:
            worst = [f.worst(name, budget) for f in found]
            told = {"adversary": f"worst at {budget:.0%} of the edges", "budget": budget, "seen": False}
            out.append(_row([w.right for w in worst], seeds, model=name, **_attacked(told)))
        for kind, words in (("injection", "worst node injection"), ("feature", "feature pgd")):
            struck = [f.worst(name, None, kind=kind) for f in found]
            if all(s.foe != "none" for s in struck):
                told = {"adversary": words, "seen": False}
                out.append(_row([s.right for s in struck], seeds, model=name, **_attacked(told)))
    for d in CHANGES:
        parts = [right & proof.holds(d)[test] for proof, right, test in proofs]
        told = {"adversary": f"any, {d} changed edges at every node", "kind": "certified", "budget": float(d)}
        out.append(_row(parts, seeds, model="clipflow", condition="adversary", **told))
    return tuple(out)


def _attacked(told: Mapping[str, object]) -> dict[str, object]:
    return {"condition": "adversary", "access": "adaptive", "kind": "upper bound", **told}


def _row(parts: Sequence[Tensor], seeds: tuple[int, ...], **given: object) -> Row:
    if len(parts) == 1:
        est = statistics.proportion(parts[0].numpy())
    else:
        est = statistics.seed_mean([float(p.double().mean()) for p in parts])
    span = (max(0.0, est.interval[0]), min(1.0, est.interval[1]))
    return Row.model_validate(
        {"metric": "accuracy", "value": est.value, "interval": span, "n": len(parts[0]), "seeds": seeds, **given}
    )


def data_records(graph: Graph, name: str) -> tuple[Data, ...]:
    """The graph, with what was mended in it."""
    source = "embedded" if name in ("digits", "blocks", "karate") else "real"
    note = f"{graph.m:,} edges, homophily {graph.homophily:.2f}" + "".join(f"; {m}" for m in graph.mended)
    return (Data(name=name, source=source, rows=graph.n, sha256=graph.sha256(), role="training and test", note=note),)


def curves(
    found: Findings,
    models: Mapping[str, nn.Module],
    scene: Scene,
    proof: Certificate,
    right: Tensor,
    budgets: Sequence[float],
) -> tuple[Curve, ...]:
    """Accuracy against the budget, certified shares, V(t), and accuracy by degree at the middle budget."""
    drawn: list[Curve] = []
    if found.strikes:
        drawn.append(_budget_curve(found, budgets))
    drawn.append(_certified_curve(found, proof, right, scene.split.test))
    drawn.append(_energy_curve(models, scene))
    if found.strikes:
        drawn.append(_degree_curve(found, scene, budgets[len(budgets) // 2]))
    return tuple(drawn)


def _budget_curve(found: Findings, budgets: Sequence[float]) -> Curve:
    series = []
    for name in found.clean:
        marks = [found.clean[name], *(found.worst(name, b).right for b in budgets)]
        series.append(_band(name, [0.0, *budgets], marks))
    return Curve(
        title="Accuracy against the attacker's budget",
        x_label="flipped edges, share of all",
        y_label="accuracy, lowest over all attacks",
        series=tuple(series),
    )


def _certified_curve(found: Findings, proof: Certificate, right: Tensor, test: Tensor) -> Curve:
    counts = proof.changes()[test]
    xs = list(range(0, 11))
    series = [_band("clipflow, certified", [float(d) for d in xs], [right & (counts >= d) for d in xs])]
    if "mlp" in found.clean:
        series.append(_band("mlp, sees no edges", [float(d) for d in xs], [found.clean["mlp"]] * len(xs)))
    return Curve(
        title="Certified accuracy",
        x_label="edges that may change at every node at once",
        y_label="share proved right",
        series=tuple(series),
    )


def _energy_curve(models: Mapping[str, nn.Module], scene: Scene) -> Curve:
    series = []
    flow = models.get("clipflow")
    if isinstance(flow, ClipFlow):
        series.append(_clip_energy(flow, scene))
    for name, model in models.items():
        if isinstance(model, Flow) and model.lyapunov is not None:
            with torch.no_grad():
                v = torch.stack([model.lyapunov(u).mean() for u in model.path(scene.inputs)]).double()
            times = torch.linspace(0, model.plan.solver.horizon, len(v))
            series.append(Series(label=name, x=tuple(times.tolist()), y=tuple((v / v[0]).tolist())))
    return Curve(
        title="V(t)",
        x_label="time of the flow",
        y_label="Lyapunov function, share of its start",
        series=tuple(series),
        note="clipflow: its energy above the minimum; lyapunov: the learned V, mean over nodes.",
    )


@torch.no_grad()
def _clip_energy(model: ClipFlow, scene: Scene) -> Series:
    shown, pull = scene.inputs, model.pull
    x0, weight = model.anchors(shown).double(), shown.weight.double()
    incidence = Incidence.of(shown.edges, shown.n, torch.float64)
    widest = float(torch.bincount(shown.edges.reshape(-1), minlength=shown.n).max())
    solver = Solver("euler", 3.0, min(0.05, 1.0 / (2 * widest + pull.lam)))
    path = solver.path(lambda x: -gradient(x, x0, weight, incidence, Pull(pull.c, pull.lam)), x0)
    lowest = energy(solve(x0, shown.edges, weight, pull)[0], x0, weight, incidence, pull).sum()
    picked = np.unique(np.linspace(0, len(path) - 1, 40).round().astype(int))
    v = [float(energy(path[k], x0, weight, incidence, pull).sum() - lowest) for k in picked]
    times = tuple(float(k) * solver.horizon / solver.steps for k in picked)
    return Series(label="clipflow", x=times, y=tuple(max(0.0, one / v[0]) for one in v))


def _degree_curve(found: Findings, scene: Scene, budget: float) -> Curve:
    degree = torch.bincount(scene.graph.edges.reshape(-1), minlength=scene.graph.n)[scene.split.test]
    bands = [(1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 10**9)]
    series = []
    for name in found.clean:
        right = found.worst(name, budget).right
        parts = [(low, right[(degree >= low) & (degree <= high)]) for low, high in bands]
        parts = [(low, part) for low, part in parts if len(part)]
        series.append(_band(name, [float(low) for low, _ in parts], [part for _, part in parts]))
    return Curve(
        title=f"Accuracy by degree at {budget:.0%} flipped edges",
        x_label="degree, from",
        y_label="accuracy under the worst attack",
        series=tuple(series),
    )


def _band(label: str, x: Sequence[float], parts: Sequence[Tensor]) -> Series:
    found = [statistics.proportion(part.numpy()) for part in parts]
    low, high = tuple(e.interval[0] for e in found), tuple(e.interval[1] for e in found)
    return Series(label=label, x=tuple(x), y=tuple(e.value for e in found), low=low, high=high)
