"""Where the flows come from, and how they are split so that nothing leaks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data import sources
from sparring.engine.run import Run
from sparring.evaluation.scorecard import Data
from sparring.network import (
    FlowRows,
    Schema,
    cicflowmeter_file,
    drop_duplicates,
    nslkdd_file,
    read,
    unsw_file,
)
from sparring.network.generator import generate
from sparring.systems.intrusion.config import Config

_CALIBRATION = 0.2
"""Share of the training rows that no layer is fitted on: thresholds come from their benign part."""


@dataclass(frozen=True)
class Part:
    """Rows of one role: `x` `(n, schema.width)` float64, `y` `(n,)` 1 = attack, `family` `(n,)` names."""

    x: Tensor
    y: Tensor
    family: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> Part:
        """The rows at these indices."""
        return Part(self.x[rows], self.y[rows], self.family[rows.numpy()])

    @property
    def benign(self) -> Tensor:
        """The benign rows' features."""
        return self.x[self.y == 0]


@dataclass(frozen=True)
class Traffic:
    """One split of one data set. `schema` has its ranges from the training part alone."""

    schema: Schema
    format: str
    train: Part
    calibration: Part
    test: Part
    records: tuple[Data, ...]


def load(config: Config, run: Run, seed: int) -> Traffic:
    """The data set of the configuration, split by `seed`.

    NSL-KDD comes with its own test file. UNSW-NB15 and CICFlowMeter files lose their duplicate rows *before* the
    split, 70 to 30. The embedded traffic has test days with other load and with families that training never saw.
    Raises `BadInput` where a file is missing or malformed; nothing is ever replaced by generated traffic.
    """
    generator = run.generator(f"data/{seed}")
    if config.data == "embedded":
        days = generate(seed=run.seed_for(f"traffic/{seed}"))
        return _joined("cicflowmeter", days.train, days.test, days.records, config, generator)
    if config.data == "nsl-kdd":
        train, test = (sources.locate("nsl-kdd", name, run.data) for name in ("KDDTrain+.txt.gz", "KDDTest+.txt.gz"))
        rows = read(train, nslkdd_file()), read(test, nslkdd_file())
        records = _record("KDDTrain+", train, len(rows[0]), "training"), _record("KDDTest+", test, len(rows[1]), "test")
        return _joined("nsl-kdd", *rows, records, config, generator)
    form = unsw_file() if config.data == "unsw-nb15" else cicflowmeter_file()
    path = sources.locate("unsw-nb15" if config.data == "unsw-nb15" else "cic-ddos2019", None, run.data)
    everything = read(path, form)
    rows = drop_duplicates(everything)
    note = f"{len(everything) - len(rows):,} duplicate rows dropped before the split"
    order = torch.randperm(len(rows), generator=generator).numpy()
    cut = round(0.7 * len(order))
    record = _record(form.name, path, len(rows), "training and test", note)
    return _joined(config.data, rows.take(order[:cut]), rows.take(order[cut:]), (record,), config, generator)


def _joined(
    form: str, train: FlowRows, test: FlowRows, records: tuple[Data, ...], config: Config, generator: torch.Generator
) -> Traffic:
    """Draw the training rows, hold out the calibration rows, fit the schema's open ranges on training rows alone.

    Only new rows are held out and tested: one that training has seen, byte for byte, measures memory.
    """
    schema = {"nsl-kdd": nslkdd_file, "unsw-nb15": unsw_file, "cicflowmeter": cicflowmeter_file}[form]().schema
    order = torch.randperm(len(train), generator=generator)
    wanted = round(config.train_rows / (1 - _CALIBRATION)) if config.train_rows else len(order)
    order = order[:wanted].numpy()
    held = round(_CALIBRATION * len(order))
    calibration, fitting = train.take(order[:held]), train.take(order[held:])
    if form == "cicflowmeter":  # the benchmarks' own files are kept as they are published
        calibration, test = unseen(calibration, fitting), unseen(test, fitting)
    schema = schema.fit(fitting.table)
    return Traffic(
        schema, form, _part(schema, fitting), _part(schema, calibration), _part(schema, test), tuple(records)
    )


def unseen(rows: FlowRows, known: FlowRows) -> FlowRows:
    """The rows whose features do not occur among the known ones."""
    old, new = (np.column_stack([np.asarray(c, np.float64) for c in part.table.values()]) for part in (known, rows))
    met = {row.tobytes() for row in old}
    return rows.take(np.array([row.tobytes() not in met for row in new], dtype=bool))


def _part(schema: Schema, rows: FlowRows) -> Part:
    y = torch.as_tensor(rows.attack.astype(np.int64))
    assert rows.family is not None
    return Part(torch.as_tensor(schema.encode(rows.table)), y, rows.family.astype(str))


def _record(name: str, path: Path, rows: int, role: str, note: str = "") -> Data:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Data(name=name, source="real", rows=rows, sha256=digest, role=role, note=note)
