"""Readers of recorded and foreign scenes: NGSIM by CommonRoad, KING's attacks. Arrays only; nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.driving.build import CAR, measured
from sparring.systems.driving.escape import escapes
from sparring.systems.driving.families import Track
from sparring.systems.driving.geometry import from_points, project, unwrap
from sparring.systems.driving.lattice import Naturalness, feasible, lattice
from sparring.systems.driving.scenes import DT, FAMILIES, FAR, OTHERS, POINTS, STEPS, Scenes
from sparring.typed import from_numpy

Floats = NDArray[np.float32]
KING_DT = 0.25
"""Seconds between two moments of a KING file: its displacements over its speeds."""
TRAINING, TEST = ("US101",), ("Lanker", "Peach")
"""NGSIM's locations, split: no road is in both."""
LEAST = 40
"""Moments (0.1 s) that an ego's track must last; it goes straight on after its end."""
EGOS = 4
"""Egos taken from one recording."""


def arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """The arrays of an npz file. Raises `BadInput` for a missing, damaged or pickled one."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); give an .npz file of scenes") from None
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        reason = "it holds pickled objects" if "pickle" in str(error) else f"damaged: {type(error).__name__}"
        raise BadInput(f"{path}: not an .npz of plain arrays ({reason}); save it again with numpy.savez") from None


def ngsim(path: Path, locations: tuple[str, ...], generator: torch.Generator) -> Scenes:
    """Scenes from the recordings of these locations; the attacker is the vehicle that comes closest to the ego.

    Keys are `NAME/traj` `(agents, steps, 4)` x, y, heading, speed and `NAME/lw` `(agents, 2)`, 0.1 s apart. The road's
    edge is taken 2.6 m beside the ego's recorded way. Raises `BadInput` that names the field that does not fit.
    """
    found = arrays(path)
    names = sorted(k.removesuffix("/traj") for k in found if k.endswith("/traj"))
    if not names:
        raise BadInput(f"{path}: no field NAME/traj; give scenes as ngsim_commonroad.npz holds them")
    chosen = [name for name in names if any(place in name for place in locations)]
    scenes = recorded({name: _checked(path, found, name) for name in chosen}, generator)
    if scenes is None:
        raise BadInput(f"{path}: no recording of {', '.join(locations)} lasts {LEAST * DT:g} s; give another file")
    return scenes


def recorded(tracks: Mapping[str, tuple[Floats, Floats]], generator: torch.Generator) -> Scenes | None:
    """Scenes of recordings, each `(agents, steps, 4)` x, y, heading, speed every 0.1 s (NaN where absent) with
    `(agents, 2)` lengths and widths; None where nobody can be the ego of one."""
    parts: list[Scenes] = []
    for traj, lw in tracks.values():
        parts += _egos(from_numpy(traj), from_numpy(lw), generator)
    if not parts:
        return None
    scenes = measured(Scenes.joined(parts))
    scenes = scenes.take(scenes.nominal > 0)
    return Scenes(**{**scenes.tensors(), "avoidable": escapes(scenes)}) if len(scenes) else None


def king(path: Path) -> tuple[Scenes, Scenes]:
    """KING's scenes as they began and as its gradient search left them: two sets of equal length, the same egos.

    Keys are `eval/NAME/init` and `eval/NAME/final`, `(81, 5, 5)` x, y, yaw, vx, vy every 0.25 s; vehicle 0 is the ego.
    Eight seconds around the closest approach of the attack are played.
    """
    found = arrays(path)
    names = sorted({k.rsplit("/", 1)[0] for k in found if k.endswith("/final")})
    if not names:
        raise BadInput(f"{path}: no field NAME/final; give scenes as king_eval.npz holds them")
    pairs: list[tuple[Scenes, Scenes]] = []
    for name in names:
        both = [found.get(f"{name}/{part}") for part in ("init", "final")]
        for part, value in zip(("init", "final"), both, strict=True):
            if value is None or value.ndim != 3 or value.shape[2] != 5 or not np.isfinite(value).all():
                raise BadInput(f"{path}: field {name}/{part} is not finite numbers (moments, vehicles, 5); repair it")
        init, final = (_resampled(np.asarray(v, np.float32)) for v in both)
        pairs += _king_scene(init, final)
    first, second = (Scenes.joined([p[i] for p in pairs]) for i in (0, 1))
    return first, second


# --- NGSIM --------------------------------------------------------------------------------------------------------


def _checked(path: Path, found: Mapping[str, NDArray[Any]], name: str) -> tuple[Floats, Floats]:
    traj, lw = found[f"{name}/traj"], found.get(f"{name}/lw")
    if traj.ndim != 3 or traj.shape[2] != 4 or traj.dtype.kind != "f":
        raise BadInput(f"{path}: field {name}/traj is {traj.shape} {traj.dtype}; (agents, steps, 4) numbers are needed")
    if lw is None or lw.shape != (len(traj), 2) or not (np.isfinite(lw).all() and (lw > 0).all()):
        raise BadInput(f"{path}: field {name}/lw is not a length and a width per agent; add them")
    return traj.astype(np.float32), lw.astype(np.float32)


def _egos(traj: Tensor, lw: Tensor, generator: torch.Generator) -> Iterator[Scenes]:
    there = torch.isfinite(traj).all(2)
    steady = there[:, :LEAST].all(1) if traj.shape[1] >= LEAST else torch.zeros(len(traj), dtype=torch.bool)
    moving = steady & (traj[:, 0, 3] > 4.0) & (lw[:, 1] < 2.4)
    candidates = torch.nonzero(moving).flatten()
    chosen = candidates[torch.randperm(len(candidates), generator=generator)[:EGOS]]
    full = torch.stack([_whole(t, seen) for t, seen in zip(traj, there, strict=True)])
    for ego in chosen:
        others = torch.nonzero(there[:, 0] & (torch.arange(len(traj)) != ego)).flatten()
        if len(others) == 0:
            continue
        gap = (full[others, :, :2] - full[ego, None, :, :2]).square().sum(2).amin(1)
        order = others[gap.argsort()[:OTHERS]]
        if float(gap.min().sqrt()) < 30:
            yield _recorded(full[ego], full[order], lw[ego], lw[order], generator)


def _whole(track: Tensor, there: Tensor) -> Tensor:
    """A track of STEPS + 1 moments: straight on after its end, far away if it is not there at first."""
    out = torch.full((STEPS + 1, 4), FAR)
    out[:, 2:] = 0.0
    if not bool(there[0]):
        return out
    last = int((~there).nonzero()[0]) if bool((~there).any()) else len(track)
    last = min(last, STEPS + 1)
    out[:last] = track[:last]
    out[:last, 2] = unwrap(track[:last, 2].unsqueeze(0))[0]
    end = out[last - 1]
    ahead = torch.arange(1, STEPS + 2 - last) * DT * end[3]
    out[last:, 0] = end[0] + ahead * end[2].cos()
    out[last:, 1] = end[1] + ahead * end[2].sin()
    out[last:, 2:] = end[2:]
    return out


def _recorded(ego: Tensor, others: Tensor, lw: Tensor, lws: Tensor, generator: torch.Generator) -> Scenes:
    route = _path(ego)
    log = torch.full((OTHERS, STEPS + 1, 4), FAR)
    log[..., 2:] = 0.0
    log[: len(others)] = others
    size = torch.tensor(CAR).repeat(1 + OTHERS, 1)
    size[0], size[1 : 1 + len(others)] = lw, lws
    attacker = Track(_path(others[0])[None], torch.zeros(1), others[0, :, 3][None], torch.zeros(1, STEPS + 1),
                     torch.ones(1, dtype=torch.bool))  # fmt: skip
    away = ego[0, :2] - others[0, 0, :2]
    h = others[0, 0, 2]
    side = torch.sign(away[1] * h.cos() - away[0] * h.sin() + 1e-3)
    moves = lattice(attacker, torch.full((1, 2), 3.6), side[None], Naturalness(), generator)
    paths = moves.path.clone()
    paths[0, 0] = others[0]
    return _scene(route, ego[0], log, size, 2.6, ego[:, 3].mean().clamp_min(4.0), "NGSIM", paths, moves.log_prior)


def _path(poses: Tensor) -> Tensor:
    """The way of a track as a path, straight on after its end."""
    end = poses[-1]
    beyond = end[:2] + torch.stack([end[2].cos(), end[2].sin()]) * POINTS
    places = torch.cat([_thinned(poses[:, :2]), beyond[None]])
    return from_points(places, POINTS)


def _thinned(places: Tensor, apart: float = 2.0) -> Tensor:
    """Places at least so far apart: a slow vehicle's noise is no curve."""
    kept = [places[0]]
    for place in places[1:]:
        if float((place - kept[-1]).square().sum()) >= apart**2:
            kept.append(place)
    return torch.stack(kept)


def _scene(
    route: Tensor, start: Tensor, log: Tensor, size: Tensor, edge: float, pace: Tensor, family: str,
    moves: Tensor, log_prior: Tensor,
) -> Scenes:  # fmt: skip
    one = Scenes(
        route=route[None], start=start[None], log=log[None], size=size[None], left=torch.tensor([edge]),
        right=torch.tensor([edge]), pace=pace[None], nominal=pace[None] * 8,
        family=torch.tensor([FAMILIES.index(family)]), moves=moves, log_prior=log_prior,
        feasible=feasible(moves, log[None, 1:], size[None, 1:]),
        avoidable=torch.ones(1, moves.shape[1], dtype=torch.bool),
    )  # fmt: skip
    _, _, aside, point = project(one.route, one.start, torch.zeros(1, dtype=torch.long))
    one.start[0, 2] = start[2] if abs(float(aside)) < edge else point[0, 2]
    return one


# --- KING ---------------------------------------------------------------------------------------------------------


def _resampled(moments: Floats) -> Tensor:
    """`(vehicles, moments at 0.1 s, 4)` x, y, heading, speed of KING's `(moments, vehicles, 5)`."""
    values = from_numpy(np.ascontiguousarray(moments.transpose(1, 0, 2)))
    heading = unwrap(values[..., 2])
    speed = values[..., 3:5].square().sum(2).sqrt()
    poses = torch.stack([values[..., 0], values[..., 1], heading, speed], dim=2)
    at = torch.arange(int((poses.shape[1] - 1) * KING_DT / DT) + 1) * DT / KING_DT
    low = at.long().clamp_max(poses.shape[1] - 2)
    return torch.lerp(poses[:, low], poses[:, low + 1], (at - low)[None, :, None])


def _king_scene(init: Tensor, final: Tensor) -> list[tuple[Scenes, Scenes]]:
    gap = (final[1:, :, :2] - final[:1, :, :2]).square().sum(2)
    attacker = int(gap.amin(1).argmin())
    closest = int(gap[attacker].argmin())
    begin = max(0, min(closest - 60, final.shape[1] - STEPS - 1))
    window = slice(begin, begin + STEPS + 1)
    ego = init[0, window]
    if float((ego[1:, :2] - ego[:-1, :2]).square().sum(1).sqrt().sum()) < 4.0:
        return []
    order = [1 + attacker, *(1 + i for i in range(len(final) - 1) if i != attacker)][:OTHERS]
    pace = init[0, :, 3].quantile(0.8).clamp_min(4.0)
    pair: list[Scenes] = []
    for played in (init, final):
        log = torch.full((OTHERS, STEPS + 1, 4), FAR)
        log[..., 2:] = 0.0
        log[: len(order)] = played[order, window]
        size = torch.tensor(CAR).repeat(1 + OTHERS, 1)
        scene = _scene(_path(ego), ego[0], log, size, 3.0, pace, "KING", log[None, :1], torch.zeros(1, 1))
        pair.append(Scenes(**{**scene.tensors(), "nominal": _travelled(ego).clamp_min(0.5 * pace * 8)[None]}))
    return [(pair[0], pair[1])]


def _travelled(poses: Tensor) -> Tensor:
    return (poses[1:, :2] - poses[:-1, :2]).square().sum(1).sqrt().sum()
