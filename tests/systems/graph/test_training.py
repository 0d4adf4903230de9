from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from torch import Tensor
from typer.testing import CliRunner

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.graph import store, training
from sparring.systems.graph.attacks.prbcd import PRBCD
from sparring.systems.graph.audit import Foes, adaptive, audit, correct
from sparring.systems.graph.baselines import Perceptron
from sparring.systems.graph.certificate import certify
from sparring.systems.graph.clipflow import ClipFlow
from sparring.systems.graph.commands import app
from sparring.systems.graph.data import Split, blocks, inductive, karate, transductive
from sparring.systems.graph.distil import folds
from sparring.systems.graph.estimator import ClipFlowClassifier
from sparring.systems.graph.flows import FlowPlan
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.solvers import Solver
from sparring.systems.graph.sparse import Features
from sparring.systems.graph.training import Plan, Scene, fit_tower, train

GRAPH = blocks(300, 3, signal=0.6)
SHORT = {"epochs": 6, "hidden": 16}
FRACTIONAL = Solver("predictor", order=0.6)
PLANS = {
    "mlp": Plan("mlp", **SHORT),
    "gcn": Plan("gcn", **SHORT),
    "gat": Plan("gat", **SHORT),
    "rung": Plan("rung", **SHORT),
    "grand-nl": Plan("flow", flow=FlowPlan("grand-nl"), **SHORT),
    "graphcon": Plan("flow", flow=FlowPlan("graphcon"), **SHORT),
    "hang": Plan("flow", flow=FlowPlan("hang"), **SHORT),
    "continuous": Plan("flow", flow=FlowPlan(stability="continuous"), **SHORT),
    "separated": Plan("flow", flow=FlowPlan(solver=FRACTIONAL, stability="discrete", separated=True), **SHORT),
    "distilled": Plan("clipflow", **SHORT),
    "towers": Plan("clipflow", towers=2, **SHORT),
    "through": Plan("clipflow", distilled=False, certified=1, hide=0.5, **SHORT),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, 0, quiet=True)


def scene(split: Split | None = None) -> Scene:
    return Scene.of(GRAPH, split or transductive(GRAPH.labels, 0))


@pytest.mark.parametrize("name", PLANS)
def test_every_model_learns_and_comes_back_from_disk(run: Run, name: str) -> None:
    where, plan = scene(), PLANS[name]
    model = train(plan, where, run, name)
    test = where.split.test
    right = correct(model, where.inputs, test, GRAPH.labels[test])
    assert float(right.double().mean()) > 0.5
    memory = store.Memory.of(GRAPH, where.split.train, where.split.valid)
    again, known, met = store.load(store.save(run, model, plan, GRAPH, memory, "kept"), GRAPH)
    assert known == plan
    assert all(torch.equal(a, b) for a, b in zip(vars(met).values(), vars(memory).values(), strict=True))
    with torch.no_grad():
        assert torch.equal(again(where.inputs), model(where.inputs))


def test_a_tower_never_learned_from_the_guess_about_its_own_fold(run: Run) -> None:
    dealt = folds(GRAPH.features)
    assert set(dealt.tolist()) == {0, 1, 2, 3}
    taught: list[Tensor] = []

    def spy(features: Features, *rest: Any) -> Perceptron:
        taught.append(features.keys())
        return fit_tower(features, *rest)

    with patch.object(training, "fit_tower", spy):
        train(PLANS["distilled"], scene(), run, "m")
    free = torch.ones(GRAPH.n, dtype=torch.bool)
    free[torch.isin(GRAPH.features.keys(), GRAPH.features.keys()[scene().split.train])] = False
    for number, keys in enumerate(taught):
        assert not torch.isin(GRAPH.features.keys()[free & (dealt == number)], keys).any()


def test_a_clipflows_anchors_do_not_see_edges(run: Run) -> None:
    where = scene()
    model = train(PLANS["distilled"], where, run, "m")
    assert isinstance(model, ClipFlow)
    bare = where.inputs.rewired(where.inputs.edges[:, :0])
    with torch.no_grad():
        assert torch.equal(model.anchors(bare), model.anchors(where.inputs))


def test_inductive_training_never_meets_test_nodes() -> None:
    split = inductive(GRAPH, 0)
    where = scene(split)
    assert where.seen.n == len(split.train)
    assert where.judged.n == len(split.train) + len(split.valid)
    everyone = torch.cat([split.train, split.valid, split.test])
    assert len(everyone.unique()) == len(everyone) == GRAPH.n


def test_adversarial_training_runs_inductively_and_is_refused_otherwise(run: Run) -> None:
    plan, partner = Plan("gcn", spar=0.05, epochs=2, steps=2, hidden=8), PRBCD(steps=3, block=500, draws=0)
    train(plan, scene(inductive(GRAPH, 0)), run, "at", partner)
    with pytest.raises(ValueError, match="learned by heart"):
        train(plan, scene(), run, "no", partner)


def test_the_audit_keeps_the_lowest_figure_and_no_certified_node_falls(run: Run) -> None:
    where = scene()
    models = {name: train(PLANS[name], where, run, name) for name in ("mlp", "gcn", "distilled")}
    test = where.split.test
    labels = GRAPH.labels[test]
    found = audit(models, where.inputs, test, labels, Foes((0.02, 0.1), adaptive(8, 2000)), run, "t")
    for name in models:
        figures = [float(found.worst(name, b).right.double().mean()) for b in (0.02, 0.1)]
        assert figures[1] <= figures[0] <= float(found.clean[name].double().mean())
    assert torch.equal(found.worst("mlp", 0.1).right, found.clean["mlp"])
    flow = models["distilled"]
    assert isinstance(flow, ClipFlow)
    proof = certify(flow, where.inputs)
    right = proof.predicted[test] == labels
    assert proof.standing(test[right], 10) <= int(right.sum())


def test_published_splits_are_stratified_and_cover_all() -> None:
    split = transductive(GRAPH.labels, 1234)
    assert len(split.train) == 30
    assert len(torch.cat([split.train, split.valid, split.test]).unique()) == GRAPH.n


def matrix(graph: Graph) -> coo_matrix:
    a, b = graph.edges.numpy()
    return coo_matrix((graph.weight.numpy(), (a, b)), shape=(graph.n, graph.n))


def test_the_estimator_fits_predicts_and_certifies() -> None:
    y = GRAPH.labels.numpy().copy()
    y[150:] = -1
    x = GRAPH.features.to_dense().numpy()
    fitted = ClipFlowClassifier(hidden=16, epochs=6).fit(matrix(GRAPH), x, y)
    assert (fitted.predict()[150:] == GRAPH.labels.numpy()[150:]).mean() > 0.6
    assert fitted.predict_proba().sum(1) == pytest.approx(1)
    assert fitted.certified(matrix(GRAPH), x).min() >= 0


def test_audit_and_certify_from_the_command_line(tmp_path: Path) -> None:
    graph = karate()
    lines = "\n".join(f"{a} {b}" for a, b in graph.edges.T.tolist())
    (tmp_path / "club.txt").write_text(lines)
    (tmp_path / "side.txt").write_text("\n".join(f"{k} {y}" for k, y in enumerate(graph.labels.tolist())))
    given = [str(tmp_path / "club.txt"), "--labels", str(tmp_path / "side.txt")]
    runner = CliRunner()
    shown = runner.invoke(app, ["certify", *given, "--out", str(tmp_path / "out.csv")])
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "node,class,certified_changes"
    found = runner.invoke(app, ["audit", *given, "--steps", "3", "--budget", "0.1", "--json"])
    assert found.exit_code == 0, found.output
    assert '"clipflow"' in found.output
    for arguments, words in (
        (["audit", *given, "--budget", "0"], "0.0 of 78 edges"),
        (["audit", str(tmp_path / "club.txt")], "no labels"),
        (["certify", *given, "--model", str(tmp_path / "no.safetensors")], "cannot be read"),
    ):
        bad = runner.invoke(app, arguments)
        assert isinstance(bad.exception, BadInput)
        assert words in str(bad.exception)


def written(graph: Graph, where: Path, order: Tensor, hidden: Tensor | None = None) -> Path:
    """The graph as a file, its nodes in another order, and -1 as the label of the hidden ones."""
    x, y = graph.features.to_dense()[order], graph.labels.clone()
    if hidden is not None:
        y[hidden] = -1
    place = torch.empty(graph.n, dtype=torch.int64)
    place[order] = torch.arange(graph.n)
    a, b = place[graph.edges].numpy()
    adj = coo_matrix((graph.weight.numpy(), (a, b)), shape=(graph.n, graph.n)).tocsr()
    parts = {f"adj_{name}": getattr(adj, name) for name in ("data", "indices", "indptr", "shape")}
    np.savez(where, **parts, attr=x.numpy(), labels=y[order].numpy())
    return where


def certified(path: Path, model: Path, out: Path) -> dict[int, tuple[int, int]]:
    """What the command says of every node: its class and certified changes."""
    shown = CliRunner().invoke(app, ["certify", str(path), "--model", str(model), "--out", str(out)])
    assert shown.exit_code == 0, (shown.output, shown.exception)
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    return {int(node): (int(label), int(changes)) for node, label, changes in rows}


def test_a_kept_models_certificate_is_the_same_in_any_order_and_with_other_labels_shown(run: Run) -> None:
    where = scene()
    model = train(PLANS["distilled"], where, run, "m")
    memory = store.Memory.of(GRAPH, where.split.train, where.split.valid)
    kept = store.save(run, model, PLANS["distilled"], GRAPH, memory, "kept")
    order = torch.randperm(GRAPH.n, generator=torch.Generator().manual_seed(0))
    plain = certified(written(GRAPH, run.folder / "a.npz", torch.arange(GRAPH.n)), kept, run.folder / "a.csv")
    mixed = certified(written(GRAPH, run.folder / "b.npz", order), kept, run.folder / "b.csv")
    few = certified(
        written(GRAPH, run.folder / "c.npz", torch.arange(GRAPH.n), where.split.test[:40]), kept, run.folder / "c.csv"
    )
    assert plain == {int(order[k]): told for k, told in mixed.items()} == few


def test_an_injected_node_of_any_features_flips_no_certified_node(run: Run) -> None:
    where = scene()
    model = train(PLANS["distilled"], where, run, "m")
    assert isinstance(model, ClipFlow)
    proof = certify(model, where.inputs)
    sure = (proof.changes() >= 1).nonzero().squeeze(1)
    wide = GRAPH.features.width
    for value in (0.0, 1e4, 3e38, -3e38):
        across = torch.full((1, wide), value)
        more = torch.stack([sure, torch.full_like(sure, GRAPH.n)])  # one new edge at every certified node
        met = replace(
            where.inputs,
            features=where.inputs.features.with_extra(across),
            edges=torch.cat([where.inputs.edges, more], 1),
            weight=torch.cat([where.inputs.weight, torch.ones(len(sure))]),
            known=torch.cat([where.inputs.known, torch.tensor([-1])]),
        )
        with torch.no_grad():
            assert torch.equal(model(met).argmax(1)[sure], proof.predicted[sure])


def test_labels_that_a_model_has_met_do_not_judge_it(run: Run) -> None:
    where = scene()
    model = train(PLANS["gcn"], where, run, "m")
    everyone = torch.arange(GRAPH.n)
    memory = store.Memory.of(GRAPH, everyone, everyone[:0])
    kept = store.save(run, model, PLANS["gcn"], GRAPH, memory, "kept")
    path = written(GRAPH, run.folder / "a.npz", everyone)
    told = CliRunner().invoke(app, ["audit", str(path), "--model", str(kept), "--steps", "2"])
    assert isinstance(told.exception, BadInput)
    assert "trained on" in str(told.exception)


def test_a_class_with_one_known_label_is_refused_by_the_estimator() -> None:
    y = np.full(GRAPH.n, -1)
    y[:3] = GRAPH.labels.numpy()[:3]
    with pytest.raises(BadInput, match="at least 2 known labels"):
        ClipFlowClassifier().fit(matrix(GRAPH), GRAPH.features.to_dense().numpy(), y)
