# pyright: standard
"""Actions on packets: what a bot changes in its conversations, and the round trip through a capture file.

A conversation of the attack is padded, stretched, prolonged by dummies, given another tcp window. The search asks
the whole detector, windows and all. What counts in the end is the capture: the changed packets are written to pcap
among everybody else's, read again, cut into windows and judged.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.network import pcap, writer
from sparring.network.actions import Parameter
from sparring.network.destinations import Destinations
from sparring.network.flows import PSH, Packets, features
from sparring.network.generator.scene import Staged
from sparring.network.headers import Headers, joined
from sparring.systems.ddos.model import Guard

Ints = NDArray[np.int64]
STRONG = (
    Parameter("pad", "pad", 0, 1_400, integer=True),
    Parameter("stretch", "stretch", 1, 3),
    Parameter("dummies", "dummies", 0, 10, integer=True),
    Parameter("dummies", "dummy_size", 0, 1_400, integer=True),
    Parameter("dummies", "dummy_gap", 0, 1.0),
    Parameter("window", "window", -1, 65_535, integer=True),
)
"""The strong actions; their limits are those of the record actions in `network.actions`."""


@dataclass(frozen=True)
class Conversations:
    """Attack conversations, n of them, each in order of time: packets with `flow` 0 to n - 1.

    `forward` is what the attacker's side sent; `protocol` and `port` `(n,)`; `begin` `(n,)` microseconds.
    """

    headers: Headers
    flow: Ints
    forward: NDArray[np.bool_]
    begin: Ints

    def __len__(self) -> int:
        return len(self.begin)

    @cached_property
    def edges(self) -> Ints:
        """Where each conversation's packets begin, `(n + 1,)`; they lie together, in order."""
        return np.searchsorted(self.flow, np.arange(len(self) + 1))

    def take(self, which: Ints) -> Conversations:
        """These conversations, in this order, repeated where asked for again."""
        length = np.diff(self.edges)[which]
        flow = np.repeat(np.arange(len(which)), length)
        rows = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + self.edges[which][flow]
        return Conversations(self.headers.take(rows), flow, self.forward[rows], self.begin[which])


def conversations(staged: Staged, chosen: Ints) -> Conversations:
    """The conversations with these numbers in the scene; the attacker is whoever sent the first packet."""
    rows = np.flatnonzero(np.isin(staged.flow, chosen))
    h, number = staged.headers.take(rows), np.searchsorted(np.sort(chosen), staged.flow[rows])
    order = np.lexsort((h.time, number))
    h, number = h.take(order), number[order]
    first = np.searchsorted(number, np.arange(len(chosen)))
    forward = (h.source == h.source[first][number]).all(1) & (h.source_port == h.source_port[first][number])
    return Conversations(h, number, forward, h.time[first])


def act(c: Conversations, values: dict[str, NDArray[np.float64]]) -> Conversations:
    """The conversations after actions, `values` `(n,)` each in natural units."""
    h, own = c.headers, c.forward
    most = np.where(h.protocol == 6, 1_460, 1_472)
    pad = np.minimum(np.rint(values["pad"])[c.flow].astype(np.int64), np.maximum(most - h.payload, 0))
    offset = (h.time - c.begin[c.flow]) * values["stretch"][c.flow]
    window = np.rint(values["window"])[c.flow].astype(np.int64)
    changed = replace(
        h,
        time=c.begin[c.flow] + np.rint(offset).astype(np.int64),
        payload=np.where(own, h.payload + pad, h.payload),
        window=np.where(own & (h.protocol == 6) & (window >= 0), window, h.window),
    )
    count = np.rint(values["dummies"]).astype(np.int64)
    if not count.any():
        return Conversations(changed, c.flow, own, c.begin)
    flow = np.repeat(np.arange(len(c)), count)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 1
    like = changed.take(c.edges[:-1][flow])  # a dummy looks like the first packet, of another size
    last = changed.time[c.edges[1:] - 1]
    extra = replace(
        like,
        time=last[flow] + np.maximum(nth * np.rint(1e6 * values["dummy_gap"])[flow], nth).astype(np.int64),
        payload=np.rint(values["dummy_size"])[flow].astype(np.int64),
        flags=np.where(like.protocol == 6, PSH | 16, 0),
    )
    both = joined([changed, extra])
    number = np.concatenate([c.flow, flow])
    order = np.lexsort((both.time, number))
    forward = np.concatenate([own, np.ones(len(flow), dtype=bool)])[order]
    return Conversations(both.take(order), number[order], forward, c.begin)


@dataclass(frozen=True)
class PacketSpace:
    """The actions that an attacker may use; an action vector lies in [0, 1]^m, 0 is "not done"."""

    parameters: tuple[Parameter, ...] = STRONG
    actions: tuple[str, ...] = ("pad", "stretch", "dummies", "window")

    @property
    def active(self) -> tuple[Parameter, ...]:
        """The parameters of the allowed actions, in order."""
        return tuple(p for p in self.parameters if p.action in self.actions)

    @property
    def width(self) -> int:
        """Entries of an action vector."""
        return len(self.active)

    @property
    def inputs(self) -> int:
        """Columns before the action vector: the number of the conversation."""
        return 1

    @property
    def schema(self) -> str:
        """What is acted on, in words."""
        return "packets of conversations as"

    def only(self, *actions: str) -> PacketSpace:
        """The space with these actions alone."""
        return replace(self, actions=actions)

    def values(self, a: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Natural values of vectors `(n, m)`; parameters that are not allowed stay neutral."""
        out = {p.name: np.full(len(a), p.low) for p in self.parameters}
        return out | {p.name: p.value(a[:, i]) for i, p in enumerate(self.active)}


class Attacked(nn.Module):
    """The guard as a model of `[number of a conversation | action vector]`: the highest score of its windows.

    `volume` `(n,)` is the logit that the conversation's destination has while the rest of the botnet is at work; one
    bot that changes its packets does not change it.
    """

    def __init__(self, guard: Guard, made: Conversations, space: PacketSpace, volume: NDArray[np.float64]) -> None:
        super().__init__()
        self.guard, self.made, self.space, self.volume = guard, made, space, volume

    def forward(self, packed: Tensor) -> Tensor:
        number = packed[:, 0].detach().numpy().astype(np.int64)
        values = self.space.values(packed[:, 1:].detach().numpy().astype(np.float64))
        changed = act(self.made.take(number), values)
        x, owner = windows_of(changed, self.guard)
        flow = self.guard.flow_logits(x).numpy()
        score = np.maximum(flow, np.minimum(flow + self.guard.lenience, self.volume[number][owner]))
        worst = np.full(len(packed), -np.inf)
        np.maximum.at(worst, owner, score)
        return torch.from_numpy(worst)


def windows_of(c: Conversations, guard: Guard) -> tuple[Tensor, Ints]:
    """Encoded flows within windows of conversations, and whose each is."""
    h = c.headers
    window = h.time // round(guard.seconds * 1e6)
    new = np.concatenate([[True], (c.flow[1:] != c.flow[:-1]) | (window[1:] != window[:-1])])
    number, first = np.cumsum(new) - 1, np.flatnonzero(new)
    forward = c.forward == c.forward[first][number]
    p = Packets(number, h.time, forward, h.payload, h.header, h.flags, h.window)
    code = np.full(256, 2)
    code[6], code[17] = 0, 1
    port = np.where(c.forward[first], h.target_port[first], h.source_port[first])
    return torch.from_numpy(guard.schema.encode(features(p, code[h.protocol[first]], port))), c.flow[first]


@dataclass(frozen=True)
class RoundTrip:
    """What came back from the capture: per attacked conversation whether a window of it was flagged, `(n,)`; per
    window of an attacked destination whether it was in alarm; packets written and read."""

    flagged: NDArray[np.bool_]
    alarms: tuple[int, int]
    packets: int


def round_trip(guard: Guard, rest: Headers, attacked: Conversations, path: Path | None = None) -> RoundTrip:
    """Write attacked conversations among the other packets to pcap, read it again, judge what was read.

    `rest` are all other packets of the scene. Conversations are found again by their addresses and ports. With
    `path` the capture is kept there.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = path or Path(folder) / "attacked.pcap"
        everything = joined([rest, attacked.headers]).ordered()
        writer.write(file, everything)
        skipped: Counter[str] = Counter()
        from sparring.network.windows import windowed

        back = joined(list(pcap.headers(file, skipped)))
    flows = windowed(back.ordered(), round(guard.seconds * 1e6))
    verdicts = guard.judge(flows, Destinations())
    hit = {_ends(*row) for row in _rows(flows, verdicts.flagged)}
    first = attacked.headers.take(attacked.edges[:-1])
    names = list(
        zip(
            map(bytes, first.source), first.source_port.tolist(), map(bytes, first.target), first.target_port.tolist(),
            strict=True,
        )
    )  # fmt: skip
    victims = {bytes(a) for a in np.unique(first.target, axis=0)}
    mine = np.array([bytes(a) in victims for a in verdicts.volumes.address])
    return RoundTrip(
        np.array([_ends(*n) in hit for n in names]), (int((mine & verdicts.alarm).sum()), int(mine.sum())), len(back)
    )


def _rows(flows: object, mask: NDArray[np.bool_]) -> Sequence[tuple[bytes, int, bytes, int]]:
    from sparring.network.windows import Windowed

    assert isinstance(flows, Windowed)
    rows = np.flatnonzero(mask)
    return list(
        zip(
            map(bytes, flows.source[rows]), flows.source_port[rows].tolist(),
            map(bytes, flows.target[rows]), flows.target_port[rows].tolist(), strict=True,
        )
    )  # fmt: skip


def _ends(source: bytes, sport: int, target: bytes, tport: int) -> frozenset[tuple[bytes, int]]:
    return frozenset(((source, sport), (target, tport)))
