"""What a destination sees in a window: volume, entropy, answers. A bot can shape its flows; the sum it cannot hide."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.network.cicflowmeter import PROTOCOLS
from sparring.network.schema import Array
from sparring.network.windows import Windowed

Ints = NDArray[np.int64]
_UDP = PROTOCOLS.index("17")
_MOST = 65_536
_PATIENCE = 0.1
"""Weight of a quiet window in a destination's running level."""

COLUMNS = (
    "log packets", "log flows", "log bytes", "log sources", "source entropy", "flows per source", "unanswered share",
    "single-packet share", "bare SYN share", "udp share", "log payload", "payload spread", "size entropy",
    "log down/up", "level",
)  # fmt: skip
"""Names of the columns of `Volumes.x`, in order."""


@dataclass(frozen=True)
class Volumes:
    """Destinations within windows, m of them: `begin` microseconds, `address` `(m, 2)`, `x` `(m, 15)` as `COLUMNS`.

    Shares and normalised entropies lie in [0, 1], logarithms are natural over 10, `level` is the logarithm of the
    packets over the destination's usual number, also over 10. `of` `(n,)` is the number of each flow's destination;
    `packets`, `bytes` and `flows` `(m,)` are plain counts.
    """

    begin: Ints
    address: NDArray[np.uint64]
    x: Array
    of: Ints
    packets: Ints
    bytes: Ints
    flows: Ints

    def __len__(self) -> int:
        return len(self.begin)


class Destinations:
    """Aggregates flows by serving end and window, and remembers each destination's usual packets per window.

    `usual` is what a destination without history is compared with. Memory holds the 65,536 destinations seen last.
    """

    def __init__(self, usual: float = 20.0) -> None:
        self.usual = usual
        self._level: OrderedDict[bytes, float] = OrderedDict()

    def add(self, flows: Windowed) -> Volumes:
        """The destinations of the flows' windows, in order of time."""
        address = np.where(flows.server[:, None], flows.target, flows.source)
        keys = np.column_stack([flows.begin.astype(np.uint64), address])
        unique, of = np.unique(keys, axis=0, return_inverse=True)
        of, m = of.reshape(-1), len(unique)
        packets = np.bincount(of, flows.packets, minlength=m).astype(np.float64)
        x = _columns(flows, of, m, packets)
        begin, address = unique[:, 0].astype(np.int64), unique[:, 1:].copy()
        level = self._levels(begin, address, packets)
        size = np.bincount(of, flows.bytes, minlength=m).astype(np.int64)
        count = np.bincount(of, minlength=m)
        return Volumes(begin, address, np.column_stack([x, level]), of, packets.astype(np.int64), size, count)

    def _levels(self, begin: Ints, address: NDArray[np.uint64], packets: Array) -> Array:
        """Logarithm of packets over the usual number; the usual number follows slowly, and a flood not at all."""
        out = np.zeros(len(begin))
        for i, (key, count) in enumerate(zip((a.tobytes() for a in address), packets.tolist(), strict=True)):
            usual = self._level.pop(key, self.usual)
            out[i] = np.log((count + 1) / (usual + 1)) / 10
            step = min(count, 3 * usual + 10)  # what is far above the level moves it little
            self._level[key] = usual + _PATIENCE * (step - usual)
            if len(self._level) > _MOST:
                self._level.popitem(last=False)
        return out


def _columns(flows: Windowed, of: Ints, m: int, packets: Array) -> Array:
    t, ones = flows.table, np.ones(len(flows))

    def total(value: NDArray[np.generic]) -> Array:
        return np.bincount(of, value, minlength=m).astype(np.float64)

    count = total(ones)
    peer = np.where(flows.server[:, None], flows.source, flows.target)
    sources, source_entropy = _spread(of, peer[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ peer[:, 1], m)
    payload = t["Fwd Packet Length Mean"]
    mean = total(payload) / count
    deviation = np.sqrt(np.maximum(total(payload**2) / count - mean**2, 0))
    _, size_entropy = _spread(of, np.rint(payload).astype(np.uint64), m)
    up, down = t["Total Length of Fwd Packets"], t["Total Length of Bwd Packets"]
    up, down = (np.where(flows.server, a, b) for a, b in ((up, down), (down, up)))
    alone, silent = flows.packets == 1, t["Total Backward Packets"] == 0
    bare = (t["SYN Flag Count"] > 0) & (up + down == 0)
    ratio = np.log((total(down) + 100) / (total(up) + 100))
    return np.column_stack(
        [
            np.log1p(packets) / 10,
            np.log1p(count) / 10,
            np.log1p(total(flows.bytes)) / 10,
            np.log1p(sources) / 10,
            source_entropy,
            np.log(count / np.maximum(sources, 1)) / 10,
            total(silent) / count,
            total(alone) / count,
            total(bare) / count,
            total(t["Protocol"] == _UDP) / count,
            np.log1p(mean) / 10,
            np.minimum(deviation / (mean + 10), 3),
            size_entropy,
            ratio / 10,
        ]
    )


def _spread(of: Ints, value: NDArray[np.uint64], m: int) -> tuple[Array, Array]:
    """Different values per group, and the entropy of their distribution over its largest possible, each `(m,)`."""
    order = np.lexsort((value, of))
    group, ordered = of[order], value[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (ordered[1:] != ordered[:-1])
    run = np.bincount(np.cumsum(new) - 1).astype(np.float64)
    owner = group[new]
    count, kinds = np.bincount(of, minlength=m).astype(np.float64), np.bincount(owner, minlength=m).astype(np.float64)
    share = run / count[owner]
    entropy = np.bincount(owner, -share * np.log(share), minlength=m)
    return kinds, entropy / np.log(np.maximum(count, 2))
