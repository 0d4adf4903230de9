"""Driving scenes as tensors: the ego's route, what everyone else did, and what the attacker might do instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

DT = 0.1
"""Seconds between two moments of a scene."""
STEPS = 80
"""Moments after the first one: eight seconds."""
POINTS = 180
"""Points of a route, one metre apart."""
OTHERS = 5
"""Vehicles besides the ego; the first is the one that an adversary may steer."""
FAR = 1e4
"""Where a vehicle stands that a scene does not have."""
FAMILIES = (
    "car following", "cut-in", "brake check", "unprotected left", "crossing", "merge", "roundabout", "NGSIM", "KING",
)  # fmt: skip
HELD_OUT = "roundabout"
"""The procedural family that is in no training set."""


@dataclass(frozen=True)
class Scenes:
    """S scenes. Poses are (x, y, heading, speed) in m, rad, m/s; vehicles other than the ego are `(S, OTHERS, ...)`.

    `route` `(S, POINTS, 4)` x, y, heading, curvature; `start` `(S, 4)` the ego's first pose; `log`
    `(S, OTHERS, STEPS + 1, 4)` the traffic as it was; `size` `(S, 1 + OTHERS, 2)` length and width, the ego's first;
    `left`, `right` `(S,)` how far the ego's centre may leave the route; `pace` `(S,)` its desired speed; `nominal`
    `(S,)` metres that a calm driver makes; `family` `(S,)` index into FAMILIES. The attacker's candidates:
    `moves` `(S, K, STEPS + 1, 4)`, candidate 0 is the log; `log_prior` `(S, K)` how natural each one is (normalised);
    `feasible` `(S, K)` False where it leaves the road or hits a third vehicle; `avoidable` `(S, K)` whether some ego
    manoeuvre escapes it.
    """

    route: Tensor
    start: Tensor
    log: Tensor
    size: Tensor
    left: Tensor
    right: Tensor
    pace: Tensor
    nominal: Tensor
    family: Tensor
    moves: Tensor
    log_prior: Tensor
    feasible: Tensor
    avoidable: Tensor

    def __len__(self) -> int:
        return len(self.route)

    @property
    def candidates(self) -> int:
        """Candidate moves of the attacker in each scene."""
        return self.moves.shape[1]

    def take(self, rows: Tensor) -> Scenes:
        """These scenes, by index or mask."""
        return Scenes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def slowed(self, factor: Tensor) -> Scenes:
        """The same scenes at `factor` `(S,)` of their speed, 0 to 1: eight seconds show what took factor · 8 s.

        Everybody's way is the same and all accelerations shrink by factor²; what could be escaped still can.
        """
        at = torch.arange(STEPS + 1) * factor.unsqueeze(1)
        low = at.long().clamp_max(STEPS - 1)
        share = (at - low)[:, None, :, None]

        def stretched(poses: Tensor) -> Tensor:
            rows = low[:, None, :, None].expand(-1, poses.shape[1], -1, 4)
            moved = torch.lerp(poses.gather(2, rows), poses.gather(2, (rows + 1).clamp_max(STEPS)), share)
            moved[..., 3] *= factor.view(-1, 1, 1)
            return moved

        start = self.start.clone()
        start[:, 3] *= factor
        return replace(
            self, start=start, log=stretched(self.log), moves=stretched(self.moves), pace=self.pace * factor,
            nominal=self.nominal * factor,
        )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """The scenes as named tensors, for a file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Scenes:
        """Back from `tensors`."""
        return cls(**{f.name: tensors[f.name] for f in fields(cls)})

    @classmethod
    def joined(cls, parts: Sequence[Scenes]) -> Scenes:
        """Several sets behind each other."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def of_family(self, name: str) -> Tensor:
        """Which scenes `(S,)` belong to a family."""
        return self.family == FAMILIES.index(name)
