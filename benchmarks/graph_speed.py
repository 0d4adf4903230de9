"""The graph benchmark's bars of speed and memory, in CPU seconds; run alone it measures a graph of arXiv's size."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import graph_cells as cells
import torch
from graph_cells import Bar

from sparring.engine.run import Run
from sparring.systems.graph.audit import Foes, audit, everyone
from sparring.systems.graph.clipflow import Accuracy, Pull, equilibrium
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.training import train


def training_seconds(graph: Graph, sizes: cells.Sizes) -> Bar:
    """CPU seconds to train the ClipFlow of bar 3, teacher and towers included."""
    where = cells.scene(graph, "transductive", 0)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        train(replace(cells.ROBUST, epochs=sizes.epochs), where, Run(Path(folder), 0, quiet=True), "clipflow")
        spent = time.process_time() - start
    return Bar("8 speed", "train ClipFlow on Cora, CPU s", "≤ 5", spent, None, spent <= 5)


def audit_seconds(graph: Graph, scratch: Path, sizes: cells.Sizes) -> Bar:
    """CPU seconds of an audit of four models by eight attacks at one budget."""
    where, kept = cells.scene(graph, "transductive", 0), cells.run_of(scratch, "transductive", 0)
    plans = {**{n: cells.BESIDE[n] for n in ("gcn", "grand", "rung")}, "clipflow": cells.ROBUST}
    models, foes = cells.trained(plans, where, kept, sizes), everyone(graph.labels, sizes.steps)
    edges = {n: foes.edges[n] for n in ("prbcd", "prbcd raw", "greedy", "local budgets", "dice")}
    others = {n: f for n, f in foes.others.items() if n.startswith("injection")}
    nodes = where.split.test
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        run = Run(Path(folder), 0, quiet=True)
        audit(models, where.inputs, nodes, graph.labels[nodes], Foes((0.05,), edges, others, finer=False), run, "speed")
        spent = time.process_time() - start
    return Bar("8 speed", "audit of 4 models by 8 attacks, CPU s", "≤ 300", spent, None, spent <= 300)


def large(nodes: int, edges: int, classes: int = 40, chunk: int = 8) -> list[Bar]:
    """A forward pass of ten solver steps, and a training step with its implicit gradient, `chunk` classes at a time."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(nodes, (2, edges), generator=generator)
    ends = ends[:, ends[0] != ends[1]].sort(0).values
    ends = ends[:, torch.argsort(ends[0] * nodes + ends[1])]
    weight, pull, ten = torch.ones(ends.shape[1]), Pull(), Accuracy(0.0, 10)
    logits = torch.randn((nodes, classes), generator=generator).requires_grad_()
    labels = torch.randint(classes, (nodes,), generator=generator)
    start = time.process_time()
    with torch.no_grad():
        x0 = torch.softmax(logits, 1)
        for part in x0.split(chunk, 1):
            equilibrium(part.contiguous(), ends, weight, pull, ten)
    forward = time.process_time() - start
    start = time.process_time()
    x0 = torch.softmax(logits, 1)
    x = torch.cat([equilibrium(part.contiguous(), ends, weight, pull, ten) for part in x0.split(chunk, 1)], 1)
    torch.nn.functional.cross_entropy(x / 0.1, labels).backward()
    step = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = f"{nodes:,} nodes, {edges:,} edges, {classes} classes"
    return [
        Bar("8 speed", f"forward, {size}, CPU s", "≤ 15", forward, None, forward <= 15),
        Bar("8 speed", f"training step, {size}, CPU s", "≤ 40", step, None, step <= 40),
        Bar("8 speed", f"peak memory, {size}, GiB", "≤ 4", peak, None, peak <= 4),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    small = "--quick" in sys.argv
    print(json.dumps([asdict(b) for b in large(*((20_000, 100_000) if small else (170_000, 1_200_000)))]))
