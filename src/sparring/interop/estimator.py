"""Your own PyTorch classifier, hardened, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from sparring.attacks.base import Attack
from sparring.evaluation.scorecard import Scorecard
from sparring.game import Strategy
from sparring.own import assess, harden
from sparring.threats.base import ThreatModel
from sparring.threats.lp import LInf
from sparring.typed import forked_rng


class RobustClassifier(ClassifierMixin, BaseEstimator):
    """`fit` trains a fresh module adversarially, `predict` and `predict_proba` use it, `assess` attacks it.

    Parameters:
        build: `build(features, classes) -> nn.Module` that gives logits `(n, classes)`; None for a small network.
        threat: what the adversary may do to a row; None for L∞ within 0.1 (scale your columns first).
        strategy, attack, epochs, batch_size, learning_rate: as in `sparring.harden`.
        random_state: a seed or a `numpy.random.RandomState`.

    Fitted attributes: `classes_`, `module_`, `n_features_in_`.
    """

    def __init__(
        self,
        build: Callable[[int, int], nn.Module] | None = None,
        threat: ThreatModel | None = None,
        *,
        strategy: Strategy | None = None,
        attack: Attack | None = None,
        epochs: int = 10,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.build = build
        self.threat = threat
        self.strategy = strategy
        self.attack = attack
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train on rows `X` `(n, features)` and labels `y` `(n,)`."""
        rows, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_: NDArray[Any]
        self.classes_, target = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the labels hold one class only; a classifier needs two")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with forked_rng([]):
            torch.default_generator.manual_seed(seed)
            start = (self.build or _network)(rows.shape[1], len(self.classes_))
        self.module_ = harden(
            start,
            (rows, target),
            self._threat(),
            strategy=self.strategy,
            attack=self.attack,
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=lambda parameters: torch.optim.Adam(parameters, self.learning_rate),
            seed=seed,
        )
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Logits `(n, classes)`; for two classes their difference `(n,)`, positive for `classes_[1]`."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Softmax of the logits, `(n, classes)`."""
        return torch.as_tensor(self._logits(X)).softmax(1).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of every row, `(n,)`."""
        return self.classes_[self._logits(X).argmax(1)]

    def assess(self, X: Any, y: Any, **options: Any) -> Scorecard:
        """The scorecard of the fitted module on test rows; `options` go to `sparring.assess`."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float32, reset=False)
        labels = np.asarray(y)
        if not np.isin(labels, self.classes_).all():
            raise ValueError(f"y holds classes that training never saw; known are {list(self.classes_)}")
        target = np.searchsorted(self.classes_, labels)
        return assess({type(self).__name__: self.module_}, (rows, target), self._threat(), **options)

    def _threat(self) -> ThreatModel:
        return LInf(0.1) if self.threat is None else self.threat

    def _logits(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        rows = torch.as_tensor(validate_data(self, X, dtype=np.float32, reset=False))
        with torch.no_grad():
            return self.module_(rows).numpy()


def _network(features: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))
