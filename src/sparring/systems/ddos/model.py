"""The detector: a score for every flow in a window and one for every destination, joined into one verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.network.cicflowmeter import PROTOCOLS
from sparring.network.destinations import COLUMNS, Destinations, Volumes
from sparring.network.detector import Detector
from sparring.network.detector.families import Families
from sparring.network.schema import Schema
from sparring.network.windows import Windowed
from sparring.systems.ddos.evidence import Connections, Evidence, Incidents

_CHUNK = 4096
SYN_FLOOD, FLOODING = "syn flood", 8
"""A window may cut a few connections after their opening; so many flows that carry nothing are a flood."""
_PAYLOADS = ("Total Length of Fwd Packets", "Total Length of Bwd Packets")


@dataclass(frozen=True)
class Verdicts:
    """What the detector says of the flows (n) and destinations (m) of some windows.

    `flow` `(n,)` and `volume` `(m,)` are logits, positive = attack, each above its own threshold; `fresh` `(n,)` what
    each flow adds to the evidence, `evidence` `(m,)` the running sums. `flagged` `(n,)` are the flows called attacks,
    `alarm` `(m,)` the destinations under attack; `score` `(n,)` is the joint logit whose sign `flagged` is. `x`
    `(n, width)` are the encoded flows.
    """

    x: Tensor
    volumes: Volumes
    flow: NDArray[np.float64]
    volume: NDArray[np.float64]
    fresh: NDArray[np.float64]
    evidence: NDArray[np.float64]
    score: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    alarm: NDArray[np.bool_]


@dataclass
class Memory:
    """What is remembered of destinations from window to window: usual volumes, connections, evidence, incidents."""

    volumes: Destinations = field(default_factory=Destinations)
    connections: Connections = field(default_factory=Connections)
    evidence: Evidence = field(default_factory=Evidence)
    incidents: Incidents = field(default_factory=Incidents)


@dataclass(frozen=True)
class Guard:
    """Flow layers, the volume layer, and how they decide together.

    A flow is called an attack if its own logit is positive, or if its destination is flooded and the flow's logit
    is above -`lenience`: during a flood a flow must be less suspicious than in quiet times. Written as one score,
    `max(flow, min(flow + lenience, volume))`, so an attacker who lowers it has beaten every part. `lenience` is the
    logarithm of how much more often a benign flow may be flagged in a flood (5 % over 2 %: 0.92).

    A destination is under attack if its volume logit is positive, if its most suspicious flow would stand out among
    that many benign ones (Bonferroni: logit - log(flows) + `strictness` > 0), if the running evidence of its flows
    is above `limit`, or if it was in alarm half a minute ago or less and one of its flows is called an attack.
    """

    schema: Schema
    flows: Detector
    volume: Detector
    seconds: float = 1.0
    false_alarms: float = 0.02
    lenience: float = math.log(0.05 / 0.02)
    strictness: float = math.log(0.002 / 0.02)
    limit: float = 4.0
    families: Families | None = None

    def encode(self, flows: Windowed) -> Tensor:
        """The flows' matrix `(n, schema.width)` float64."""
        return torch.as_tensor(self.schema.encode(flows.table))

    @torch.no_grad()
    def flow_logits(self, x: Tensor) -> Tensor:
        """Logits of encoded flows `(n, width)`, `(n,)` float64."""
        if len(x) == 0:
            return torch.zeros(0, dtype=torch.float64)
        # Floods repeat themselves: equal rows are scored once.
        rows = np.ascontiguousarray(x.numpy()).view(f"V{8 * x.shape[1]}").reshape(-1)
        _, first, back = np.unique(rows, return_index=True, return_inverse=True)
        different = x[torch.as_tensor(first)]
        parts = [self.flows(part) for part in torch.split(different, _CHUNK)]
        return torch.cat(parts)[torch.as_tensor(back.reshape(-1))]

    @torch.no_grad()
    def judge(self, flows: Windowed, memory: Memory) -> Verdicts:
        """Verdicts of the flows of some windows; `memory` carries what was seen before from call to call."""
        volumes = memory.volumes.add(flows)
        x = self.encode(flows)
        flow = self.flow_logits(x).numpy()
        volume = self.volume(torch.as_tensor(volumes.x)).numpy() if len(volumes) else np.zeros(0)
        fresh = memory.connections.fresh(flows, flow)
        evidence = memory.evidence.add(volumes.begin, volumes.address, volumes.of, fresh)
        score = np.maximum(flow, np.minimum(flow + self.lenience, volume[volumes.of]))
        worst = np.full(len(volumes), -np.inf)
        np.maximum.at(worst, volumes.of, flow)
        stands_out = worst - np.log(np.maximum(volumes.flows, 1)) + self.strictness > 0
        alarm = (volume > 0) | stands_out | (evidence > self.limit)
        hit = np.bincount(volumes.of, score > 0, minlength=len(volumes)) > 0
        alarm = memory.incidents.lasting(volumes.begin, volumes.address, alarm, hit)
        return Verdicts(x, volumes, flow, volume, fresh, evidence, score, score > 0, alarm)

    def name(self, x: Tensor) -> list[str]:
        """The attack class nearest to each row; "attack" where no classes were learnt.

        Many tcp flows that open and carry nothing are a SYN flood by definition, whatever they are near to.
        """
        if self.families is None:
            return ["attack"] * len(x)
        names = self.families.name(x)
        if SYN_FLOOD not in self.families.names or len(x) == 0:
            return names
        t = self.schema.decode(x.numpy(), ("Protocol", "SYN Flag Count", *_PAYLOADS))
        bare = (
            (t["Protocol"] == PROTOCOLS.index("6"))
            & (t["SYN Flag Count"] > 0)
            & (t[_PAYLOADS[0]] + t[_PAYLOADS[1]] < 1)
        )
        bare &= bare.sum() >= FLOODING
        return [SYN_FLOOD if b else name for name, b in zip(names, bare.tolist(), strict=True)]


def check_width(volume: Detector) -> None:
    """Raise ValueError unless the detector reads what `Destinations` gives."""
    if len(volume.reference) != len(COLUMNS):
        raise ValueError(f"the volume layer reads {len(volume.reference)} columns, there are {len(COLUMNS)}")
