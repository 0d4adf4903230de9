"""Actions on packets: what a bot changes in its conversations, and the round trip through a capture file.

A conversation of the attack is padded, stretched, prolonged by dummies, given another tcp window, spread over more
sources. The search asks the whole detector, windows and all. What counts in the end is the capture: the changed
packets are written to pcap among everybody else's, read again, cut into windows and judged.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.network import pcap, writer
from sparring.network.actions import Parameter
from sparring.network.flows import PSH, Packets, features
from sparring.network.generator.scene import Staged
from sparring.network.headers import Headers, joined
from sparring.network.windows import windowed
from sparring.systems.ddos.model import Guard, Memory

Ints = NDArray[np.int64]
STRONG = (
    Parameter("pad", "pad", 0, 1_400, integer=True),
    Parameter("stretch", "stretch", 1, 3),
    Parameter("dummies", "dummies", 0, 10, integer=True),
    Parameter("dummies", "dummy_size", 0, 1_400, integer=True),
    Parameter("dummies", "dummy_gap", 0, 1.0),
    Parameter("window", "window", -1, 65_535, integer=True),
    Parameter("spread", "spread", 1, 8, integer=True),
)
"""The strong actions; their limits are those of the record actions in `network.actions`, which know no `spread`."""
_STEP = 0x01000F
"""From one of a bot's further addresses to the next."""
EVERYTHING = ("pad", "stretch", "dummies", "window", "spread")


@dataclass(frozen=True)
class Conversations:
    """Attack conversations, n of them, each in order of time: packets with `flow` 0 to n - 1.

    `forward` is what the attacker's side sent, `part` which of its sources (0 without the action "spread"), one
    entry a packet; `begin` `(n,)` microseconds.
    """

    headers: Headers
    flow: Ints
    forward: NDArray[np.bool_]
    begin: Ints
    part: Ints

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
        rows = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length) + self.edges[which][flow]
        return Conversations(self.headers.take(rows), flow, self.forward[rows], self.begin[which], self.part[rows])


def conversations(staged: Staged, chosen: Ints) -> Conversations:
    """The conversations with these numbers in the scene; the attacker is whoever sent the first packet."""
    rows = np.flatnonzero(np.isin(staged.flow, chosen))
    h, number = staged.headers.take(rows), np.searchsorted(np.sort(chosen), staged.flow[rows])
    order = np.lexsort((h.time, number))
    h, number = h.take(order), number[order]
    first = np.searchsorted(number, np.arange(len(chosen)))
    forward = (h.source == h.source[first][number]).all(1) & (h.source_port == h.source_port[first][number])
    return Conversations(h, number, forward, h.time[first], np.zeros(len(h), dtype=np.int64))


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
        return spread(Conversations(changed, c.flow, own, c.begin, c.part), values["spread"])
    flow = np.repeat(np.arange(len(c)), count)
    nth = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + 1
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
    done = Conversations(both.take(order), number[order], forward, c.begin, np.zeros(len(order), dtype=np.int64))
    return spread(done, values["spread"])


def spread(c: Conversations, sources: NDArray[np.float64]) -> Conversations:
    """The packets of each conversation dealt out to so many sources `(n,)`, in turn.

    Only where nobody answered: an answer would go to the address that sent, and so would the rest of the connection.
    """
    alone = np.ones(len(c), dtype=bool)
    alone[c.flow[~c.forward]] = False
    k = np.where(alone, np.maximum(np.rint(sources).astype(np.int64), 1), 1)
    if (k == 1).all():
        return c
    nth = np.arange(len(c.flow)) - c.edges[:-1][c.flow]
    part = nth % k[c.flow]
    address = c.headers.source.copy()
    low = address[:, 1] & np.uint64(0xFFFFFFFF)
    address[:, 1] = (address[:, 1] ^ low) | ((low + part.astype(np.uint64) * np.uint64(_STEP)) & np.uint64(0xFFFFFFFF))
    return replace(c, headers=replace(c.headers, source=address), part=part)


@dataclass(frozen=True)
class PacketSpace:
    """The actions that an attacker may use; an action vector lies in [0, 1]^m, 0 is "not done"."""

    parameters: tuple[Parameter, ...] = STRONG
    actions: tuple[str, ...] = EVERYTHING

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


class Played(nn.Module):
    """The guard as a model of `[number of a conversation | action vector]`: the highest score of its windows.

    `volume` `(n,)` is the logit that the conversation's destination has while the rest of the botnet is at work; one
    bot that changes its packets does not change it.
    """

    def __init__(self, guard: Guard, made: Conversations, space: PacketSpace, volume: NDArray[np.float64]) -> None:
        super().__init__()
        self.guard, self.made, self.space, self.volume = guard, made, space, volume

    @classmethod
    def among(cls, guard: Guard, made: Conversations, everybody: Headers) -> Played:
        """Conversations of a scene with all its packets; every action is allowed."""
        volumes = guard.judge(windowed(everybody, round(guard.seconds * 1e6)), Memory())
        keys = zip(volumes.volumes.begin.tolist(), (a.tobytes() for a in volumes.volumes.address), strict=True)
        logit = dict(zip(keys, volumes.volume.tolist(), strict=True))
        first = made.edges[:-1]
        length = round(guard.seconds * 1e6)
        begin = made.headers.time[first] // length * length
        target = [a.tobytes() for a in made.headers.target[first]]
        found = [logit.get(key, -np.inf) for key in zip(begin.tolist(), target, strict=True)]
        return cls(guard, made, PacketSpace(), np.array(found))

    def on(self, space: PacketSpace) -> Played:
        """The same with other actions."""
        return Played(self.guard, self.made, space, self.volume)

    def forward(self, packed: Tensor) -> Tensor:
        number = packed[:, 0].detach().numpy().astype(np.int64)
        values = self.space.values(packed[:, 1:].detach().numpy().astype(np.float64))
        x, owner = windows_of(act(self.made.take(number), values), self.guard)
        flow = self.guard.flow_logits(x).numpy()
        score = np.maximum(flow, np.minimum(flow + self.guard.lenience, self.volume[number][owner]))
        worst = np.full(len(packed), -np.inf)
        np.maximum.at(worst, owner, score)
        return torch.as_tensor(worst)


def windows_of(c: Conversations, guard: Guard) -> tuple[Tensor, Ints]:
    """Encoded flows within windows of conversations, and whose each is."""
    window = c.headers.time // round(guard.seconds * 1e6)
    order = np.lexsort((c.headers.time, window, c.part, c.flow))
    h, flow, part, window, sent = c.headers.take(order), c.flow[order], c.part[order], window[order], c.forward[order]
    changes = [(v[1:] != v[:-1]) for v in (flow, part, window)]
    new = np.concatenate([[True], np.any(changes, axis=0)])
    number, first = np.cumsum(new) - 1, np.flatnonzero(new)
    p = Packets(number, h.time, sent == sent[first][number], h.payload, h.header, h.flags, h.window)
    code = np.full(256, 2)
    code[6], code[17] = 0, 1
    return torch.as_tensor(guard.schema.encode(features(p, code[h.protocol[first]], h.target_port[first]))), flow[first]


@dataclass(frozen=True)
class RoundTrip:
    """What came back from the capture.

    `flagged` `(n,)` is whether a window of the attacked conversation was called an attack; `alarms` counts the windows
    of attacked destinations that were in alarm, and all of them; `packets` were written and read.
    """

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
        writer.write(file, joined([rest, attacked.headers]).ordered())
        back = joined(list(pcap.headers(file))).ordered()
    flows = windowed(back, round(guard.seconds * 1e6))
    verdicts = guard.judge(flows, Memory())
    hit = np.flatnonzero(verdicts.flagged)
    caught = {_ends(*e) for e in _listed(flows.source, flows.source_port, flows.target, flows.target_port, hit)}
    h, flagged = attacked.headers, np.zeros(len(attacked), dtype=bool)
    pairs = np.unique(np.column_stack([attacked.flow, attacked.part]), axis=0, return_index=True)[1]
    for row, ends in zip(pairs, _listed(h.source, h.source_port, h.target, h.target_port, pairs), strict=True):
        flagged[attacked.flow[row]] |= _ends(*ends) in caught
    victims = {a.tobytes() for a in np.unique(h.target[attacked.forward], axis=0)}
    mine = np.array([a.tobytes() in victims for a in verdicts.volumes.address])
    return RoundTrip(flagged, (int((mine & verdicts.alarm).sum()), int(mine.sum())), len(back))


def _listed(
    source: NDArray[np.uint64], sport: Ints, target: NDArray[np.uint64], tport: Ints, rows: Ints
) -> list[tuple[bytes, int, bytes, int]]:
    left, right = (a.tobytes() for a in source[rows]), (a.tobytes() for a in target[rows])
    return list(zip(left, sport[rows].tolist(), right, tport[rows].tolist(), strict=True))


def _ends(source: bytes, sport: int, target: bytes, tport: int) -> frozenset[tuple[bytes, int]]:
    return frozenset(((source, sport), (target, tport)))
