"""Where few nodes have labels: a tower that learns from what a graph model thinks of *other* nodes.

In the transductive protocol the clean graph and all features are there in training. A GCN trained on the labels gives
soft guesses for all nodes, and towers learn features -> guesses, so that features alone say far more than the few
labels
taught. Taught on a node's own guess, a tower would know that node by heart, and so would "defend" it without seeing an
edge: a known illusion of this protocol. Therefore the unlabelled nodes are dealt into folds, and each node is read
by the
tower that never saw a guess for its fold. Nodes from outside are read by the mean of all towers.
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


class Folded(nn.Module):
    """Towers of one shape; node i is read by tower `fold[i]`, one of -1 or beyond the list by the mean of all.

    Features alone enter; the output `(n, classes)` are sharpened log probabilities.
    """

    fold: Tensor

    def __init__(self, sizes: tuple[int, ...], folds: int, nodes: int, *, drop: float, sharpness: float) -> None:
        super().__init__()
        self.towers = nn.ModuleList([Perceptron(sizes, input_drop=drop, drop=drop) for _ in range(folds)])
        self.register_buffer("fold", torch.full((nodes,), -1, dtype=torch.int64))
        self.sharpness = sharpness

    def forward(self, features: Features) -> Tensor:
        logits = torch.stack([tower(features) for tower in self.towers])
        beyond = features.rows - len(self.fold)
        fold = torch.cat([self.fold, self.fold.new_full((beyond,), -1)]) if beyond > 0 else self.fold[: features.rows]
        own = logits.gather(0, fold.clamp_min(0)[None, :, None].expand(1, -1, logits.shape[2]))[0]
        return self.sharpness * torch.where((fold >= 0)[:, None], own, logits.mean(0))


class Averaged(nn.Module):
    """The log of the mean class probabilities of several perceptrons, `(n, classes)`."""

    def __init__(self, sizes: tuple[int, ...], count: int, *, drop: float) -> None:
        super().__init__()
        self.towers = nn.ModuleList([Perceptron(sizes, input_drop=drop, drop=drop) for _ in range(count)])

    def forward(self, features: Features) -> Tensor:
        each = torch.stack([torch.softmax(tower(features), 1) for tower in self.towers])
        return each.mean(0).clamp_min(1e-6).log()


FOLDS = 4


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


def folded(plan: Plan, width: int, classes: int, nodes: int) -> ClipFlow:
    """The untrained model of a distilled plan."""
    model = ClipFlow(width, plan.hidden, classes, plan.pull, temperature=plan.temperature, drop=plan.drop)
    sizes = (width, plan.hidden, classes)
    model.tower = Folded(sizes, FOLDS, nodes, drop=plan.drop, sharpness=plan.sharpness)
    return model


def distilled(plan: Plan, scene: Scene, run: Run, name: str) -> ClipFlow:
    """Teacher, folds and towers on the scene's training graph; kept in the run folder, so a stopped run goes on."""
    from sparring.systems.graph.training import fit_tower, train

    model = folded(plan, scene.graph.features.width, scene.graph.classes, scene.graph.n)

    def tensors() -> Mapping[str, Tensor]:
        teacher = train(replace(plan, kind="gcn", epochs=12), scene, run, f"{name}-teacher")
        graph = scene.seen
        with torch.no_grad():
            guesses = torch.softmax(teacher(graph.inputs(scene.train)), 1)
        guesses[scene.train] = F.one_hot(graph.labels[scene.train], graph.classes).float()
        free = torch.ones(graph.n, dtype=torch.bool)
        free[scene.train] = False
        rest = free.nonzero().squeeze(1)
        rest = rest[torch.randperm(len(rest), generator=run.generator(f"folds/{name}"))]
        tower = cast(Folded, model.tower)
        for number, part in enumerate(rest.chunk(FOLDS)):
            tower.fold[part] = number
            others = (tower.fold != number).nonzero().squeeze(1)
            others = torch.cat([others, rest]).unique()
            others = others[~torch.isin(others, part)]
            seed = run.seed_for(f"tower/{name}/{number}")
            fitted = fit_tower(graph.features.take(others), guesses[others], plan, seed)
            tower.towers[number].load_state_dict(fitted.state_dict())
        return model.state_dict()

    model.load_state_dict(run.cached(name, tensors))
    return model.eval()
