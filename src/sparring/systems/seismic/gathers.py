"""Shot gathers from SEG-Y files of the field: what their headers mean, and what had to be mended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.seismic.segy import library, opened
from sparring.systems.seismic.survey import Survey, ricker

Array = NDArray[Any]
FEET = 0.3048
_WILD = 10_000
"""A trace this many times as strong as the middle one is a fault of the recorder: near traces of one shot are stronger
than far ones by a few hundred times at most."""


@dataclass(frozen=True)
class Traces:
    """What a SEG-Y file holds: `data (traces, samples)`, `dt` in s, and per trace in metres: source and receiver.

    `source` and `receiver` are `(traces, 2)` of (x, depth), `record (traces,)` numbers the shots, `dead (traces,)`
    bool is what the headers call so. `notes` tell what was read between the lines.
    """

    data: Array
    dt: float
    source: Array
    receiver: Array
    record: Array
    dead: Array
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Gathers:
    """Observed data: the survey they belong to, `data (shots, receivers, samples)`, and what was mended."""

    survey: Survey
    data: Tensor
    mended: tuple[str, ...]


def read_gathers(path: Path, peak: float, wavelet: Tensor | None = None, *, free_surface: bool = False) -> Gathers:
    """Shot gathers with their survey. Dead and broken traces are silenced and counted, short shots filled up.

    Traces of one shot share its field record (or, where that is missing, its source position). `peak` is the source's
    peak frequency in Hz; the wavelet is a Ricker unless given as one number a sample. Raises `BadInput`.
    """
    traces = read_traces(path)
    mended = list(traces.notes)
    data, samples = traces.data.copy(), traces.data.shape[1]
    broken = ~np.isfinite(data).all(1)
    data[broken | traces.dead] = 0
    if broken.any():
        mended.append(f"{int(broken.sum())} traces with NaN or infinity are silenced")
    size = np.sqrt(np.square(data, dtype=np.float64).mean(1))
    wild = size > _WILD * np.median(size[size > 0]) if size.any() else np.zeros(len(size), dtype=bool)
    if wild.any():
        data[wild] = 0
        mended.append(f"traces over {_WILD:,} times as strong as the middle one are silenced: {int(wild.sum())}")
    silent = ~data.any(1) & ~broken & ~wild
    if silent.any():
        mended.append(f"{int(silent.sum())} traces are dead (all zero, or marked so) and count for nothing")
    shots = _shots(path, traces, mended)
    longest = max(len(rows) for rows in shots)
    stacked = np.zeros((len(shots), longest, samples), dtype=np.float32)
    spread = np.empty((len(shots), longest, 2))
    everywhere = np.unique(traces.receiver, axis=0)
    for k, rows in enumerate(shots):
        stacked[k, : len(rows)] = data[rows]
        spread[k] = _filled(traces.receiver[rows], everywhere, longest)
    if short := sum(len(rows) < longest for rows in shots):
        mended.append(f"{short} shots have fewer than {longest} receivers and are filled up with dead traces")
    if wavelet is not None and len(wavelet) != samples:
        raise BadInput(f"{path}: {samples} samples, the wavelet has {len(wavelet)}; resample or pad the wavelet")
    made = ricker(peak, traces.dt, samples) if wavelet is None else wavelet
    sources = torch.tensor(np.stack([traces.source[rows[0]] for rows in shots]))
    survey = Survey(sources, torch.tensor(spread), made, traces.dt, peak, free_surface)
    return Gathers(survey, torch.tensor(stacked), tuple(mended))


def read_traces(path: Path) -> Traces:
    """Every trace of a SEG-Y file, positions in metres along the line, by the file's own scalars and units.

    A scalar of 0 counts as 1 (the standard's reading of a missing one); feet become metres; where x and y both vary,
    positions are distances along the line through them. Raises `BadInput` for a file that cannot be placed.
    """

    def read(f: Any) -> Traces:
        return _traces(path, f)

    return cast(Traces, opened(path, read))


def _traces(path: Path, f: Any) -> Traces:
    keys, binary = library().TraceField, library().BinField

    def field(key: Any) -> Array:
        return np.asarray(f.attributes(key)[:], dtype=np.float64)

    every = np.unique(field(keys.TRACE_SAMPLE_INTERVAL))
    if len(every) > 1:
        raise BadInput(f"{path}: traces are sampled at {every[0]:g} to {every[-1]:g} microseconds; resample them alike")
    general = float(f.bin[binary.Interval])
    micro = float(every[0]) or general
    if not micro > 0:
        raise BadInput(f"{path}: sampling interval 0; write TRACE_SAMPLE_INTERVAL in microseconds")
    if (units := field(keys.CoordinateUnits)[0]) > 1:
        raise BadInput(f"{path}: coordinate units {units:.0f} are angles; project the coordinates to metres")
    if late := float(np.abs(field(keys.DelayRecordingTime)).max()):
        raise BadInput(f"{path}: recording begins {late:g} ms off the shot; pad or cut the traces to begin with it")
    notes: list[str] = []
    if general and general != micro:
        notes.append(f"the file's header says {general:g} microseconds a sample, its traces {micro:g}, which are taken")
    unit = FEET if int(f.bin[binary.MeasurementSystem]) == 2 else 1.0
    if unit != 1.0:
        notes.append("feet were read as metres x 0.3048")
    along, up = unit * _scalar(field(keys.SourceGroupScalar)), unit * _scalar(field(keys.ElevationScalar))
    xy = np.stack([field(keys.SourceX) * along, field(keys.SourceY) * along], -1)
    groups = np.stack([field(keys.GroupX) * along, field(keys.GroupY) * along], -1)
    sx, gx = _along_line(path, xy, groups, notes)
    depth = (field(keys.SourceDepth) - field(keys.SourceSurfaceElevation)) * up
    below = -field(keys.ReceiverGroupElevation) * up
    return Traces(
        np.asarray(f.trace.raw[:], dtype=np.float32), micro / 1e6,
        np.stack([sx, depth], -1), np.stack([gx, below], -1),
        field(keys.FieldRecord).astype(np.int64), field(keys.TraceIdentificationCode) == 2, tuple(notes),
    )  # fmt: skip


def _scalar(raw: Array) -> Array:
    """The factors that scalar fields mean: positive multiply, negative divide, 0 stands for 1."""
    safe = np.where(raw == 0, 1, raw)
    return np.where(safe > 0, safe, -1 / np.where(safe == 0, 1, safe))


def _along_line(path: Path, sources: Array, groups: Array, notes: list[str]) -> tuple[Array, Array]:
    """Positions on the line, `(traces,)` each: x itself, or the distance along a line that runs askew."""
    both = np.concatenate([sources, groups])
    if not both.any():
        raise BadInput(f"{path}: every coordinate is 0; write SourceX, GroupX and their scalar")
    if np.ptp(both[:, 1]) == 0:
        return sources[:, 0], groups[:, 0]
    middle = both.mean(0)
    axis = np.linalg.svd(both - middle, full_matrices=False)[2][0]
    axis = axis * (1 if axis[np.abs(axis).argmax()] > 0 else -1)
    off = np.abs((both - middle) @ np.array([-axis[1], axis[0]])).max()
    origin = ((both - middle) @ axis).min()
    notes.append(
        f"y varies: positions are metres along the line from its first station, up to {off:.0f} m beside it; "
        "x in the headers is not used"
    )
    return (sources - middle) @ axis - origin, (groups - middle) @ axis - origin


def _shots(path: Path, traces: Traces, mended: list[str]) -> list[Array]:
    keys = traces.record
    if len(np.unique(keys)) == 1 and len(np.unique(traces.source, axis=0)) > 1:
        _, keys = np.unique(traces.source, axis=0, return_inverse=True)
        mended.append("field records are missing: shots are told apart by their source positions")
    found = [np.flatnonzero(keys == key) for key in dict.fromkeys(keys.reshape(-1).tolist())]
    for rows in found:
        places = np.unique(traces.source[rows], axis=0)
        if len(places) > 1:
            record = int(traces.record[rows[0]])
            raise BadInput(f"{path}: field record {record} has {len(places)} source positions; number shots one by one")
    return found


def _filled(places: Array, everywhere: Array, count: int) -> Array:
    """Receiver positions, and after them others of the survey until there are `count`: places for dead traces."""
    if len(places) == count:
        return places
    taken = {tuple(p) for p in places}
    free = [p for p in everywhere if tuple(p) not in taken]
    return np.concatenate([places, np.array(free[: count - len(places)])])
