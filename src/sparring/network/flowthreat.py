"""The box an attacker may search around a flow record, without leaving the records that can exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.network.schema import Array, Control, Relation, Schema, Table, take

_ROUNDING = 1e-9
_ROUNDS = 4  # of repairing and giving fields back; what still fails then goes back whole
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Lever:
    """One field that the attacker moves: which way, and on which rows (`when` of the clean table; all if None)."""

    feature: str
    control: Control
    when: Callable[[Table], Mask] | None = None


@dataclass(frozen=True)
class FlowThreat:
    """Records within `eps` of `x` on the unit scale in the lever fields, every relation kept; a `ThreatModel`.

    A member moves only levers, within their direction and rows; its numbers lie on their grids, fields that follow
    from the levers are recomputed, and it breaks no relation that `x` keeps. `eps` = 1 leaves the levers free over
    the schema's range. Category levers may take any category while `eps` > 0.

    `project` clips to the box, snaps to the grids and repairs; fields of a relation that is still broken go back to
    their clean values, and the whole record if that is not enough. Matrices are float64 of shape
    `(n, schema.width)`; others raise `ValueError`, because float32 cannot hold byte counts exactly.
    """

    schema: Schema
    eps: float
    levers: tuple[Lever, ...]

    def __post_init__(self) -> None:
        if not self.eps >= 0:
            raise ValueError(f"eps must be at least 0, got {self.eps}")
        for lever in self.levers:
            if self.schema[lever.feature].categories and lever.control not in ("both", "none"):
                raise ValueError(f"{lever.feature} is a category: its control is both or none")

    def __str__(self) -> str:
        fields = ", ".join(f"{lever.feature} {lever.control}" for lever in self.levers if lever.control != "none")
        return f"{self.schema} records, eps={self.eps:g} on {fields}"

    @property
    def radius(self) -> float:
        return float(self.eps)

    def scaled(self, factor: float) -> Self:
        return replace(self, eps=self.eps * factor)

    @cached_property
    def moved(self) -> tuple[str, ...]:
        """Every field that can differ from the clean record: levers and what is recomputed from them."""
        names = {lever.feature for lever in self.levers if lever.control != "none"}
        names |= set(self.schema.dependents(names))
        return tuple(n for n in self.schema.names if n in names)

    @cached_property
    def immutable(self) -> tuple[str, ...]:
        """Every field that is the same in all members: what a detector can rely on."""
        return tuple(n for n in self.schema.names if n not in self.moved)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        z, ref, clean = self._arrays(x_adv, x)
        out = z.copy()
        rows = np.flatnonzero(self._violation(z, ref, clean) > 0)
        if len(rows):
            out[rows] = self._repaired(z[rows], ref[rows], take(clean, rows))
        return torch.as_tensor(out).to(x.device)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """Diverse members: each row moves a random share of its levers, some far, some by single grid steps."""

        def random(*shape: int) -> Array:
            return torch.rand(*shape, generator=generator, device=x.device, dtype=torch.float64).cpu().numpy()

        _, ref, clean = self._arrays(x, x)
        n, z = len(ref), ref.copy()
        share, near = random(n) ** 2, random(n) < 0.25
        for lever, low, high in self._boxes(ref, clean):
            f, at = self.schema[lever.feature], self.schema.slices[lever.feature]
            chosen = random(n) < np.maximum(share, 1.5 / len(self.levers))
            if f.categories:
                pick = np.minimum((random(n) * f.width).astype(int), f.width - 1)
                z[chosen, at] = np.eye(f.width)[pick[chosen]]
                continue
            u = low + random(n) * (high - low)
            if f.spacing:
                steps = np.ceil(random(n) * 4) * np.where(random(n) < 0.5, -1, 1) * f.spacing
                u = np.where(near, np.clip(f.unit(clean[f.name] + steps), low, high), u)
            z[chosen, at.start] = u[chosen]
        return self.project(torch.as_tensor(z).to(x.device), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        """The gradient's sign on the lever columns that can still move that way (L∞ geometry); 0 elsewhere."""
        z, ref, clean = self._arrays(x_adv, x)
        slope, out = grad.detach().cpu().numpy(), np.zeros_like(z)
        for lever, low, high in self._boxes(ref, clean):
            at = self.schema.slices[lever.feature]
            sign = np.sign(slope[:, at])
            if not self.schema[lever.feature].categories:
                stuck = ((sign > 0) & (z[:, at] >= high[:, None])) | ((sign < 0) & (z[:, at] <= low[:, None]))
                sign = np.where(stuck, 0.0, sign)
            elif lever.when is not None:
                sign = np.where(lever.when(clean)[:, None], sign, 0.0)
            out[:, at] = sign
        return torch.as_tensor(out).to(grad)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """Excess over the box, plus one for each relation broken that `x` keeps, field off its grid, fixed field moved.

        Exactly 0 on members."""
        return torch.as_tensor(self._violation(*self._arrays(x_adv, x))).float().to(x.device)

    def _arrays(self, x_adv: Tensor, x: Tensor) -> tuple[Array, Array, Table]:
        ref = x.detach().cpu().numpy()
        z = x_adv.detach().cpu().numpy()
        if ref.dtype != np.float64 or z.dtype != np.float64:
            raise ValueError("a flow threat needs float64 matrices: encode with the schema, cast inside the model")
        return z, ref, self.schema.decode(ref)

    def _boxes(self, ref: Array, clean: Table) -> list[tuple[Lever, Array, Array]]:
        """Lower and upper end of every lever on the unit scale, `(n,)` each."""
        boxes: list[tuple[Lever, Array, Array]] = []
        for lever in self.levers:
            at = ref[:, self.schema.slices[lever.feature].start]
            may = np.ones(len(ref), dtype=bool) if lever.when is None else lever.when(clean)
            may = may & (self.eps > 0)
            down = may & (lever.control in ("decrease", "both"))
            up = may & (lever.control in ("increase", "both"))
            low = np.where(down, np.maximum(at - self.eps, np.minimum(at, 0.0)), at)
            high = np.where(up, np.minimum(at + self.eps, np.maximum(at, 1.0)), at)
            boxes.append((lever, low, high))
        return boxes

    def _excess(self, z: Array, ref: Array, clean: Table) -> dict[str, Array]:
        """How far each lever lies outside its box, per feature `(n,)`; off-category groups count 1."""
        out: dict[str, Array] = {}
        for lever, low, high in self._boxes(ref, clean):
            f, at = self.schema[lever.feature], self.schema.slices[lever.feature]
            if f.categories:
                same = (z[:, at] == ref[:, at]).all(1)
                whole = np.isin(z[:, at], (0.0, 1.0)).all(1) & (z[:, at].sum(1) == 1)
                may = np.full(len(z), self.eps > 0) if lever.when is None else lever.when(clean) & (self.eps > 0)
                out[f.name] = np.where(same | (whole & may), 0.0, 1.0)
            else:
                beyond = np.maximum(low - z[:, at.start], z[:, at.start] - high)
                out[f.name] = np.where(beyond > _ROUNDING, beyond, 0.0)
        return out

    def _violation(self, z: Array, ref: Array, clean: Table) -> Array:
        finite = np.logical_and.reduce(np.isfinite(z), axis=1)
        z = np.where(finite[:, None], z, ref)
        total = np.where(finite, 0.0, np.inf)
        fixed = self.schema.indices(self.immutable)
        total += (z[:, fixed] != ref[:, fixed]).sum(1)
        changed = np.flatnonzero((z != ref).any(1))
        if len(changed) == 0:
            return total
        z, ref, clean = z[changed], ref[changed], take(clean, changed)
        table = {**clean, **self.schema.decode(z, self.moved)}
        extra = sum(self._excess(z, ref, clean).values(), np.zeros(len(z)))
        for name in self.moved:
            f, at = self.schema[name], self.schema.slices[name].start
            if f.spacing:
                extra += np.abs(f.unit(table[name]) - z[:, at]) > _ROUNDING
        total[changed] += extra + sum((rows for _, rows in self._newly_broken(table, clean)), np.zeros(len(z)))
        return total

    def _repaired(self, z: Array, ref: Array, clean: Table) -> Array:
        boxes = self._boxes(ref, clean)
        z, out = np.where(np.isfinite(z), z, ref), ref.copy()
        table = {**clean, **{lever.feature: self._snapped(lever, z, lo, up, clean) for lever, lo, up in boxes}}
        rows = np.arange(len(z))
        for _ in range(_ROUNDS):
            repaired = self.schema.repair(table, clean)
            table = {n: repaired[n] if n in self.moved else clean[n] for n in self.schema.names}
            done = self._encoded(table, ref, clean)
            bad = self._violation(done, ref, clean) > 0
            out[rows[~bad]] = done[~bad]
            rows = rows[bad]
            if len(rows) == 0:
                break
            table, clean, ref = take(table, bad), take(clean, bad), ref[bad]
            self._revert(table, done[bad], ref, clean)
        return out

    def _snapped(self, lever: Lever, z: Array, low: Array, high: Array, clean: Table) -> NDArray[np.generic]:
        f, at = self.schema[lever.feature], self.schema.slices[lever.feature]
        if f.categories:
            best, own = z[:, at].max(1), z[np.arange(len(z)), at.start + np.maximum(clean[f.name], 0)]
            may = np.full(len(z), self.eps > 0) if lever.when is None else lever.when(clean) & (self.eps > 0)
            return np.where(may & (best > own), z[:, at].argmax(1), clean[f.name])
        raw = f.raw(np.clip(z[:, at.start], low, high))
        if f.spacing:  # rounding may have stepped over the box's edge: step back
            raw = np.where(f.unit(raw) > high + _ROUNDING, f.snap(raw - f.spacing), raw)
            raw = np.where(f.unit(raw) < low - _ROUNDING, f.snap(raw + f.spacing), raw)
        return raw

    def _revert(self, table: Table, encoded: Array, ref: Array, clean: Table) -> None:
        """Give the fields of every newly broken relation, and every field outside its box, their clean values back."""
        excess = self._excess(encoded, ref, clean)
        for name, amount in excess.items():
            table[name] = np.where(amount > 0, clean[name], table[name])
        # Judged after the box, or a repair that leaves the box would be undone and made again for ever.
        for relation, broken in self._newly_broken(table, clean):
            for name in excess.keys() & set(relation.columns):
                table[name] = np.where(broken, clean[name], table[name])

    def _newly_broken(self, table: Table, clean: Table) -> list[tuple[Relation, Mask]]:
        """Relations that rows of `table` break and their clean records keep, with those rows."""
        found: list[tuple[Relation, Mask]] = []
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for relation in self._touched:
                now = np.asarray(relation.broken(table), dtype=bool)
                if now.any():
                    now &= ~np.asarray(relation.broken(clean), dtype=bool)
                    found.append((relation, now))
        return found

    @cached_property
    def _touched(self) -> tuple[Relation, ...]:
        """The relations that a moved field takes part in: no other can break."""
        return tuple(r for r in self.schema.relations if set(r.columns) & set(self.moved))

    def _encoded(self, table: Table, ref: Array, clean: Table) -> Array:
        """The table's matrix; cells equal to the clean record keep the clean record's bits."""
        out = ref.copy()
        for name in self.moved:
            f, at = self.schema[name], self.schema.slices[name]
            differs = np.flatnonzero(table[name] != clean[name])
            if f.categories:
                out[differs, at] = np.eye(f.width)[table[name][differs]]
            else:
                out[differs, at.start] = f.unit(table[name][differs])
        return out
