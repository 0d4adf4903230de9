"""What an attacker does rather than which fields it edits: actions on packets and connections, recomputed exactly.

An action vector lies in `[0, 1]^m`, 0 is "not done". `ActionSpace.apply` turns a record and a vector into the record
that the monitor would have written, so every relation holds by construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from sparring.errors import BadInput
from sparring.network import effects
from sparring.network.schema import Array, Schema, Table


@dataclass(frozen=True)
class Parameter:
    """One number of an action in natural units: `low` is neutral (not done), `high` the most allowed."""

    action: str
    name: str
    low: float
    high: float
    integer: bool = False

    def value(self, a: Array) -> Array:
        """The natural value of `a` in [0, 1]; 0 is always neutral."""
        raw = self.low + np.clip(a, 0.0, 1.0) * (self.high - self.low)
        return np.rint(raw) if self.integer else raw


@dataclass(frozen=True)
class ActionSpace:
    """The actions on one schema's records, and which of them the attacker may use (`actions`)."""

    schema: Schema
    effect: Callable[[Table, dict[str, Array]], Table]
    parameters: tuple[Parameter, ...]
    actions: tuple[str, ...]

    @property
    def active(self) -> tuple[Parameter, ...]:
        """The parameters of the allowed actions: the action vector's entries, in this order."""
        return tuple(p for p in self.parameters if p.action in self.actions)

    @property
    def width(self) -> int:
        """Entries of an action vector."""
        return len(self.active)

    @property
    def inputs(self) -> int:
        """Columns before the action vector in an attacked input: the record."""
        return self.schema.width

    def only(self, *actions: str) -> Self:
        """The space with these actions alone."""
        unknown = [a for a in actions if a not in {p.action for p in self.parameters}]
        if unknown:
            known = ", ".join(dict.fromkeys(p.action for p in self.parameters))
            raise BadInput(f"{self.schema.name} has no action {unknown[0]!r}; it has {known}")
        return replace(self, actions=actions)

    def without(self, *actions: str) -> Self:
        """The space with these actions left out."""
        self.only(*actions)
        return replace(self, actions=tuple(a for a in self.actions if a not in actions))

    def limited(self, **highs: float) -> Self:
        """The space with other upper ends, by parameter name."""
        unknown = [name for name in highs if name not in {p.name for p in self.parameters}]
        if unknown:
            raise BadInput(f"{self.schema.name} has no action parameter {unknown[0]!r}; see ActionSpace.parameters")
        return replace(self, parameters=tuple(replace(p, high=highs.get(p.name, p.high)) for p in self.parameters))

    def values(self, a: Array) -> dict[str, Array]:
        """Natural values of action vectors `(n, m)`, parameters of actions not allowed at neutral."""
        out = {p.name: np.full(len(a), p.low) for p in self.parameters}
        return out | {p.name: p.value(a[:, i]) for i, p in enumerate(self.active)}

    def apply(self, x: Array, a: Array) -> Array:
        """The records `x` `(n, schema.width)` after the actions `a` `(n, m)`; a new float64 matrix.

        A row whose actions change nothing, or cannot be done without breaking a relation that `x` keeps, is `x`.
        """
        if a.shape != (len(x), self.width):
            raise ValueError(f"action vectors have shape (n, {self.width}) with n = {len(x)} here, got {a.shape}")
        schema, out = self.schema, x.copy()
        rows = np.flatnonzero((a > 0).any(1))
        if len(rows) == 0:
            return out
        clean = schema.decode(x[rows])
        numbers = [f for f in schema.features if not f.categories]
        with np.errstate(divide="ignore", invalid="ignore"):
            raw = self.effect(clean, self.values(a[rows]))
        done = schema.repair({**clean, **{f.name: f.snap(raw[f.name]) for f in numbers}}, clean)
        for f in numbers:
            moved = np.flatnonzero(done[f.name] != clean[f.name])
            out[rows[moved], schema.slices[f.name].start] = f.unit(done[f.name][moved])
        after, before = schema.broken(out[rows]), schema.broken(clean)
        bad = np.any([after[r] & ~before[r] for r in after], axis=0) | ~np.isfinite(out[rows]).all(1)
        out[rows[bad]] = x[rows[bad]]
        return out


Strength = Literal["mild", "strong"]
_PACKETS = {
    "mild": {"pad": 64.0, "stretch": 1.5, "dummies": 2.0, "dummy_size": 64.0},
    "strong": {"pad": 1400.0, "stretch": 3.0, "dummies": 10.0, "dummy_size": 1400.0},
}


def _packet_actions(strength: Strength) -> tuple[Parameter, ...]:
    high = _PACKETS[strength]
    return (
        Parameter("pad", "pad", 0, high["pad"], integer=True),
        Parameter("stretch", "stretch", 1, high["stretch"]),
        Parameter("dummies", "dummies", 0, high["dummies"], integer=True),
        Parameter("dummies", "dummy_size", 0, high["dummy_size"], integer=True),
        Parameter("dummies", "dummy_gap", 0, 1.0),
    )


def cicflowmeter_actions(schema: Schema, strength: Strength = "strong") -> ActionSpace:
    """pad, stretch, dummies, window on CICFlowMeter records.

    Mild: at most 64 bytes of padding, 1.5 times the time, 2 dummies; strong: 1,400 bytes, 3 times, 10 dummies; the
    tcp initial window is free in both (-1 stands for "as it was").
    """
    window = Parameter("window", "window", -1, 65535, integer=True)
    return ActionSpace(
        schema, effects.on_cicflowmeter, (*_packet_actions(strength), window), ("pad", "stretch", "dummies", "window")
    )


def unsw_actions(schema: Schema, strength: Strength = "strong") -> ActionSpace:
    """pad, stretch, dummies, ttl, window, sequence on UNSW-NB15 records, and decoys, which are not allowed at first.

    Decoys change counts over the last 100 connections, which TM-B holds fixed: allow them with `only` or `replace`.
    """
    parameters = (
        *_packet_actions(strength),
        Parameter("ttl", "ttl", -1, 255, integer=True),
        Parameter("window", "window", -1, 255, integer=True),
        Parameter("sequence", "sequence", -1, 2**32 - 1, integer=True),
        Parameter("decoys", "decoys_same", 0, 10 if strength == "mild" else 50, integer=True),
        Parameter("decoys", "decoys_other", 0, 10 if strength == "mild" else 50, integer=True),
    )
    allowed = ("pad", "stretch", "dummies", "ttl", "window", "sequence")
    return ActionSpace(schema, effects.on_unsw, parameters, allowed)


def nslkdd_actions(schema: Schema, strength: Strength = "strong") -> ActionSpace:
    """upload, download, linger, decoys, slowdown on NSL-KDD records."""
    mild = strength == "mild"
    parameters = (
        Parameter("upload", "upload", 0, 1_000 if mild else 100_000, integer=True),
        Parameter("download", "download", 0, 1_000 if mild else 100_000, integer=True),
        Parameter("linger", "linger", 0, 10 if mild else 600, integer=True),
        Parameter("decoys", "decoys_same", 0, 20 if mild else 200, integer=True),
        Parameter("decoys", "decoys_other", 0, 20 if mild else 200, integer=True),
        Parameter("slowdown", "slowdown", 1, 4 if mild else 100),
    )
    return ActionSpace(schema, effects.on_nslkdd, parameters, tuple(dict.fromkeys(p.action for p in parameters)))


def action_space(schema: Schema, strength: Strength = "strong") -> ActionSpace:
    """The actions on the schema's records ("mild" or "strong" limits)."""
    makers = {"nsl-kdd": nslkdd_actions, "unsw-nb15": unsw_actions, "cicflowmeter": cicflowmeter_actions}
    if schema.name not in makers:
        raise BadInput(f"no actions are known for {schema.name}; schemas with actions: {', '.join(makers)}")
    return makers[schema.name](schema, strength)
