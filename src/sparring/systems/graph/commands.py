"""What users do with graphs: `sparring graph audit`, `certify`, `show`."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

    from sparring.systems.graph.graph import Graph

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Attack and certify node classifiers on your own graph.

A graph is an **.npz** (arrays `edges` (2, m) and, if you have them, `x` (n, d) and `y` (n,); or a SciPy sparse
adjacency),
a **.graphml** that NetworkX wrote (node attribute `label`), or an **edge list** (.txt, .csv, .tsv, .edges: "node node
[weight]" a line). `--labels` and `--features` add what the file does not hold.
""",
)

File = Annotated[Path, typer.Argument(help="The graph: .npz, .graphml or an edge list.", show_default=False)]
Labels = Annotated[Path | None, typer.Option(help="Labels: lines 'node label', or an .npy of n integers (-1 unknown).")]
Features = Annotated[Path | None, typer.Option(help="Features: an .npy (n, d) or a SciPy sparse .npz.")]
Model = Annotated[Path | None, typer.Option(help="A run folder or .safetensors; default: train on this graph.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Seed = Annotated[int, typer.Option(help="The seed of split, training and attacks.", min=0)]


@app.command()
def audit(
    file: File,
    model: Model = None,
    labels: Labels = None,
    features: Features = None,
    budget: Annotated[
        list[float] | None, typer.Option(help="Edges an attacker may flip, as a share of all; may repeat.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Gradient steps of PRBCD.", min=1)] = 40,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Attack a model on a graph with everything there is, and say what is left.

    Without --model an MLP (sees no edges), a GCN and a ClipFlow are trained on the graph's labels (10 % to train,
    10 % to
    choose by) and audited side by side. The figure is the lowest accuracy over all attacks.
    """
    from sparring.engine.run import Run
    from sparring.systems.graph.audit import Foes, everyone
    from sparring.systems.graph.audit import audit as attack_all

    budgets = tuple(budget or (0.05, 0.1))
    graph = _labelled(file, labels, features)
    _checked(budgets, graph)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), seed, quiet=as_json)
        models, inputs, nodes = _models(graph, model, run, seed)
        foes = everyone(graph.labels, steps)
        found = attack_all(
            models, inputs, nodes, graph.labels[nodes], Foes(budgets, foes.edges, foes.others), run, "audit"
        )
    rows = []
    for name in models:
        worst = {f"{b:.0%}": found.worst(name, b) for b in budgets} | {
            "nodes": found.worst(name, None, kind="injection")
        }
        share = {key: {"accuracy": float(w.right.double().mean()), "attack": w.name} for key, w in worst.items()}
        rows.append({"model": name, "clean": float(found.clean[name].double().mean()), "worst": share})
    if as_json:
        _print({"graph": _facts(graph), "rows": rows})
        return
    _told(graph)
    for row in rows:
        typer.echo(f"{row['model']:10} clean {row['clean']:.3f}")
        for key, one in row["worst"].items():
            typer.echo(f"           {key:>6} {one['accuracy']:.3f}  {one['attack']}")


@app.command()
def certify(
    file: File,
    model: Model = None,
    labels: Labels = None,
    features: Features = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write node, class, certified changes as CSV.")
    ] = None,
    heaviest: Annotated[float, typer.Option(help="Largest weight that a new edge may have.", min=1e-9)] = 1.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """For every node: how many edges may change at *every* node of the graph at once before its class can change.

    Edge insertion, deletion and edges to injected nodes count alike. A proof, not a measurement; it speaks of changes
    after training.
    """
    from sparring.engine.run import Run
    from sparring.files import write_text
    from sparring.systems.graph.certificate import certify as prove
    from sparring.systems.graph.clipflow import ClipFlow

    graph = _labelled(file, labels, features)
    with tempfile.TemporaryDirectory() as folder:
        models, inputs, nodes = _models(graph, model, Run(Path(folder), seed, quiet=True), seed, only="clipflow")
    flow = next(iter(models.values()))
    if not isinstance(flow, ClipFlow):
        raise BadInput(f"{model}: holds a {type(flow).__name__}, for which there is no certificate; give a ClipFlow")
    proof = prove(flow, inputs, heaviest=heaviest)
    counts, right = proof.changes(), proof.predicted == graph.labels
    if out is not None:
        names = graph.names or tuple(str(k) for k in range(graph.n))
        lines = [f"{n},{c},{d}" for n, c, d in zip(names, proof.predicted.tolist(), counts.tolist(), strict=True)]
        write_text(out, "node,class,certified_changes\n" + "\n".join(lines) + "\n")
    shares = {str(d): float((right & (counts >= d))[nodes].double().mean()) for d in (0, 1, 2, 3, 5, 10)}
    if as_json:
        _print({"graph": _facts(graph), "certified": shares, "residual": proof.residual})
        return
    _told(graph)
    typer.echo(f"of {len(nodes):,} labelled nodes that the model has not met:")
    for d, share in shares.items():
        typer.echo(f"right, and certified for {d:>2} changed edges at every node: {share:.3f}")
    if graph.positional:
        typer.echo("this holds while the positional features stay as they are; made anew from changed edges they move")


@app.command()
def show(file: File, labels: Labels = None, features: Features = None, as_json: Json = False) -> None:
    """What a graph file holds, and what was mended in it. No model is needed."""
    from sparring.systems.graph.readers import read

    graph = read(file, labels, features)
    _print(_facts(graph)) if as_json else _told(graph)


def _labelled(file: Path, labels: Path | None, features: Path | None) -> Graph:
    from sparring.systems.graph.readers import read

    graph = read(file, labels, features)
    known = graph.labels[graph.labels >= 0]
    if len(known) == 0:
        raise BadInput(f"{file}: no labels; add them with --labels FILE ('node label' lines)")
    if len(known.unique()) < 2:
        raise BadInput(f"{file}: all labels are {int(known[0])}; there is nothing to tell apart")
    if graph.m == 0:
        raise BadInput(f"{file}: no edges; without them there is nothing to attack")
    return graph


def _checked(budgets: tuple[float, ...], graph: Graph) -> None:
    pairs = graph.n * (graph.n - 1) // 2
    for budget in budgets:
        if not budget * graph.m > 0 or int(budget * graph.m) < 1 or int(budget * graph.m) > pairs:
            raise BadInput(
                f"--budget {budget:g}: is {budget * graph.m:.1f} of {graph.m} edges; give 1 edge to {pairs} pairs"
            )


def _models(
    graph: Graph, source: Path | None, run: Any, seed: int, only: str | None = None
) -> tuple[dict[str, nn.Module], Any, Any]:
    """The models to look at, the graph as they meet it, and the nodes in question."""
    from sparring.systems.graph import store
    from sparring.systems.graph.config import Config
    from sparring.systems.graph.data import split_of
    from sparring.systems.graph.experiment import plans
    from sparring.systems.graph.training import Scene, train

    if source is not None:
        found, plan, memory = store.load(source, graph)
        new = memory.unseen(graph)
        nodes = new[graph.labels[new] >= 0]
        if len(nodes) == 0:
            raise BadInput(
                f"{graph.name}: the model was trained on, or chosen by, every labelled node; add labels of others"
            )
        return {plan.kind: found}, memory.inputs(graph), nodes
    scene = Scene.of(graph, split_of(graph, "transductive", seed))
    chosen = {name: plan for name, plan in plans(Config()).items() if only in (None, name)}
    return {n: train(p, scene, run, n) for n, p in chosen.items()}, scene.inputs, scene.split.test


def _facts(graph: Graph) -> dict[str, Any]:
    labelled = int((graph.labels >= 0).sum())
    facts = {"name": graph.name, "nodes": graph.n, "edges": graph.m, "features": graph.features.width}
    return {**facts, "labelled": labelled, "homophily": round(graph.homophily, 4), "mended": list(graph.mended)}


def _told(graph: Graph) -> None:
    facts = _facts(graph)
    typer.echo(", ".join(f"{facts[key]:,} {key}" for key in ("nodes", "edges", "features", "labelled")))
    for line in graph.mended:
        typer.echo(f"  {line}")


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
