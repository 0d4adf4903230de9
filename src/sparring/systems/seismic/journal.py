"""What an inversion left in the run's journal, as curves: the misfit or the critic's gap, and the model's error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from sparring.engine.run import Run
from sparring.evaluation.scorecard import Curve, Series


@dataclass(frozen=True)
class History:
    """Per epoch: the means of the defender's loss, of the critic's Wasserstein estimate, and the model's error."""

    residual: tuple[float, ...]
    gap: tuple[float, ...]
    error: tuple[float, ...]


def history(run: Run, names: Mapping[str, str]) -> dict[str, History]:
    """The histories of trainings, `names` mapping what they are called to the name they were trained under."""
    path = run.folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    found: dict[str, History] = {}
    for shown, name in names.items():
        own = [line for line in lines if line.get("name") == name and "epoch" in line]

        def column(key: str, own: list[dict[str, float]] = own) -> tuple[float, ...]:
            return tuple(float(line[key]) for line in own if key in line and math.isfinite(float(line[key])))

        found[shown] = History(column("residual"), column("gap"), column("valid/relative_error"))
    return found


def curves(found: Mapping[str, History], start: float | None = None) -> tuple[Curve, ...]:
    """The curves that have points; `start` is the error before the first epoch."""
    out: list[Curve] = []
    if errors := {name: h.error for name, h in found.items() if h.error}:
        first = None if start is None else (start,)
        lines = {name: _shares((*first, *e) if first else e) for name, e in errors.items()}
        out.append(_curve("Error of the velocity along the inversion", "relative error / the start's", lines,
                          0 if first else 1))  # fmt: skip
    if losses := {name: _shares(h.residual) for name, h in found.items() if h.residual}:
        out.append(_curve("Data misfit along the inversion", "data residual / the first epoch's", losses, 1))
    if gaps := {name: h.gap for name, h in found.items() if h.gap}:
        out.append(_curve("What the critic still tells apart", "Wasserstein estimate", gaps, 1))
    return tuple(out)


def _shares(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(v / values[0] for v in values) if values[0] > 0 else values


def _curve(title: str, y: str, lines: Mapping[str, tuple[float, ...]], first: int) -> Curve:
    series = tuple(
        Series(label=name, x=tuple(float(first + k) for k in range(len(values))), y=values)
        for name, values in lines.items()
    )
    return Curve(title=title, x_label="epoch", y_label=y, series=series)
