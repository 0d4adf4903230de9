"""The graph benchmark's bars that are made of attacks and certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import graph_cells as cells
from graph_cells import Bar, Everything

from sparring.evaluation import statistics
from sparring.systems.graph.graph import Graph


def bar(
    name: str, metric: str, goal: float, values: Sequence[float], beside: Mapping[str, float], *, most: bool = False
) -> Bar:
    """One bar in percent; the interval is Student's t over the splits."""
    mean = sum(values) / len(values)
    span = statistics.seed_mean(values).interval if len(values) > 1 else None
    holds = mean <= goal if most else mean >= goal
    return Bar(name, metric, f"{'≤' if most else '≥'} {goal:g} %", mean, span, holds, dict(beside))


def beside(found: Mapping[int, Everything], kind: str, budget: float | None) -> dict[str, float]:
    """The other models' means, attacked alike; the graph-blind MLP is the floor."""
    names = [n for n in next(iter(found.values())).names if n != "clipflow"]
    return {
        f"{n} (floor)" if n == "mlp" else n: _mean([f.figure(n, kind, budget) for f in found.values()]) for n in names
    }


def first(values: Sequence[float]) -> dict[str, float]:
    """The split whose validation nodes chose the plan; in the other splits most of those nodes are test nodes."""
    return {"split 1234 alone": values[0]}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def self_test(few: Mapping[int, Everything]) -> list[Bar]:
    """Bar 6: what our attacks leave of a GCN must be no more than what the published ones left."""
    rows = [
        bar("6 attack self-test", f"GCN accuracy at {b:.0%}, transductive", goal,
            [f.figure("gcn", "edges", b) for f in few.values()], {"published": goal}, most=True)
        for b, goal in ((0.05, 75.3), (0.1, 69.6), (0.2, 60.9))
    ]  # fmt: skip
    worst = all(row.holds for row in rows)
    return [*rows[:-1], Bar(**{**rows[-1].__dict__, "holds": rows[-1].holds and worst})]


def transductive_bars(few: Mapping[int, Everything]) -> list[Bar]:
    """Bar 3."""
    goals = (("clean", None, 84.5), ("edges", 0.05, 79.0), ("edges", 0.1, 76.0), ("edges", 0.2, 72.0))
    published = {"clean": 84.6, 0.05: 78.9, 0.1: 75.7, 0.2: 71.8}
    rows = []
    for kind, budget, goal in goals:
        told = {**beside(few, kind, budget), "RUNG as published, weaker attack": published[budget or "clean"]}
        words = "clean" if budget is None else f"worst at {budget:.0%} of edges"
        values = [f.figure("clipflow", kind, budget) for f in few.values()]
        rows.append(bar("3 transductive", f"ClipFlow {words}", goal, values, {**told, **first(values)}))
    return rows


def inductive_bars(many: Mapping[int, Everything]) -> list[Bar]:
    """Bar 4, and how far the worst figure lies above the graph-blind floor."""
    goals = (("clean", None, 89.0), ("edges", 0.05, 80.0), ("edges", 0.1, 75.0), ("injection", None, 80.0))
    rows = []
    for kind, budget, goal in goals:
        words = {"clean": "clean", "injection": "worst white-box injection"}.get(
            kind, f"worst at {budget or 0:.0%} of edges"
        )
        rows.append(
            bar(
                "4 inductive",
                f"ClipFlow {words}",
                goal,
                [f.figure("clipflow", kind, budget) for f in many.values()],
                beside(many, kind, budget),
            )
        )
    gaps = [
        min(f.figure("clipflow", k, b) for k, b, _ in goals) - f.figure("mlp", "clean", None) for f in many.values()
    ]
    told = {"mlp (floor)": _mean([f.figure("mlp", "clean", None) for f in many.values()])}
    row = bar("4 inductive", "ClipFlow's lowest figure less the MLP's", 0.0, gaps, told)
    return [*rows, Bar(**{**row.__dict__, "target": "≥ 0 points"})]


def certificates(
    graph: Graph, seeds: Sequence[int], few: Mapping[int, Everything], scratch: Path, sizes: cells.Sizes
) -> list[Bar]:
    """Bar 5: clean and certified shares of the test nodes; beside them two floors that no edge can move."""
    shares = [cells.proved(graph, s, scratch, sizes) for s in seeds]
    floor = {
        "mlp (floor)": _mean([f.figure("mlp", "clean", None) for f in few.values()]),
        "ClipFlow's own tower, sees no edges": _mean([s["tower"] for s in shares]),
    }
    goals = (("clean", 78.0), ("2", 73.0), ("3", 69.0), ("5", 62.0))
    words = {"clean": "clean"} | {d: f"certified, {d} changed edges at every node" for d in "235"}
    rows = []
    for kind, goal in goals:
        values = [s[kind] for s in shares]
        rows.append(bar("5 certificate", f"ClipFlow {words[kind]}", goal, values, {**floor, **first(values)}))
    return rows


def recipe(graph: Graph, seeds: Sequence[int], scratch: Path, sizes: cells.Sizes) -> list[Bar]:
    """Bar 7: the published recipe and its parts, attacked by PRBCD at 5 %, inductive: measured, whatever it shows."""
    found = [cells.recipe(graph, s, scratch, sizes) for s in seeds]
    rows = []
    for name in found[0]:
        values, clean = [f[name][1] for f in found], _mean([f[name][0] for f in found])
        span = statistics.seed_mean(values).interval if len(values) > 1 else None
        rows.append(
            Bar(
                "7 published recipe",
                f"{name} at 5 % of edges, {len(seeds)} split(s)",
                "reported",
                _mean(values),
                span,
                True,
                {"clean": clean},
            )
        )
    return rows
