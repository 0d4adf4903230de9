"""Tree ensembles as plain tensors: taken over from the libraries that train them, checked, evaluated all at once.

A `Forest` is stored and loaded as arrays alone, so nothing is ever unpickled; arrays from a file are checked
before the first use, so that a crafted file can neither read out of bounds nor loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.errors import BadInput

_CHUNK = 512
"""Rows at a time: node indices of that many rows times the trees stay in the cache."""

_MOST_NODES, _MOST_DEPTH = 2**30, 512
"""Beyond these a file is refused: indices would overflow, or a crafted chain would take for ever."""


class Forest(nn.Module):
    """The sum of the trees' leaf values: `(n, width) -> (n,)` float64, no gradient.

    Nodes of all trees in one array; `child[i]` is where a row goes from node `i` when `x[feature] <= threshold`
    and otherwise. A leaf is its own child; every other child lies behind its parent. Inputs are compared as
    float32, as scikit-learn does.
    """

    feature: Tensor
    threshold: Tensor
    child: Tensor
    value: Tensor
    root: Tensor

    def __init__(self, width: int, nodes: int, trees: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("feature", torch.zeros(nodes, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(nodes, dtype=torch.float32))
        self.register_buffer("child", torch.arange(nodes, dtype=torch.int32).repeat_interleave(2).reshape(nodes, 2))
        self.register_buffer("value", torch.zeros(nodes, dtype=torch.float64))
        self.register_buffer("root", torch.zeros(trees, dtype=torch.int32))
        self._depth: int | None = None
        cast(Any, self).register_load_state_dict_post_hook(_forget)

    @classmethod
    def from_arrays(cls, width: int, trees: Sequence[Mapping[str, NDArray[Any]]]) -> Forest:
        """From one mapping a tree: `feature`, `threshold`, `left`, `right` (-1 in leaves), `value`, root first."""
        forest = cls(width, sum(len(t["feature"]) for t in trees), len(trees))
        parts: dict[str, list[NDArray[Any]]] = {n: [] for n in ("feature", "threshold", "child", "value")}
        start, roots = 0, list[int]()
        for tree in trees:
            leaf, own = tree["left"] < 0, np.arange(len(tree["left"]))
            parts["feature"].append(np.where(leaf, 0, tree["feature"]))
            parts["threshold"].append(np.where(leaf, 0.0, _float32_below(tree["threshold"])))
            sides = (np.where(leaf, own, tree[side]) + start for side in ("left", "right"))
            parts["child"].append(np.stack(tuple(sides), axis=1))
            parts["value"].append(np.where(leaf, tree["value"], 0.0))
            roots.append(start)
            start += len(own)
        for name, pieces in parts.items():
            buffer = getattr(forest, name)
            buffer.copy_(torch.as_tensor(np.concatenate(pieces)))
        forest.root.copy_(torch.tensor(roots))
        forest.check()
        return forest

    @classmethod
    def from_sklearn(cls, ensemble: Any) -> Forest:
        """A fitted `ExtraTreesClassifier` or `RandomForestClassifier` of two classes: the probability of the second."""
        trees: list[dict[str, NDArray[Any]]] = []
        for member in ensemble.estimators_:
            t = member.tree_
            share = t.value[:, 0, 1] / t.value[:, 0, :].sum(1) / len(ensemble.estimators_)
            trees.append(
                {
                    "feature": t.feature,
                    "threshold": t.threshold,
                    "left": t.children_left,
                    "right": t.children_right,
                    "value": share,
                }
            )
        return cls.from_arrays(ensemble.n_features_in_, trees)

    @classmethod
    def from_lightgbm(cls, booster: Any) -> Forest:
        """A LightGBM `Booster` with numerical splits and one output: the raw score (log odds for a binary task)."""
        model = booster.dump_model()
        if model["num_tree_per_iteration"] != 1:
            raise ValueError("a Forest has one output: train a binary or a regression booster")
        return cls.from_arrays(model["max_feature_idx"] + 1, [_grown(t["tree_structure"]) for t in model["tree_info"]])

    @property
    def depth(self) -> int:
        """Splits on the longest way from a root to a leaf; the first call checks the arrays."""
        if self._depth is None:
            self._depth = self.check()
        return self._depth

    def check(self) -> int:
        """The depth, if the arrays are a forest. Raises `BadInput` that names the first bad array."""
        feature, child, root = (t.cpu().numpy() for t in (self.feature, self.child, self.root))
        nodes, own = len(feature), np.arange(len(feature))
        leaf = (child == own[:, None]).all(1)
        forward = (child > own[:, None]).all(1) & (child < nodes).all(1)
        checks = {
            "feature": ((feature >= 0) & (feature < self.width)).all(),
            "child": nodes < _MOST_NODES and (leaf | forward).all(),
            "root": ((root >= 0) & (root < nodes)).all(),
            "threshold": bool(torch.isfinite(self.threshold).all()),
            "value": bool(torch.isfinite(self.value).all()),
        }
        for name, good in checks.items():
            if not good:
                raise BadInput(f"forest: tensor {name!r} does not describe trees; use the file as it was saved")
        at, depth = np.unique(root), 0
        while not leaf[at].all():
            at, depth = np.unique(child[at[~leaf[at]]]), depth + 1
            if depth > _MOST_DEPTH:
                raise BadInput(f"forest: a tree is deeper than {_MOST_DEPTH} splits; use the file as it was saved")
        self._depth = depth
        return depth

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the leaf values that each row reaches."""
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ValueError(f"the forest reads (n, {self.width}), got {tuple(x.shape)}")
        rows = np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
        feature, threshold, child, value, root = (
            t.cpu().numpy() for t in (self.feature, self.threshold, self.child.reshape(-1), self.value, self.root)
        )
        depth, out = self.depth, np.empty(len(rows))
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            flat, base = chunk.reshape(-1), (np.arange(len(chunk), dtype=np.int32) * self.width)[:, None]
            node = np.repeat(root[None], len(chunk), axis=0)
            for _ in range(depth):
                node = child.take(2 * node + (flat.take(base + feature.take(node)) > threshold.take(node)))
            out[start : start + _CHUNK] = value.take(node).sum(1)
        return torch.as_tensor(out).to(x.device)


def _forget(forest: nn.Module, _keys: Any) -> None:
    forest._depth = None  # type: ignore[assignment]


def _float32_below(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 at or below each threshold: `x <= threshold` is then the same for every float32 x."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def _grown(node: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """A tree of LightGBM's `dump_model` as arrays, parents before children."""
    order: list[Mapping[str, Any]] = [node]
    left, right = list[int](), list[int]()
    for current in order:  # the list grows while it is read
        inner = "split_feature" in current
        if inner and current["decision_type"] != "<=":
            raise ValueError("categorical splits are not supported: encode categories as columns of 0 and 1")
        left.append(len(order) if inner else -1)
        right.append(len(order) + 1 if inner else -1)
        if inner:
            order += [current["left_child"], current["right_child"]]
    return {
        "feature": np.array([n.get("split_feature", 0) for n in order]),
        "threshold": np.array([n.get("threshold", 0.0) for n in order]),
        "left": np.array(left),
        "right": np.array(right),
        "value": np.array([n.get("leaf_value", 0.0) for n in order]),
    }
