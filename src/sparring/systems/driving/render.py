"""Pictures from above: one scene as frames, as a GIF, and side by side under plain traffic and under attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.evaluation.scorecard import Figure
from sparring.systems.driving.arena import Judged
from sparring.systems.driving.episodes import record
from sparring.systems.driving.response import allowed
from sparring.systems.driving.scenes import FAMILIES, Scenes
from sparring.systems.driving.simulator import ENDINGS, Simulator

EGO, ATTACKER, OTHER = "#1f6feb", "#d1242f", "#8c959f"
ROAD, EDGE = "#eaeef2", "#afb8c1"


def shown_scene(judged: Mapping[str, Judged], scenes: Scenes) -> tuple[int, int]:
    """A scene and an attack in which the baseline crashes with the attacker and the hardened defender does not; where
    there is none, the one that costs the baseline most."""
    base, hard = judged["baseline"].table, judged["hardened"].table
    worth = torch.where(allowed(scenes), hard - base, -torch.inf)
    at = int(worth.argmax())
    return at // scenes.candidates, at % scenes.candidates


def films(
    defenders: Mapping[str, Any], scenes: Scenes, scene: int, move: int
) -> list[tuple[str, Tensor, Tensor, int, int]]:
    """(title, ego poses, others' poses, how it ended, when) of every defender on the log and under the attack."""
    found: list[tuple[str, Tensor, Tensor, int, int]] = []
    row = torch.tensor([scene])
    for name, driver in defenders.items():
        for told, path in (("plain traffic", scenes.log[row, 0]), ("attack", scenes.moves[row, move])):
            sim = Simulator(scenes, row, path)
            ego, others = record(driver, sim)
            found.append((f"{name}, {told}", ego[0], others[0], int(sim.ending[0]), int(sim.ended_at[0])))
    return found


def figures(defenders: Mapping[str, Any], scenes: Scenes, judged: Mapping[str, Judged], run: Run) -> tuple[Figure, ...]:
    """The telling scene as a still picture for the report."""
    scene, move = shown_scene(judged, scenes)
    path = run.figure("scene.png")
    still(films(defenders, scenes, scene, move), scenes, scene, path)
    family = FAMILIES[int(scenes.family[scene])]
    return (
        Figure(
            title="One scene under plain traffic and under attack", path=f"figures/{path.name}",
            caption=f"Test scene {scene} ({family}), candidate {move}: blue the ego, red the attacker, grey the rest; "
            "a box a second, and the last moment in full colour. `sparring driving render` makes it move. It was "
            "picked for the largest difference, so it shows what a gain looks like and not how often there is one.",
        ),
    )  # fmt: skip


def still(films: Sequence[tuple[str, Tensor, Tensor, int, int]], scenes: Scenes, scene: int, path: Path) -> None:
    """All films as one picture, a box a second."""
    plt = _pyplot()
    picture, axes = plt.subplots(2, 2, figsize=(11, 7))
    for axis, (title, ego, others, ending, ended) in zip(axes.flat, films, strict=True):
        _road(axis, scenes, scene, ego)
        last = min(ended, len(ego) - 1)
        for t in [*range(0, last, 10), last]:
            alpha = 1.0 if t == last else 0.25
            _vehicles(axis, scenes, scene, ego[t], others[:, t], alpha)
        axis.set_title(f"{title}: {ENDINGS[ending] if ending else 'gets through'}", fontsize=10)
    picture.tight_layout()
    picture.savefig(path, dpi=110)
    plt.close(picture)


def gif(films: Sequence[tuple[str, Tensor, Tensor, int, int]], scenes: Scenes, scene: int, path: Path) -> None:
    """All films side by side, ten frames a second of the scene's own time at every second moment."""
    plt = _pyplot()
    from matplotlib.animation import FuncAnimation, PillowWriter

    picture, axes = plt.subplots(2, 2, figsize=(10, 6.5))
    frames = list(range(0, len(films[0][1]), 2))

    def draw(t: int) -> list[Any]:
        for axis, (title, ego, others, ending, ended) in zip(axes.flat, films, strict=True):
            axis.clear()
            now = min(t, ended)
            _road(axis, scenes, scene, ego)
            _vehicles(axis, scenes, scene, ego[now], others[:, now], 1.0)
            over = f": {ENDINGS[ending]}" if ending and t >= ended else ""
            axis.set_title(f"{title}  {t / 10:.1f} s{over}", fontsize=10, color=ATTACKER if over else "black")
        return []

    film = FuncAnimation(picture, draw, frames=frames, blit=False)
    film.save(path, writer=PillowWriter(fps=8))
    plt.close(picture)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _road(axis: Any, scenes: Scenes, scene: int, ego: Tensor) -> None:
    """The corridor around the ego's route, and a view that holds the ego's whole drive."""
    route = scenes.route[scene]
    normal = torch.stack([-route[:, 2].sin(), route[:, 2].cos()], dim=1)
    left = route[:, :2] + (scenes.left[scene] + 1) * normal
    right = route[:, :2] - (scenes.right[scene] + 1) * normal
    ring = torch.cat([left, right.flip(0)])
    axis.fill(ring[:, 0], ring[:, 1], color=ROAD, zorder=0)
    axis.plot(route[:, 0], route[:, 1], color=EDGE, linewidth=1, linestyle=":", zorder=1)
    low, high = ego[:, :2].amin(0) - 18, ego[:, :2].amax(0) + 18
    axis.set_xlim(float(low[0]), float(high[0]))
    axis.set_ylim(float(low[1]), float(high[1]))
    axis.set_aspect("equal")
    axis.set_xticks([])
    axis.set_yticks([])


def _vehicles(axis: Any, scenes: Scenes, scene: int, ego: Tensor, others: Tensor, alpha: float) -> None:
    size = scenes.size[scene]
    poses = torch.cat([ego[None], others])
    for i, pose in enumerate(poses):
        x, y, heading = (float(v) for v in pose[:3])
        if abs(x) > 5e3:
            continue
        _box(axis, x, y, heading, size[i], (EGO, ATTACKER)[i] if i < 2 else OTHER, alpha)


def _box(axis: Any, x: float, y: float, heading: float, size: Tensor, colour: str, alpha: float) -> None:
    turn = torch.tensor(heading)
    ahead, left = torch.stack([turn.cos(), turn.sin()]), torch.stack([-turn.sin(), turn.cos()])
    half = size / 2
    corners = torch.stack(
        [a * half[0] * ahead + b * half[1] * left for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    ) + torch.tensor([x, y])
    axis.fill(corners[:, 0], corners[:, 1], color=colour, alpha=alpha, zorder=3)
