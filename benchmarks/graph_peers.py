"""Our PRBCD beside PyTorch Geometric's, on the same trained GCN, nodes, budgets and graph.

    pip install torch_geometric==2.8.1     # into a throw-away environment; the package never needs it
    SPARRING_DATA=FOLDER python benchmarks/graph_peers.py [--seeds 5] [--scratch FOLDER]

The GCN comes from the scratch folder of benchmarks/graph.py (trained there if it is missing), and so do our attacks.
The peer has its own defaults: tanh margin, 125 steps with the last 25 on a fixed block, 20 draws; the block is of our
size.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import graph_cells as cells
import numpy as np
import torch
from form import Bar, write
from torch import Tensor, nn

from sparring.evaluation.statistics import seed_mean
from sparring.systems.graph.audit import Foes, adaptive
from sparring.systems.graph.inputs import Inputs

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = (0.05, 0.1, 0.2)


class Asked(nn.Module):
    """Our model as PyTorch Geometric calls one: `(x, edge_index, edge_weight)`, each edge in both directions."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        once = edge_index[0] < edge_index[1]
        weight = torch.ones(edge_index.shape[1]) if edge_weight is None else edge_weight
        shown = Inputs(self.inputs.features, edge_index[:, once], weight[once], self.inputs.known)
        return self.model(shown)


def left_by_peer(model: nn.Module, inputs: Inputs, nodes: Tensor, labels: Tensor, flips: int, block: int) -> float:
    """Percent of the nodes still right after the peer's attack."""
    from torch_geometric.contrib.nn import PRBCDAttack

    asked = Asked(model, inputs)
    both = torch.cat([inputs.edges, inputs.edges.flip(0)], 1)
    attack = PRBCDAttack(asked, block_size=block, loss="tanh_margin", log=False)
    changed, _ = attack.attack(torch.zeros((inputs.n, 1)), both, labels, flips, nodes)
    with torch.no_grad():
        right = asked(torch.zeros(0), changed)[nodes].argmax(1) == labels[nodes]
    return cells.percent(right)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=ROOT / "runs" / "benchmarks" / "graph")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*contains experimental code.*")
    graph, sizes, seeds = cells.cora(), cells.Sizes(), tuple(range(chosen.seeds))
    ours: dict[float, list[float]] = {b: [] for b in BUDGETS}
    peer: dict[float, list[float]] = {b: [] for b in BUDGETS}
    only = {name: foe for name, foe in adaptive(sizes.steps, sizes.block).items() if name != "greedy"}
    for seed in seeds:
        where, run = cells.scene(graph, "transductive", seed), cells.run_of(chosen.scratch, "transductive", seed)
        plans = {"gcn": cells.BESIDE["gcn"]}
        foes = Foes(BUDGETS, only, finer=False)
        found = cells.attacked(graph, "transductive", seed, plans, foes, chosen.scratch, sizes, "edges")
        model = cells.trained(plans, where, run, sizes)["gcn"]
        for budget in BUDGETS:
            torch.manual_seed(seed)  # the peer draws from torch's own stream
            np.random.seed(seed)
            flips = max(1, int(budget * graph.m))
            ours[budget].append(cells.percent(found.worst("gcn", budget).right))
            left = left_by_peer(model, where.inputs, where.split.test, graph.labels, flips, sizes.block)
            peer[budget].append(left)
            print(f"seed {seed}, {budget:.0%}: ours {ours[budget][-1]:.1f}, peer {left:.1f}", flush=True)
    bars: list[Bar] = []
    for budget in BUDGETS:
        gap = seed_mean([a - b for a, b in zip(ours[budget], peer[budget], strict=True)])
        beside = {"ours": float(np.mean(ours[budget])), "PyTorch Geometric": float(np.mean(peer[budget]))}
        metric = f"accuracy of the GCN left by our PRBCD less that left by the peer's, {budget:.0%} of the edges"
        holds = gap.value <= 1
        bars.append(Bar("attack strength", metric, "≤ 1 point", gap.value, gap.interval, holds, beside))
    command = "SPARRING_DATA=FOLDER python benchmarks/graph_peers.py"
    print(write("graph_peers", command, "Cora, largest connected component, the five published splits", seeds, bars))


if __name__ == "__main__":
    main()
