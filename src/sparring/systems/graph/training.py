"""How the models are trained: through the engine's loop, each on its graph, chosen on validation nodes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.game import Batch, Game, State, StepResult, Task
from sparring.objectives import Objective
from sparring.strategies.base import descend
from sparring.strategies.standard import Standard
from sparring.systems.graph.attacks.edges import EdgeAttack, Goal, flipped
from sparring.systems.graph.baselines import GAT, GCN, MLP, RUNG
from sparring.systems.graph.clipflow import ClipFlow, Pull
from sparring.systems.graph.data import Split
from sparring.systems.graph.flows import Flow, FlowPlan
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import Features

Kind = Literal["mlp", "gcn", "gat", "rung", "flow", "clipflow"]


@dataclass(frozen=True)
class Plan:
    """One model: its kind, sizes and training. `hide` is the share of the training labels that a step hides and
    asks for;
    the others are public to the model, as they will be at inference.

    A ClipFlow's tower is `distilled` from a graph model where the split is transductive (`distil.py`), made of `towers`
    perceptrons that were trained alone and are averaged where that is not 0, and trained through the flow otherwise.

    `certified` trains for this many changed edges at every node: the worst case of the certificate, 2 D c / lam, is
    taken
    off the true class inside the loss (ClipFlow alone). `spar` is the share of edges that an adversary flips in each
    training step (0: none).
    """

    kind: Kind = "clipflow"
    hidden: int = 64
    drop: float = 0.5
    flow: FlowPlan | None = None
    pull: Pull = field(default_factory=Pull)
    temperature: float = 0.1
    distilled: bool = True
    sharpness: float = 2.0
    towers: int = 0
    certified: int = 0
    gamma: float = 3.0
    hide: float = 1.0
    spar: float = 0.0
    rate: float = 0.01
    decay: float = 5e-4
    epochs: int = 20
    steps: int = 8


def build(plan: Plan, width: int, classes: int) -> nn.Module:
    """The untrained model of a plan, for features of this width."""
    size, drop = (width, plan.hidden, classes), plan.drop
    match plan.kind:
        case "mlp":
            return MLP(*size, drop=drop)
        case "gcn":
            return GCN(*size, drop=drop)
        case "gat":
            return GAT(width, max(1, plan.hidden // 4), classes, drop=drop)
        case "rung":
            return RUNG(*size, gamma=plan.gamma, drop=drop)
        case "flow":
            return Flow(*size, plan.flow, drop=drop)
        case "clipflow":
            return ClipFlow(*size, plan.pull, temperature=plan.temperature, input_drop=drop, drop=drop)


@dataclass(frozen=True)
class Scene:
    """A graph and its split as training sees it: `graph` holds training nodes alone where the split is inductive."""

    graph: Graph
    split: Split
    seen: Graph
    train: Tensor
    judged: Graph
    valid: Tensor

    @classmethod
    def of(cls, graph: Graph, split: Split) -> Scene:
        """Training graph, and the graph with validation nodes for choosing; the test nodes are in neither if
        inductive.
        """
        if not split.inductive:
            return cls(graph, split, graph, split.train, graph, split.valid)
        k, v = len(split.train), len(split.valid)
        judged = graph.induced(torch.cat([split.train, split.valid]))
        return cls(graph, split, graph.induced(split.train), torch.arange(k), judged, torch.arange(k, k + v))

    @property
    def inputs(self) -> Inputs:
        """The whole graph as a model meets it in the test: labels of training nodes are public."""
        return self.graph.inputs(self.split.train)


class OnGraph(nn.Module):
    """A model on one graph as a defender of the engine: node numbers `(k,)` to logits `(k, classes)`.

    In training the labels of the asked nodes are hidden and those of the other training nodes are public.
    """

    def __init__(self, model: nn.Module, graph: Graph, train: Tensor) -> None:
        super().__init__()
        self.model = model
        self.graph, self.public = graph, train
        self.inputs: Inputs | None = None

    def scene(self, nodes: Tensor) -> Inputs:
        """The graph with the labels of all training nodes but `nodes` public."""
        shown = self.inputs or self.graph.inputs(self.public)
        known = shown.known.clone()
        known[nodes] = -1
        return replace(shown, known=known)

    def forward(self, nodes: Tensor) -> Tensor:
        return self.model(self.scene(nodes))[nodes]


@dataclass(frozen=True, kw_only=True)
class GraphAT(Standard):
    """Adversarial training on the graph: the adversary flips edges against the current model, then the model descends.

    Inductive splits only: with all test nodes in the training graph a model can learn to answer by heart, and looks
    robust without being so (Gosch et al., NeurIPS 2023, section 3).
    """

    share: float = 0.05

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        defender = cast(OnGraph, state.unwrap(game.defender))
        attack = cast(EdgeAttack, game.adversary)
        clean = defender.graph.inputs(defender.public)
        goal = Goal(batch[0], batch[1], max(1, int(self.share * clean.edges.shape[1])))
        defender.model.eval()
        pairs = attack(defender.model, defender.scene(batch[0]), goal, state.generator("attack"))
        defender.model.train()
        defender.inputs = flipped(clean, pairs)
        try:
            return descend(self.loss(game, batch, batch[0]), state)
        finally:
            defender.inputs = None


def train(plan: Plan, scene: Scene, run: Run, name: str, adversary: EdgeAttack | None = None) -> nn.Module:
    """Train the plan's model on the scene's training graph, choose the epoch on validation nodes, return it ready."""
    if plan.spar and not scene.split.inductive:
        raise ValueError("adversarial training needs an inductive split: a transductive one can be learned by heart")
    if plan.kind == "clipflow" and plan.distilled and not scene.split.inductive:
        from sparring.systems.graph.distil import distilled

        return distilled(plan, scene, run, name)
    if plan.kind == "clipflow" and plan.towers:
        from sparring.systems.graph.distil import averaged

        return averaged(plan, scene, run, name)
    model = seeded(plan, scene, run, name)
    labels, size = scene.seen.labels, max(1, round(plan.hide * len(scene.train)))

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        for _ in range(plan.steps):
            asked = scene.train[torch.randperm(len(scene.train), generator=generator)[:size]]
            yield asked, labels[asked]

    task = Task(
        game=Game(OnGraph(model, scene.seen, scene.train), adversary, _payoff(plan), None),
        strategy=GraphAT(share=plan.spar) if plan.spar else Standard(),
        data=batches,
        batches=plan.steps,
        epochs=plan.epochs,
        optimizers=lambda game: {
            "defender": torch.optim.Adam(game.defender.parameters(), lr=plan.rate, weight_decay=plan.decay)
        },
        validate=lambda defender: _figures(plan, cast(OnGraph, defender).model, scene),
        select="score",
    )
    found = run.train(task, name)
    return cast(OnGraph, found).model.eval()


def seeded(plan: Plan, scene: Scene, run: Run, name: str) -> nn.Module:
    """The untrained model, its weights drawn from the run's own stream."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(run.seed_for(f"init/{name}"))
        return build(plan, scene.graph.features.width, scene.graph.classes)


def _payoff(plan: Plan) -> Objective:
    """Cross entropy; with certified training, of the worst case that the certificate allows."""
    handicap = 2 * plan.certified * plan.pull.c / plan.pull.lam / plan.temperature if plan.kind == "clipflow" else 0.0

    def payoff(logits: Tensor, labels: Tensor) -> Tensor:
        worst = logits - handicap * F.one_hot(labels, logits.shape[1]) if handicap else logits
        return F.cross_entropy(worst, labels, reduction="none")

    return payoff


def _figures(plan: Plan, model: nn.Module, scene: Scene) -> Mapping[str, float]:
    with torch.no_grad():
        logits = model(scene.judged.inputs(scene.train))[scene.valid]
    labels = scene.judged.labels[scene.valid]
    loss = float(_payoff(plan)(logits, labels).mean())
    accuracy = float((logits.argmax(1) == labels).double().mean())
    return {"accuracy": accuracy, "loss": loss, "score": accuracy - 0.01 * min(loss, 10.0)}


def fit_tower(features: Features, targets: Tensor, plan: Plan, seed: int, steps: int = 70) -> nn.Module:
    """A perceptron fitted to soft targets `(n, classes)` on features `(n, d)` by full-batch Adam."""
    from sparring.systems.graph.baselines import Perceptron

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        tower = Perceptron((features.width, plan.hidden, targets.shape[1]), input_drop=plan.drop, drop=plan.drop)
        optimiser = torch.optim.Adam(tower.parameters(), lr=plan.rate, weight_decay=plan.decay)
        for _ in range(steps):
            optimiser.zero_grad()
            F.cross_entropy(tower(features), targets).backward()
            optimiser.step()
    return tower.eval()
