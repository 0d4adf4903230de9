"""Where few nodes have labels: a tower that learns from what a graph model thinks of *other* nodes.

In the transductive protocol the clean graph and all features are there in training. A GCN trained on the labels gives
soft guesses for all nodes, and towers learn features -> guesses, so that features alone say far more than the few
labels taught. Taught on a node's own guess, a tower would know that node by heart, and so would "defend" it without
seeing an edge: a known illusion of this protocol. Therefore nodes are dealt into folds, and each is read by the tower
that never saw a guess for its fold. The fold is a hash of the node's own features: it stays the same when edges change,
nodes come or go, or their order changes, so that a certificate of one graph speaks of the same reader on the next.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.systems.graph.baselines import MLP, Perceptron
from sparring.systems.graph.clipflow import ClipFlow
from sparring.systems.graph.sparse import Features

if TYPE_CHECKING:
    from sparring.systems.graph.training import Plan, Scene

FOLDS = 4


class Folded(nn.Module):
    """Towers of one shape; each node is read by the tower of its fold. Features alone enter.

    The output `(n, classes)` are sharpened log probabilities.
    """

    def __init__(self, sizes: tuple[int, ...], *, drop: float, sharpness: float) -> None:
        super().__init__()
        self.towers = nn.ModuleList([Perceptron(sizes, input_drop=drop, drop=drop) for _ in range(FOLDS)])
        self.sharpness = sharpness

    def forward(self, features: Features) -> Tensor:
        logits = torch.stack([tower(features) for tower in self.towers])
        return self.sharpness * logits[folds(features), torch.arange(features.rows)]


def folds(features: Features) -> Tensor:
    """The fold of every node, `(n,)` in 0 ... FOLDS - 1."""
    return features.keys() % FOLDS


class Averaged(nn.Module):
    """The log of the mean class probabilities of several perceptrons, `(n, classes)`."""

    def __init__(self, sizes: tuple[int, ...], count: int, *, drop: float) -> None:
        super().__init__()
        self.towers = nn.ModuleList([Perceptron(sizes, input_drop=drop, drop=drop) for _ in range(count)])

    def forward(self, features: Features) -> Tensor:
        each = torch.stack([torch.softmax(tower(features), 1) for tower in self.towers])
        return each.mean(0).clamp_min(1e-6).log()


def ensemble(plan: Plan, width: int, classes: int) -> ClipFlow:
    """The untrained model of a plan with `towers`."""
    model = ClipFlow(width, plan.hidden, classes, plan.pull, temperature=plan.temperature, drop=plan.drop)
    model.tower = Averaged((width, plan.hidden, classes), plan.towers, drop=plan.drop)
    return model


def averaged(plan: Plan, scene: Scene, run: Run, name: str) -> ClipFlow:
    """Perceptrons trained on labels alone, each from its own start, below one flow."""
    from sparring.systems.graph.training import train

    model = ensemble(plan, scene.graph.features.width, scene.graph.classes)
    for number, tower in enumerate(cast(Averaged, model.tower).towers):
        blind = cast(MLP, train(replace(plan, kind="mlp"), scene, run, f"{name}-tower-{number}"))
        tower.load_state_dict(blind.tower.state_dict())
    return model.eval()


def folded(plan: Plan, width: int, classes: int) -> ClipFlow:
    """The untrained model of a distilled plan."""
    model = ClipFlow(width, plan.hidden, classes, plan.pull, temperature=plan.temperature, drop=plan.drop)
    sizes = (width, plan.hidden, classes)
    model.tower = Folded(sizes, drop=plan.drop, sharpness=plan.sharpness)
    return model


def distilled(plan: Plan, scene: Scene, run: Run, name: str) -> ClipFlow:
    """Teacher, folds and towers on the scene's training graph; kept in the run folder, so a stopped run goes on."""
    from sparring.systems.graph.training import fit_tower, train

    model = folded(plan, scene.graph.features.width, scene.graph.classes)

    def tensors() -> Mapping[str, Tensor]:
        teacher = train(replace(plan, kind="gcn", epochs=12), scene, run, f"{name}-teacher")
        graph = scene.seen
        with torch.no_grad():
            guesses = torch.softmax(teacher(graph.inputs(scene.train)), 1)
        guesses[scene.train] = F.one_hot(graph.labels[scene.train], graph.classes).float()
        fold = folds(graph.features)
        fold[scene.train] = -1  # their labels are no guesses: every tower may learn them
        for number, tower in enumerate(cast(Folded, model.tower).towers):
            others = (fold != number).nonzero().squeeze(1)
            seed = run.seed_for(f"tower/{name}/{number}")
            fitted = fit_tower(graph.features.take(others), guesses[others], plan, seed)
            tower.load_state_dict(fitted.state_dict())
        return model.state_dict()

    model.load_state_dict(run.cached(name, tensors))
    return model.eval()
