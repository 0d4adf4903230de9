"""The story on one page: the graph, a model that sees no edges, a plain GCN, a Lyapunov flow, and ClipFlow."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.engine.system import scorecard
from sparring.evaluation.scorecard import Scorecard, Verdict
from sparring.systems.graph import store
from sparring.systems.graph.audit import Findings, Foes, audit, everyone
from sparring.systems.graph.certificate import Certificate
from sparring.systems.graph.certificate import certify as prove
from sparring.systems.graph.clipflow import ClipFlow, Pull
from sparring.systems.graph.config import Config
from sparring.systems.graph.data import load, split_of
from sparring.systems.graph.flows import FlowPlan
from sparring.systems.graph.tell import NOTES, PAPERS, TITLE, curves, data_records, rows
from sparring.systems.graph.training import Plan, Scene, train


@dataclass(frozen=True)
class Bout:
    """One seed: scene, models, everything that was tried on them, and the ClipFlow's certificate."""

    scene: Scene
    models: dict[str, nn.Module]
    found: Findings
    proof: Certificate

    @property
    def right(self) -> Tensor:
        """Test nodes that the ClipFlow's exact equilibrium gets right, `(k,)` bool."""
        test = self.scene.split.test
        return self.proof.predicted[test] == self.scene.graph.labels[test]


def plans(config: Config) -> dict[str, Plan]:
    """The models of a run; the last one is the hardened one."""
    base = Plan(hidden=config.hidden, epochs=config.epochs)
    return {
        "mlp": replace(base, kind="mlp"),
        "gcn": replace(base, kind="gcn"),
        "lyapunov": replace(base, kind="flow", flow=FlowPlan(stability="discrete", separated=True)),
        "clipflow": replace(base, pull=Pull(config.c, config.lam), towers=3),
    }


def experiment(config: Config, run: Run) -> Scorecard:
    """Train every model on every seed, let everybody attack everything, and tell what came out."""
    seeds = tuple(range(run.seed, run.seed + config.seeds))
    bouts = [_bout(config, run, seed) for seed in seeds]
    last = bouts[-1]
    for name in ("clipflow", "gcn"):
        kept = "model" if name == "clipflow" else "baseline"
        scene = last.scene
        memory = store.Memory.of(scene.graph, scene.split.train, scene.split.valid)
        store.save(run, last.models[name], plans(config)[name], scene.graph, memory, kept)
    return _told(config, run, seeds, bouts)


def evaluate(config: Config, run: Run, source: Path) -> Scorecard:
    """Attack the stored ClipFlow and GCN of a finished run again, on its last seed."""
    return _told(config, run, (run.seed + config.seeds - 1,), [_again(config, run, source, None)])


def certify(config: Config, run: Run, source: Path) -> Scorecard:
    """What is proved of the stored ClipFlow, without any attack."""
    return _told(config, run, (run.seed + config.seeds - 1,), [_again(config, run, source, Foes(budgets=()))])


def _again(config: Config, run: Run, source: Path, foes: Foes | None) -> Bout:
    seed = run.seed + config.seeds - 1
    graph = load(config.data, run.data)
    scene = Scene.of(graph, split_of(graph, config.protocol, seed))
    models = {"gcn": store.load(source / "baseline.safetensors", graph)[0], "clipflow": store.load(source, graph)[0]}
    return _spar(config, run, seed, scene, models, foes)


def _bout(config: Config, run: Run, seed: int) -> Bout:
    graph = load(config.data, run.data)
    scene = Scene.of(graph, split_of(graph, config.protocol, seed))
    with run.phase("training"):
        models = {name: train(plan, scene, run, f"{name}-{seed}") for name, plan in plans(config).items()}
    return _spar(config, run, seed, scene, models, None)


def _spar(config: Config, run: Run, seed: int, scene: Scene, models: dict[str, nn.Module], foes: Foes | None) -> Bout:
    test, graph = scene.split.test, scene.graph
    if foes is None:
        foes = everyone(graph.labels, config.steps, config.injected, config.joined)
        foes = Foes(config.budgets, foes.edges, foes.others)
    with run.phase("attacks"):
        found = audit(models, scene.inputs, test, graph.labels[test], foes, run, str(seed))
    with run.phase("certificate"):
        proof = prove(cast(ClipFlow, models["clipflow"]), scene.inputs)
    return Bout(scene, models, found, proof)


def _told(config: Config, run: Run, seeds: tuple[int, ...], bouts: Sequence[Bout]) -> Scorecard:
    last = bouts[-1]
    table = rows(
        [b.found for b in bouts], [(b.proof, b.right, b.scene.split.test) for b in bouts], config.budgets, seeds
    )
    verdicts = tuple(
        Verdict(model=name, status="certified" if name == "clipflow" else "upper bound") for name in last.models
    )
    return scorecard(
        run,
        config,
        title=TITLE,
        data=data_records(last.scene.graph, config.data),
        seeds=seeds,
        rows=table,
        verdicts=verdicts,
        curves=curves(last.found, last.models, last.scene, last.proof, last.right, config.budgets),
        notes=NOTES,
        papers=PAPERS,
    )
