"""CommonRoad scenarios (.xml, formats 2018b and 2020a) as recorded scenes: the vehicles' tracks, without a dependency.

Althoff, Koschi and Manzinger, "CommonRoad: Composable benchmarks for motion planning on roads", IV 2017. Lanelets are
not read: a scene's road is what lies beside its ego's recorded way, as for every other log.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as Xml
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.systems.driving.logs import recorded
from sparring.systems.driving.scenes import DT, Scenes

Floats = NDArray[np.float32]
LARGEST = 200_000_000
"""Bytes of the largest file that is read."""
SHAPE = (4.6, 1.9)
"""Length and width of a vehicle whose shape is no rectangle, m."""


def commonroad(path: Path, generator: torch.Generator) -> Scenes:
    """Scenes of one scenario, up to four vehicles as egos. Raises `BadInput` that names the field that is wrong."""
    traj, lw = tracks(path)
    found = recorded({path.stem: (traj, lw)}, generator)
    if found is None:
        raise BadInput(f"{path}: no vehicle that moves lasts 4 s with another one near; give another scenario")
    return found


def tracks(path: Path) -> tuple[Floats, Floats]:
    """Every vehicle's `(agents, steps, 4)` x, y, heading, speed each 0.1 s (NaN while it is not there) and
    `(agents, 2)` length and width."""
    root = _root(path)
    dt = _number(path, root, "timeStepSize", root.get("timeStepSize"))
    if not 0.01 <= dt <= 1:
        raise BadInput(f"{path}: timeStepSize is {dt:g} s; 0.01 to 1 is read")
    moments: list[dict[int, tuple[float, ...]]] = []
    sizes: list[tuple[float, float]] = []
    for vehicle in root:
        if vehicle.tag == "dynamicObstacle" or (vehicle.tag == "obstacle" and vehicle.findtext("role") == "dynamic"):
            states = [*vehicle.findall("initialState"), *vehicle.findall("trajectory/state")]
            moments.append(dict(_state(path, vehicle, s) for s in states))
            sizes.append(_size(path, vehicle))
    if not moments:
        raise BadInput(f"{path}: no dynamicObstacle with a trajectory; give a scenario with recorded traffic")
    last = max(max(m, default=0) for m in moments)
    raw = np.full((len(moments), last + 1, 4), np.nan, np.float64)
    for track, found in zip(raw, moments, strict=True):
        for at, state in found.items():
            track[at] = state
    return _every_tenth(raw, dt), np.asarray(sizes, np.float32)


def _root(path: Path) -> Xml.Element:
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path}: larger than {LARGEST // 10**6} MB; split it")
        text = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); give a CommonRoad .xml") from None
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise BadInput(f"{path}: declares entities, which no CommonRoad file needs; remove the DOCTYPE")
    try:
        root = Xml.fromstring(text)  # noqa: S314 (entities are refused above)
    except (Xml.ParseError, ValueError) as error:
        raise BadInput(f"{path}: not XML ({error}); export the scenario again") from None
    if root.tag != "commonRoad":
        raise BadInput(f"{path}: its root is <{root.tag}>, not <commonRoad>; give a CommonRoad scenario")
    return root


def _state(path: Path, vehicle: Xml.Element, state: Xml.Element) -> tuple[int, tuple[float, ...]]:
    at = _number(path, vehicle, "time", state.findtext("time/exact"))
    if not 0 <= at <= 100_000 or at != int(at):
        raise BadInput(f"{path}: obstacle {vehicle.get('id')}: time {at:g} is no step's number; repair it")
    fields = ("position/point/x", "position/point/y", "orientation/exact", "velocity/exact")
    return int(at), tuple(_number(path, vehicle, f, state.findtext(f)) for f in fields)


def _size(path: Path, vehicle: Xml.Element) -> tuple[float, float]:
    box = vehicle.find("shape/rectangle")
    if box is None:
        return SHAPE
    length, width = (_number(path, vehicle, f"shape/rectangle/{f}", box.findtext(f)) for f in ("length", "width"))
    if not (0 < length < 40 and 0 < width < 6):
        raise BadInput(f"{path}: obstacle {vehicle.get('id')}: a shape of {length:g} × {width:g} m; repair it")
    return length, width


def _number(path: Path, owner: Xml.Element, field: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{path}: {owner.tag} {owner.get('id', '')}: field {field} is {text!r}, not a number; repair it")
    return value


def _every_tenth(raw: NDArray[np.float64], dt: float) -> Floats:
    """Tracks at steps of `dt` as tracks each 0.1 s, linear between; headings are unwrapped first."""
    if math.isclose(dt, DT):
        return raw.astype(np.float32)
    at = np.arange(int((raw.shape[1] - 1) * dt / DT + 1e-9) + 1) * DT / dt
    low = np.minimum(at.astype(int), max(0, raw.shape[1] - 2))
    share = (at - low)[None, :, None]
    ahead = raw[:, np.minimum(low + 1, raw.shape[1] - 1)].copy()
    turn = ahead[..., 2] - raw[:, low, 2]
    ahead[..., 2] = raw[:, low, 2] + (turn + np.pi) % (2 * np.pi) - np.pi
    mixed = np.where(share == 0, raw[:, low], raw[:, low] * (1 - share) + ahead * share)
    return mixed.astype(np.float32)
