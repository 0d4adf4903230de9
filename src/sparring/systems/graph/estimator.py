"""ClipFlow as a scikit-learn style estimator on (A, X, y)."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sparring.engine.run import Run
from sparring.systems.graph.certificate import certify
from sparring.systems.graph.clipflow import EXACT, ClipFlow, Pull, solve
from sparring.systems.graph.data import halves
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.readers import from_scipy
from sparring.systems.graph.store import Memory
from sparring.systems.graph.training import Plan, Scene, train


class ClipFlowClassifier:
    """A node classifier with a certificate against changes of edges and nodes.

    `fit(A, X, y)` takes a SciPy sparse or dense adjacency `(n, n)`, features `(n, d)` and labels `(n,)`, -1 where
    unknown; half of the known labels choose the epoch. Nodes are known again by their features, in any order, and so
    are the labels that were trained on. Without X positional features are made from A: then the certificate speaks of
    that A's features alone. `predict`, `predict_proba` and `certified` take another graph of the same features, or by
    default the one that was fitted.
    """

    def __init__(self, c: float = 0.05, lam: float = 0.5, hidden: int = 64, epochs: int = 20, random_state: int = 0):
        self.c, self.lam, self.hidden, self.epochs, self.random_state = c, lam, hidden, epochs, random_state

    def fit(self, A: Any, X: Any, y: ArrayLike) -> Self:
        graph = from_scipy(A, X, np.asarray(y), name="A, X, y")
        split = halves(graph.labels, self.random_state)
        plan = Plan(pull=Pull(self.c, self.lam), hidden=self.hidden, epochs=self.epochs)
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), self.random_state, quiet=True)
            self.model_ = train(plan, Scene.of(graph, split), run, "model")
        self.graph_, self.classes_ = graph, np.arange(graph.classes)
        self.memory_ = Memory.of(graph, split.train, split.valid)
        return self

    def _inputs(self, A: Any, X: Any) -> Inputs:
        return self.memory_.inputs(self.graph_ if A is None else from_scipy(A, X, name="A, X"))

    def predict_proba(self, A: Any = None, X: Any = None) -> NDArray[np.float64]:
        """Class probabilities `(n, classes)`: the flow's equilibrium, rows scaled to sum 1."""
        assert isinstance(self.model_, ClipFlow)
        inputs = self._inputs(A, X)
        with torch.no_grad():  # as exactly as the certificate, so that both speak of the same answer
            anchors, weight = self.model_.anchors(inputs).double(), inputs.weight.double()
            x = solve(anchors, inputs.edges, weight, self.model_.pull, EXACT)[0].clamp_min(0)
        return (x / x.sum(1, keepdim=True)).numpy()

    def predict(self, A: Any = None, X: Any = None) -> NDArray[np.int64]:
        """Classes `(n,)`."""
        return self.predict_proba(A, X).argmax(1)

    def certified(self, A: Any = None, X: Any = None) -> NDArray[np.int64]:
        """`(n,)`: how many edges may change at *every* node at once before this node's class can change."""
        assert isinstance(self.model_, ClipFlow)
        return certify(self.model_, self._inputs(A, X)).changes().numpy()

    def score(self, A: Any, X: Any, y: ArrayLike) -> float:
        """Accuracy on the nodes whose label is not -1."""
        truth = np.asarray(y)
        return float((self.predict(A, X) == truth)[truth >= 0].mean())
