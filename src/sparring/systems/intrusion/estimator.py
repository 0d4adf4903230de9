"""The detector as a scikit-learn classifier, for tables of flows one already has in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from sparring.network.detector.fit import DEFAULT_AUTOENCODER, DEFAULT_SIZE, AutoencoderSize, StackSize
from sparring.network.detector.harden import Rounds
from sparring.network.schema import Feature, Schema, Table
from sparring.network.sniff import named
from sparring.systems.intrusion.adversary import sparring_partners
from sparring.systems.intrusion.data import Part
from sparring.systems.intrusion.defence import UNDEFENDED, defence, fit
from sparring.systems.intrusion.store import save

_BENIGN = ("normal", "benign", "false", "0", "0.0")


class IntrusionDetector(ClassifierMixin, BaseEstimator):
    """Attack or benign, for flows of a known format or for any numeric table.

    `fit(X, y)` takes a data frame with the schema's columns (categories as text), or an array with them in the
    schema's order (categories as text or as codes into `Feature.categories`); `y` has two classes.

    Parameters:
        schema: "nsl-kdd", "unsw-nb15" or "cicflowmeter"; None for any numeric table, of which nothing is known that
            an attacker could change, so it must come with `hardened=False`.
        false_alarms: share of benign flows that may be called attacks; thresholds come from held-out training rows.
        hardened: the layers of `defence.defence`, trained against the sparring partners; else the stack alone.
        rounds, attacked, queries: how often the training spars, with how many attacks, how many queries each.
        benign: the class that is benign; None: the one called normal, benign, False or 0, else the first.
        calibration: share of the benign training rows that is held out for the thresholds.
        size, autoencoder: sizes of the layers; None for the defaults.
        random_state: a seed or a `numpy.random.RandomState`.

    Fitted attributes: `classes_`, `benign_`, `schema_` (ranges from the training rows), `detector_`.
    """

    def __init__(
        self,
        schema: str | None = "nsl-kdd",
        *,
        false_alarms: float = 0.03,
        hardened: bool = True,
        rounds: int = 3,
        attacked: int = 2000,
        queries: int = 120,
        benign: Any = None,
        calibration: float = 0.2,
        size: StackSize | None = None,
        autoencoder: AutoencoderSize | None = None,
        random_state: Any = None,
    ) -> None:
        self.schema = schema
        self.false_alarms = false_alarms
        self.hardened = hardened
        self.rounds = rounds
        self.attacked = attacked
        self.queries = queries
        self.benign = benign
        self.calibration = calibration
        self.size = size
        self.autoencoder = autoencoder
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> IntrusionDetector:
        """Train on rows `X` and labels `y` `(n,)`. Raises `ValueError` for what cannot be trained on."""
        if not 0 < self.false_alarms <= 1 or not 0 < self.calibration < 1:
            raise ValueError("false_alarms must lie in (0, 1], calibration between 0 and 1")
        if self.schema is None and self.hardened:
            raise ValueError("hardening needs a schema that says what an attacker controls; or set hardened=False")
        table = self._table(X, reset=True, y=y)
        attack = self._attacks(y, len(next(iter(table.values()))))
        generator = torch.Generator().manual_seed(int(check_random_state(self.random_state).randint(2**31 - 1)))
        order = torch.randperm(len(attack), generator=generator)
        benign = order[~torch.as_tensor(attack)[order]]
        held = benign[: max(round(self.calibration * len(benign)), 2)]
        train = order[~torch.isin(order, held)]
        self.schema_ = self.schema_.fit({n: c[train.numpy()] for n, c in table.items()})
        x, target = torch.as_tensor(self.schema_.encode(table)), torch.as_tensor(attack.astype(np.int64))
        part = Part(x[train], target[train], np.where(attack, "attack", "benign")[train.numpy()])
        self.detector_ = fit(
            defence(self.schema_) if self.hardened else UNDEFENDED,
            self.schema_,
            part.x,
            part.y,
            x[held],
            false_alarms=self.false_alarms,
            partners=sparring_partners(self.schema_, part, self.queries) if self.hardened else (),
            rounds=Rounds(self.rounds, self.attacked),
            size=self.size or DEFAULT_SIZE,
            autoencoder=self.autoencoder or DEFAULT_AUTOENCODER,
            generator=generator,
        ).requires_grad_(False)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """`(n,)`, positive for `classes_[1]`: the detector's logit, negated if the first class is the attack."""
        check_is_fitted(self)
        x = torch.as_tensor(self.schema_.encode(self._table(X, reset=False)))
        with torch.no_grad():
            logit = self.detector_(x).numpy()
        return logit if self.classes_[0] == self.benign_ else -logit

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of every row, `(n,)`."""
        score = self.decision_function(X)
        return self.classes_[(score > 0).astype(int)]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """`(n, 2)`: the logistic function of the score, 0.5 at the threshold. It ranks rows; it is no frequency."""
        second = torch.as_tensor(self.decision_function(X)).sigmoid().numpy()
        return np.column_stack([1 - second, second])

    def save(self, folder: Path) -> Path:
        """Store the detector for `sparring intrusion detect --model FOLDER`; only with the schema of a file format."""
        check_is_fitted(self)
        return save(folder, self.detector_, self.schema_, false_alarms=self.false_alarms)

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.string = self.schema is not None
        tags.input_tags.categorical = self.schema is not None
        return tags

    def _table(self, rows: Any, *, reset: bool, y: Any = None) -> Table:
        """The rows as the schema's table, checked; on `reset` (training) also the schema, with open ranges."""
        if self.schema is None:
            options: dict[str, Any] = {"y": y} if reset else {}
            checked: Any = validate_data(self, rows, **options, reset=reset, dtype=np.float64)
            matrix = checked[0] if reset else checked
            if reset:
                self.schema_ = _numeric(matrix)
            return {name: matrix[:, i] for i, name in enumerate(self.schema_.names)}
        validate_data(self, rows, reset=reset, skip_check_array=True)
        if reset:
            self.schema_ = named(self.schema).schema
        columns = rows if hasattr(rows, "columns") else self._columns(np.asarray(rows))
        table = self.schema_.table(columns)
        for name, column in table.items():
            if not np.isfinite(column).all():
                raise ValueError(f"column {name!r} holds NaN or infinity; give finite numbers")
        return table

    def _columns(self, matrix: NDArray[Any]) -> dict[str, Any]:
        names = self.schema_.names
        if matrix.ndim != 2 or matrix.shape[1] != len(names):
            raise ValueError(f"X has shape {matrix.shape}; {self.schema} rows have {len(names)} columns")
        columns: dict[str, Any] = {name: matrix[:, i] for i, name in enumerate(names)}
        for f in self.schema_.features:
            if f.categories and not any(isinstance(v, str) for v in columns[f.name]):
                codes = columns[f.name].astype(np.int64)
                columns[f.name] = np.where((codes >= 0) & (codes < f.width), codes, -1)
        return columns

    def _attacks(self, y: Any, n: int) -> NDArray[np.bool_]:
        """Which rows are attacks, `(n,)`; sets `classes_` and `benign_`."""
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        if len(labels) != n:
            raise ValueError(f"X has {n} rows, y has {len(labels)}; give one label a row")
        self.classes_: NDArray[Any] = np.unique(labels)
        if len(self.classes_) > 2:
            kind = type_of_target(y)
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        if len(self.classes_) < 2:
            raise ValueError("the labels hold one class only; give benign rows and attacks")
        called = [c for c in self.classes_ if str(c).lower() in _BENIGN]
        self.benign_ = self.benign if self.benign is not None else (called or list[Any](self.classes_))[0]
        if self.benign_ not in self.classes_:
            raise ValueError(f"benign={self.benign!r} is no class of y, which has {self.classes_.tolist()}")
        attack: NDArray[np.bool_] = labels != self.benign_
        if min(attack.sum(), (~attack).sum()) < 4:
            raise ValueError(f"{n} rows hold fewer than 4 of one class; a detector needs more")
        return attack


def _numeric(matrix: NDArray[np.float64]) -> Schema:
    """A schema of real columns with the ranges of the rows, no relations, and nothing that an attacker controls."""
    low, high = matrix.min(0), matrix.max(0)
    names = [f"x{i}" for i in range(matrix.shape[1])]
    return Schema(
        "table", tuple(Feature(n, "real", float(a), float(b)) for n, a, b in zip(names, low, high, strict=True))
    )
