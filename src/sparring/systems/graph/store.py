"""Trained models on disk, and back: weights as safetensors, the plan as data."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.engine.weights import fill, load_model
from sparring.errors import BadInput
from sparring.systems.graph.clipflow import ClipFlow
from sparring.systems.graph.distil import Folded, ensemble, folded
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.training import Plan, build


@dataclass(frozen=True)
class Memory:
    """The nodes that a model has met, by the hashes of their features, so that they are known again in any graph.

    `known` are those whose labels are public at inference, with `labels`; `seen` those and the ones that the model was
    chosen by. Nodes that share their features with another one are not among `known`: a hash does not tell them apart.
    """

    known: Tensor
    labels: Tensor
    seen: Tensor

    @classmethod
    def of(cls, graph: Graph, train: Tensor, valid: Tensor) -> Memory:
        """For the training and validation nodes of a graph."""
        keys = graph.features.keys()
        unique, counts = keys.unique(return_counts=True)
        alone = train[torch.isin(keys[train], unique[counts == 1])]
        return cls(keys[alone], graph.labels[alone], keys[torch.cat([train, valid])].unique())

    def inputs(self, graph: Graph) -> Inputs:
        """A graph as the model meets it: labels of known nodes are public, wherever those nodes stand now."""
        keys, shown = graph.features.keys(), graph.inputs()
        order = torch.argsort(self.known)
        at = order[torch.searchsorted(self.known[order], keys).clamp(max=len(order) - 1)] if len(order) else None
        if at is None:
            return shown
        return replace(shown, known=torch.where(self.known[at] == keys, self.labels[at], -1))

    def unseen(self, graph: Graph) -> Tensor:
        """The nodes `(k,)` of a graph that the model has not met."""
        return (~torch.isin(graph.features.keys(), self.seen)).nonzero().squeeze(1)


def save(run: Run, model: nn.Module, plan: Plan, graph: Graph, memory: Memory, name: str = "model") -> Path:
    """Write `NAME.safetensors` and `NAME.json` into the run folder."""
    meta: dict[str, Any] = {
        "system": "graph",
        "plan": asdict(plan),
        "width": graph.features.width,
        "classes": graph.classes,
        "distilled": isinstance(model, ClipFlow) and isinstance(model.tower, Folded),
        "memory": {key: value.tolist() for key, value in vars(memory).items()},
    }
    return run.save_model(model, name, meta)


def load(source: Path, graph: Graph) -> tuple[nn.Module, Plan, Memory]:
    """The model of a run folder or of a .safetensors file, for use on `graph`, and the nodes it has met.

    Raises `BadInput` if it does not fit.
    """
    path = source / "model.safetensors" if source.is_dir() else source
    weights, meta = load_model(path)
    try:
        plan = TypeAdapter(Plan).validate_python(meta["plan"])
        width, classes = int(meta["width"]), int(meta["classes"])
        met = {key: torch.tensor(meta["memory"][key], dtype=torch.int64) for key in ("known", "labels", "seen")}
        if any(v.dim() != 1 for v in met.values()) or len(met["known"]) != len(met["labels"]):
            raise ValueError("the memory's parts do not fit together")
    except (KeyError, TypeError, ValueError, RuntimeError, ValidationError):
        raise BadInput(f"{path}: not a model of the graph system; give one that `sparring run graph` made") from None
    if width != graph.features.width:
        raise BadInput(f"{path}: was trained on {width} features a node, {graph.name} has {graph.features.width}")
    if plan.kind == "clipflow" and meta.get("distilled"):
        model: nn.Module = folded(plan, width, classes)
    elif plan.kind == "clipflow" and plan.towers:
        model = ensemble(plan, width, classes)
    else:
        model = build(plan, width, classes)
    fill(model, weights, path)
    return model.eval(), plan, Memory(**met)
