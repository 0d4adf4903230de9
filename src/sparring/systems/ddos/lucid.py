"""Baseline: a small convolutional network on the first packets of every flow in a window.

After Doriguzzi-Corin, Millar, Scott-Hayward, Martinez-del-Rincon, Siracusa, "LUCID: A Practical, Lightweight Deep
Learning Solution for DDoS Attack Detection", IEEE TNSM 17(2), 2020: packets x features, one convolution as wide as
the features, global max pooling over time, one dense unit. Reconstructed from the abstract and the public windows of
its successor FLAD; of LUCID's eleven packet features those that a header trace lacks (highest layer, IP flags, ack
number, ICMP type) are replaced by what it has.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.game import Batch, Game, Task
from sparring.network.detector import threshold
from sparring.network.flows import ACK
from sparring.network.windows import Windowed
from sparring.objectives import cross_entropy
from sparring.strategies import Standard
from sparring.typed import forked_rng

PACKETS = 10
FEATURES = (
    "time", "size", "forward", "tcp", "udp", "header", "tcp payload", "ack", "flags", "window", "udp payload",
)  # fmt: skip
"""Columns of a packet, all in [0, 1]."""


@dataclass(frozen=True)
class LucidSize:
    """Size of the network and length of its training."""

    kernels: int = 64
    height: int = 3
    dropout: float = 0.2
    epochs: int = 10
    batch: int = 256
    learning_rate: float = 2e-3


class Lucid(nn.Module):
    """`(n, packets, features)` to one logit `(n,)`, positive = attack once `calibrate` has set the threshold."""

    threshold: Tensor

    def __init__(self, size: LucidSize | None = None, features: int = len(FEATURES)) -> None:
        super().__init__()
        size = size or LucidSize()
        self.convolution = nn.Conv2d(1, size.kernels, (size.height, features))
        self.dropout = nn.Dropout(size.dropout)
        self.dense = nn.Linear(size.kernels, 1)
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.convolution(x.float().unsqueeze(1)).relu().amax((2, 3))
        return self.dense(self.dropout(seen)).squeeze(1) - self.threshold

    @torch.no_grad()
    def calibrate(self, normal: Tensor, false_alarms: float = 0.02) -> None:
        """Set the threshold that at most this share of benign samples exceeds; they must not have been trained on."""
        self.eval()
        self.threshold.zero_()
        self.threshold.fill_(threshold(self.scores(normal).double(), false_alarms))

    @torch.no_grad()
    def scores(self, x: Tensor) -> Tensor:
        """Logits in evaluation mode, in parts that fit the memory, `(n,)`."""
        self.eval()
        return torch.cat([self(part) for part in torch.split(x, 4096)]) if len(x) else torch.zeros(0)


def samples(flows: Windowed, packets: int = PACKETS) -> Tensor:
    """The first `packets` packets of each flow as `(n, packets, 11)` float32 in [0, 1], zeros below the last one."""
    h, flow = flows.headers, flows.flow
    order = np.argsort(flow, kind="stable")
    begin = np.concatenate([[0], np.cumsum(np.bincount(flow, minlength=len(flows)))[:-1]]).astype(np.int64)
    nth = np.empty(len(flow), dtype=np.int64)
    nth[order] = np.arange(len(flow)) - begin[flow[order]]
    kept = np.flatnonzero(nth < packets)
    since = h.time - h.time[order[begin]][flow] if len(flow) else h.time
    h, tcp, udp = h.take(kept), h.protocol[kept] == 6, h.protocol[kept] == 17
    columns = (
        since[kept] / 10e6, h.size / 1500, flows.forward[kept], tcp, udp, h.header / 60, tcp * h.payload / 1500,
        (h.flags & ACK) > 0, h.flags / 255, np.maximum(h.window, 0) / 65_535, udp * h.payload / 1500,
    )  # fmt: skip
    out = np.zeros((len(flows), packets, len(FEATURES)), dtype=np.float32)
    out[flow[kept], nth[kept]] = np.clip(np.column_stack([np.asarray(c, dtype=np.float32) for c in columns]), 0, 1)
    return torch.as_tensor(out)


def fit_lucid(
    run: Run,
    name: str,
    x: Tensor,
    y: Tensor,
    normal: Tensor,
    *,
    size: LucidSize | None = None,
    false_alarms: float = 0.02,
) -> Lucid:
    """A network trained on samples `x` `(n, packets, features)`, labels `y` (1 = attack), by the engine's loop.

    A tenth of the rows chooses the epoch; the threshold comes from `normal`, benign samples of their own. Raises
    ValueError where one of the classes is missing.
    """
    size = size or LucidSize()
    if not 0 < int((y == 1).sum()) < len(y):
        raise ValueError("the network learns from benign and attack samples; one of them is missing")
    order = torch.randperm(len(x), generator=run.generator(f"{name}/split"))
    held, train = order[: max(len(x) // 10, 1)], order[max(len(x) // 10, 1) :]
    with forked_rng([]):
        torch.default_generator.manual_seed(run.seed_for(f"{name}/start"))
        model = Lucid(size, x.shape[2])

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        for part in torch.split(torch.randperm(len(train), generator=generator), size.batch):
            yield x[train[part]], y[train[part]]

    def validate(defender: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            right = (defender(x[held]) > 0) == (y[held] == 1)
        return {"accuracy": float(right.float().mean())}

    def optimizers(game: Game) -> Mapping[str, torch.optim.Optimizer]:
        return {"defender": torch.optim.Adam(game.defender.parameters(), lr=size.learning_rate)}

    task = Task(
        game=Game(model, None, cross_entropy),
        strategy=Standard(),
        data=batches,
        batches=-(-len(train) // size.batch),
        epochs=size.epochs,
        optimizers=optimizers,
        validate=validate,
        select="accuracy",
    )
    trained = run.train(task, name)
    assert isinstance(trained, Lucid)
    trained.calibrate(normal, false_alarms)
    return trained


def read_windows(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """The windows of LUCID's own tools in a NumPy archive: name of the set to samples and labels.

    Sets are pairs of arrays called `NAME_x` `(n, packets, 11)` (a trailing axis of 1 may stand) and `NAME_y` `(n,)`,
    where a label above 0 is an attack. Their features are LUCID's, not `FEATURES`: train and test on the same kind.
    Raises `BadInput` for a file that is no such archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[np.generic]] = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); give a NumPy archive (.npz)") from error
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: not a NumPy archive of plain arrays; give the .npz of LUCID windows") from error
    out: dict[str, tuple[Tensor, Tensor]] = {}
    for name in sorted(arrays):
        other = name[:-1] + "y"
        if not name.endswith("x") or other not in arrays:
            continue
        x, y = arrays[name], arrays[other].reshape(-1)
        x = x[..., 0] if x.ndim == 4 and x.shape[3] == 1 else x
        if x.ndim != 3 or len(x) != len(y) or x.shape[2] != len(FEATURES) or not np.issubdtype(x.dtype, np.number):
            raise BadInput(
                f"{path}: array {name!r} has shape {x.shape} beside {len(y)} labels; LUCID windows are (n, packets, 11)"
            )
        values = torch.as_tensor(x.astype(np.float32))
        if not bool(values.isfinite().all()):
            raise BadInput(f"{path}: array {name!r} holds NaN or infinity; leave those windows out")
        out[name[:-1].strip("_") or "all"] = values, torch.as_tensor((y.astype(np.float64) > 0).astype(np.int64))
    if not out:
        raise BadInput(
            f"{path}: no pair of arrays NAME_x and NAME_y (found: {', '.join(arrays) or 'none'}); rename them"
        )
    return out
