"""Geometry of the report's figures: curves and interval bars as SVG coordinates, drawn by the templates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sparring.evaluation.scorecard import Curve, Series
from sparring.report.summary import Results, decimals, number, quantity

LEFT, RIGHT, TOP, BOTTOM = 44.0, 456.0, 12.0, 252.0
BAR_WIDTH = 160.0
LIMIT = 200
"""Points drawn of one series; the scorecard keeps them all."""
COLOURS, DASHES = 8, 4
_TINY = 1e-300
"""Values and spans below this are drawn as 0: near the smallest float no step between ticks can be told apart."""


@dataclass(frozen=True)
class Axis:
    """Maps a value to a coordinate, linearly or by powers of ten."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    """(coordinate, label) pairs."""
    log: bool = False

    def at(self, value: float) -> float:
        """The coordinate, to a tenth of a unit. On a logarithmic axis 0 and below sit at its start."""
        return round(self.start + (self.end - self.start) * self._share(value), 1)

    def _share(self, value: float) -> float:
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= self.low:
            return 0.0
        low, high = math.log10(self.low), math.log10(self.high)
        return (math.log10(value) - low) / (high - low)


@dataclass(frozen=True)
class Drawn:
    """One series as SVG paths."""

    label: str
    colour: int
    dash: int
    line: str
    band: str
    markers: str
    sample: str
    """The marker of the legend entry, in a box of 26 by 12."""


@dataclass(frozen=True)
class Plot:
    """A curve ready to be drawn, with the readings behind its cursor."""

    curve: Curve
    x: Axis
    y: Axis
    drawn: tuple[Drawn, ...]
    readings: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    """One per x: its coordinate, its label, and per series the value's text and coordinate (None if absent)."""
    thinned: bool = False


def step(span: float, most: int) -> float:
    """The smallest of 1, 2, 2.5, 5 × 10^k that cuts `span` into at most `most` parts."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next((m * power for m in (1, 2, 2.5, 5) if span / (m * power) <= most * (1 + 1e-9)), 10 * power)


def linear_axis(values: Sequence[float], start: float, end: float, *, parts: int = 5, unit: bool = False) -> Axis:
    """An axis with round ends around the values; exactly 0 to 1 where `unit` and all values are fractions."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if unit and low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    if high - low <= max(1e-12 * max(abs(high), abs(low)), _TINY):
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if abs(low) > _TINY else (0.0, 1.0)
    size = step(high - low, parts)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    low, high = first * size, last * size
    axis = Axis(low, high, start, end, ())
    ticks = tuple((axis.at(k * size), quantity(round(k * size, 12))) for k in range(first, last + 1))
    return Axis(low, high, start, end, ticks)


def log_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Whole powers of ten around the positive values; where 0 or less occurs, it is shown one power below, as 0."""
    positive = [v for v in values if v > _TINY]
    if not positive:
        return linear_axis(values, start, end)
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    zero = len(positive) < len(values)
    first, last = first - zero, max(last, first + 1)
    axis = Axis(10.0**first, 10.0**last, start, end, (), log=True)
    every = max(1, math.ceil((last - first) / 6))
    ticks = [(axis.at(10.0**k), quantity(10.0**k)) for k in range(first + zero, last + 1, every)]
    if zero:
        ticks.insert(0, (start, "0"))
    return Axis(axis.low, axis.high, start, end, tuple(ticks), log=True)


def thin(series: Series, most: int = LIMIT) -> Series:
    """At most `most` points of a series, evenly chosen, its two ends kept."""
    size = len(series.x)
    if size <= most:
        return series
    keep = sorted({round(i * (size - 1) / (most - 1)) for i in range(most)})
    given = {name: getattr(series, name) for name in ("x", "y", "low", "high")}
    return series.model_copy(update={name: tuple(v[i] for i in keep) if v else v for name, v in given.items()})


def plot(curve: Curve, models: Sequence[str] = ()) -> Plot:
    """A curve as paths. Where every label begins with a model's name, colour tells the model and dash the rest."""
    series = [thin(s) for s in curve.series]
    xs = [v for s in series for v in s.x]
    ys = [v for s in series for v in (*s.y, *(s.low or ()), *(s.high or ()))]
    x = log_axis(xs, LEFT, RIGHT) if curve.log_x else linear_axis(xs, LEFT, RIGHT)
    y = linear_axis(ys, BOTTOM, TOP, unit=True)
    looks = styles([s.label for s in series], models)
    drawn = tuple(_draw(s, x, y, *look) for s, look in zip(series, looks, strict=True))
    return Plot(curve, x, y, drawn, _readings(series, x, y), any(len(s.x) > LIMIT for s in curve.series))


def styles(labels: Sequence[str], models: Sequence[str]) -> list[tuple[int, int, int]]:
    """(colour, dash, marker) of each series; no two share all three up to 32 series of one model."""
    owners = [_owner(label, models) for label in labels]
    if None in owners:
        return [(i % COLOURS, i // COLOURS % DASHES, i % 4) for i in range(len(labels))]
    seen: dict[int, int] = {}
    looks: list[tuple[int, int, int]] = []
    for owner in (o for o in owners if o is not None):
        nth = seen[owner] = seen.get(owner, -1) + 1
        looks.append((owner % COLOURS, nth % DASHES, (owner + nth // DASHES) % 4))
    return looks


def _owner(label: str, models: Sequence[str]) -> int | None:
    """The model whose name begins the label, the longest such name where several do."""
    fits = [m for m in models if label == m or (label.startswith(m) and label[len(m)] in ",:; (")]
    return models.index(max(fits, key=len)) if fits else None


def _draw(series: Series, x: Axis, y: Axis, colour: int, dash: int, mark: int) -> Drawn:
    points = [(x.at(a), y.at(b)) for a, b in zip(series.x, series.y, strict=True)]
    band = ""
    if series.low and series.high:
        upper = [(x.at(a), y.at(b)) for a, b in zip(series.x, series.high, strict=True)]
        lower = [(x.at(a), y.at(b)) for a, b in zip(series.x, series.low, strict=True)]
        band = _path(upper + lower[::-1]) + "Z"
    marks = "".join(_marker(mark, *p) for p in points) if len(points) <= 40 else ""
    return Drawn(series.label, colour, dash, _path(points), band, marks, _marker(mark, 13.0, 6.0))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'L' if i else 'M'}{a:g} {b:g}" for i, (a, b) in enumerate(points))


def _marker(index: int, a: float, b: float) -> str:
    """A circle, square, triangle or diamond around a point, so that colour is never the only difference."""
    match index % 4:
        case 0:
            return f"M{a - 3:g} {b:g}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z"
        case 1:
            return f"M{a - 2.8:g} {b - 2.8:g}h5.6v5.6h-5.6Z"
        case 2:
            return f"M{a:g} {b - 3.8:g}l3.6 6.4h-7.2Z"
        case _:
            return f"M{a:g} {b - 4:g}l4 4l-4 4l-4 -4Z"


def _readings(series: Sequence[Series], x: Axis, y: Axis) -> list[dict[str, object]]:
    places = decimals(v for s in series for v in s.y)
    tables = [{a: i for i, a in enumerate(s.x)} for s in series]
    out: list[dict[str, object]] = []
    for a in sorted({a for s in series for a in s.x}):
        values: list[list[object] | None] = []
        for s, table in zip(series, tables, strict=True):
            i = table.get(a)
            if i is None:
                values.append(None)
                continue
            band = f" [{number(s.low[i], places)}, {number(s.high[i], places)}]" if s.low and s.high else ""
            values.append([number(s.y[i], places) + band, y.at(s.y[i])])
        out.append({"at": x.at(a), "x": quantity(a), "values": values})
    return out


def bar_axis(result: Results) -> Axis:
    """The axis that all bars of one metric share; it holds 0, so that a bar's length is its value."""
    values = [0.0, *(v for row in result.rows for v in (row.value, *row.interval))]
    return linear_axis(values, 4.0, BAR_WIDTH - 8.0, parts=4, unit=True)
