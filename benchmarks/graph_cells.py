"""What the graph benchmark trains and attacks; every cell stays in the scratch folder, so a stopped one goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from form import Bar as Bar
from torch import nn

from sparring.data import sources
from sparring.engine.run import Run
from sparring.systems.graph.attacks.dice import Dice
from sparring.systems.graph.attacks.injection import Injection
from sparring.systems.graph.attacks.local import LocalPRBCD
from sparring.systems.graph.attacks.prbcd import PRBCD
from sparring.systems.graph.audit import Findings, Foes, adaptive, audit
from sparring.systems.graph.certificate import certify
from sparring.systems.graph.clipflow import ClipFlow, Pull
from sparring.systems.graph.data import PUBLISHED_SPLITS, Split, compact, inductive, transductive
from sparring.systems.graph.flows import FlowPlan
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.solvers import Solver
from sparring.systems.graph.training import Plan, Scene, train


@dataclass(frozen=True)
class Sizes:
    """How hard to attack. `quick` proves that everything runs."""

    steps: int = 40
    block: int = 20_000
    injected: tuple[int, int] = (60, 20)
    injection_steps: int = 20
    epochs: int = 20


QUICK = Sizes(6, 4000, (20, 10), 3, 3)

ROBUST = Plan("clipflow", pull=Pull(0.1, 0.5), sharpness=2.0)
"""Chosen on validation nodes of one split (state 1234): clean accuracy and PRBCD at 5, 10 and 20 %."""
PROVED = Plan("clipflow", pull=Pull(0.05, 1.0), sharpness=2.0)
"""Chosen there by the certified share of the validation nodes."""
INDUCTIVE = Plan("clipflow", pull=Pull(0.05, 0.2), towers=5)

BESIDE: dict[str, Plan] = {
    "mlp": Plan("mlp"),
    "gcn": Plan("gcn"),
    "gat": Plan("gat"),
    "grand": Plan("flow"),
    "rung": Plan("rung"),
}

_LINEAR = FlowPlan("grand-l")
_FRACTIONAL = replace(_LINEAR, solver=Solver("predictor", 3.0, 1.0, 0.6))
RECIPE: dict[str, Plan] = {
    "grand": Plan("flow", flow=_LINEAR),
    "grand+at": Plan("flow", flow=_LINEAR, spar=0.05),
    "grand+cont": Plan("flow", flow=replace(_LINEAR, stability="continuous", separated=True)),
    "grand+cont+at": Plan("flow", flow=replace(_LINEAR, stability="continuous", separated=True), spar=0.05),
    "grand+disc": Plan("flow", flow=replace(_LINEAR, stability="discrete", separated=True)),
    "f-grand": Plan("flow", flow=_FRACTIONAL),
    "f-grand+cont": Plan("flow", flow=replace(_FRACTIONAL, stability="continuous", separated=True)),
    "f-grand+disc": Plan("flow", flow=replace(_FRACTIONAL, stability="discrete", separated=True)),
}


def cora() -> Graph:
    """Cora, largest connected component: 2,485 nodes, 5,069 edges."""
    return compact(sources.locate("cora-lcc"), "cora-lcc")


def scene(graph: Graph, protocol: str, seed: int) -> Scene:
    """The split of seed number `seed`, 0 ... 4."""
    state = PUBLISHED_SPLITS[seed]
    split: Split = transductive(graph.labels, state) if protocol == "transductive" else inductive(graph, state)
    return Scene.of(graph, split)


def run_of(scratch: Path, protocol: str, seed: int) -> Run:
    """The cells of one protocol and seed."""
    folder = scratch / f"{protocol}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder, seed, quiet=True)


def trained(plans: Mapping[str, Plan], where: Scene, run: Run, sizes: Sizes) -> dict[str, nn.Module]:
    """The models, each trained once per scratch folder."""
    partner = PRBCD("scale-free", 8, 4000, draws=0)
    return {
        name: train(
            replace(plan, epochs=sizes.epochs), where, run, name.replace("+", "-"), partner if plan.spar else None
        )
        for name, plan in plans.items()
    }


def edge_foes(graph: Graph, sizes: Sizes, budgets: tuple[float, ...]) -> Foes:
    """PRBCD with both losses and greedy."""
    return Foes(budgets, adaptive(sizes.steps, sizes.block))


def held_out(graph: Graph, sizes: Sizes, budgets: tuple[float, ...] = (0.1,)) -> Foes:
    """Local budgets and DICE at one budget; node injection."""
    nodes, edges = sizes.injected
    local = LocalPRBCD(PRBCD("scale-free", max(4, sizes.steps // 2), sizes.block, draws=0))
    others = {
        f"injection {w}": Injection(cast(Any, w), nodes, edges, sizes.injection_steps)
        for w in ("random", "tdgia", "meta")
    }
    return Foes(budgets, {"local budgets": local, "dice": Dice(graph.labels)}, others, finer=False)


def attacked(
    graph: Graph, protocol: str, seed: int, plans: Mapping[str, Plan], foes: Foes, scratch: Path, sizes: Sizes, tag: str
) -> Findings:
    """Train what is missing, attack what is missing, and return all strikes."""
    where, run = scene(graph, protocol, seed), run_of(scratch, protocol, seed)
    models = trained(plans, where, run, sizes)
    nodes = where.split.test
    return audit(models, where.inputs, nodes, graph.labels[nodes], foes, run, tag)


@dataclass(frozen=True)
class Everything:
    """One split: all strikes of the flips at all budgets, and of the held-out attacks."""

    names: tuple[str, ...]
    edges: Findings
    held: Findings

    def figure(self, model: str, kind: str, budget: float | None) -> float:
        """Percent right: "clean", the worst of all flips at a budget ("edges"), or of all injections."""
        if kind == "clean":
            return percent(self.edges.clean[model])
        if kind == "injection":
            return percent(self.held.worst(model, None, kind="injection").right)
        return min(percent(found.worst(model, budget).right) for found in (self.edges, self.held))


def percent(right: torch.Tensor) -> float:
    """The share of True, in percent."""
    return 100 * float(right.double().mean())


def everything(graph: Graph, protocol: str, seed: int, scratch: Path, sizes: Sizes) -> Everything:
    """Train and attack all models of one split."""
    plans = {**BESIDE, "clipflow": ROBUST if protocol == "transductive" else INDUCTIVE}
    budgets = (0.05, 0.1, 0.2) if protocol == "transductive" else (0.05, 0.1)
    flips = attacked(graph, protocol, seed, plans, edge_foes(graph, sizes, budgets), scratch, sizes, "edges")
    held = attacked(graph, protocol, seed, plans, held_out(graph, sizes), scratch, sizes, "held")
    return Everything(tuple(plans), flips, held)


def proved(graph: Graph, seed: int, scratch: Path, sizes: Sizes) -> dict[str, float]:
    """Percent of the test nodes right ("clean"), certified for D changes ("2", ...), and right by the tower alone."""
    where, run = scene(graph, "transductive", seed), run_of(scratch, "transductive", seed)
    model = cast(ClipFlow, trained({"proved": PROVED}, where, run, sizes)["proved"])
    proof, test = certify(model, where.inputs), where.split.test
    right = proof.predicted[test] == graph.labels[test]
    with torch.no_grad():
        tower = model.anchors(where.inputs)[test].argmax(1) == graph.labels[test]
    shares = {str(d): percent(right & proof.holds(d)[test]) for d in (1, 2, 3, 5)}
    return {"clean": percent(right), "tower": percent(tower), **shares}


def recipe(graph: Graph, seed: int, scratch: Path, sizes: Sizes) -> dict[str, tuple[float, float]]:
    """The published recipe's parts: percent right, clean and under PRBCD at 5 % with either loss."""
    foes = {name: attack for name, attack in adaptive(sizes.steps, sizes.block).items() if name != "greedy"}
    found = attacked(graph, "inductive", seed, RECIPE, Foes((0.05,), foes, finer=False), scratch, sizes, "recipe")
    return {name: (percent(found.clean[name]), percent(found.worst(name, 0.05).right)) for name in RECIPE}
