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
from sparring.systems.graph.clipflow import ClipFlow, Pull
from sparring.systems.graph.data import halves
from sparring.systems.graph.readers import from_scipy
from sparring.systems.graph.training import Plan, Scene, train


class ClipFlowClassifier:
    """A node classifier with a certificate against changes of edges and nodes.

    `fit(A, X, y)` takes a SciPy sparse or dense adjacency `(n, n)`, features `(n, d)` and labels `(n,)`, -1 where
    unknown; half of the known labels choose the epoch. `predict`, `predict_proba` and `certified` take another graph of
    the same features, or by default the one that was fitted.
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
        self.graph_, self.known_, self.classes_ = graph, split.train, np.arange(graph.classes)
        return self

    def _inputs(self, A: Any, X: Any) -> Any:
        return self.graph_.inputs(self.known_) if A is None else from_scipy(A, X, name="A, X").inputs()

    def predict_proba(self, A: Any = None, X: Any = None) -> NDArray[np.float64]:
        """Class probabilities `(n, classes)`: the flow's equilibrium, rows scaled to sum 1."""
        assert isinstance(self.model_, ClipFlow)
        with torch.no_grad():
            x = (self.model_(self._inputs(A, X)) * self.model_.temperature).clamp_min(0).double()
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
