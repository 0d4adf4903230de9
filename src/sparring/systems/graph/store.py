"""Trained models on disk, and back: weights as safetensors, the plan as data."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from sparring.engine.run import Run
from sparring.engine.weights import fill, load_model
from sparring.errors import BadInput
from sparring.systems.graph.clipflow import ClipFlow
from sparring.systems.graph.distil import Folded, ensemble, folded
from sparring.systems.graph.graph import Graph
from sparring.systems.graph.training import Plan, build


def fingerprint(graph: Graph) -> str:
    """The sha256 of features and labels: which nodes these are, whatever their edges."""
    digest = hashlib.sha256()
    for part in (graph.features.sparse.crow_indices(), graph.features.sparse.col_indices(), graph.labels):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()


def save(run: Run, model: nn.Module, plan: Plan, graph: Graph, name: str = "model") -> Path:
    """Write `NAME.safetensors` and `NAME.json` into the run folder."""
    fold = model.tower.fold if isinstance(model, ClipFlow) and isinstance(model.tower, Folded) else None
    meta: dict[str, Any] = {
        "system": "graph",
        "plan": asdict(plan),
        "width": graph.features.width,
        "classes": graph.classes,
        "nodes": None if fold is None else len(fold),
        "graph": fingerprint(graph),
    }
    return run.save_model(model, name, meta)


def load(source: Path, graph: Graph) -> tuple[nn.Module, Plan]:
    """The model of a run folder or of a .safetensors file, for use on `graph`. Raises `BadInput` if it does not fit."""
    path = source / "model.safetensors" if source.is_dir() else source
    weights, meta = load_model(path)
    try:
        plan = TypeAdapter(Plan).validate_python(meta["plan"])
        width, classes, nodes = int(meta["width"]), int(meta["classes"]), meta["nodes"]
    except (KeyError, TypeError, ValueError, ValidationError):
        raise BadInput(f"{path}: not a model of the graph system; give one that `sparring run graph` made") from None
    if width != graph.features.width:
        raise BadInput(f"{path}: was trained on {width} features a node, {graph.name} has {graph.features.width}")
    if plan.kind == "clipflow" and nodes is not None:
        model: nn.Module = folded(plan, width, classes, int(nodes))
    elif plan.kind == "clipflow" and plan.towers:
        model = ensemble(plan, width, classes)
    else:
        model = build(plan, width, classes)
    fill(model, weights, path)
    if isinstance(model, ClipFlow) and isinstance(model.tower, Folded) and meta.get("graph") != fingerprint(graph):
        model.tower.fold = torch.full((0,), -1, dtype=torch.int64)  # other nodes: all are read by the towers' mean
    return model.eval(), plan
