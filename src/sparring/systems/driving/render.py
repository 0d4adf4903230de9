"""Pictures from above: one scene side by side for each defender, under plain traffic and under attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.evaluation.scorecard import Figure
from sparring.systems.driving.arena import Judged
from sparring.systems.driving.episodes import record
from sparring.systems.driving.response import allowed
from sparring.systems.driving.scenes import FAMILIES, FAR, Scenes
from sparring.systems.driving.simulator import ENDINGS, Simulator
from sparring.typed import numbers

if TYPE_CHECKING:
    from PIL.Image import Image

EGO, ATTACKER, OTHER = (31, 111, 235), (209, 36, 47), (140, 149, 159)
GROUND, ROAD, LINE, INK = (255, 255, 255), (228, 232, 238), (175, 184, 193), (31, 35, 40)
LANES = (240, 242, 246)
PANEL, HEAD = (460, 330), 26
"""Width and height of one panel's picture, and of the line above it, pixels."""
LANE = 3.5
"""Width that a logged way is drawn with, m."""
AROUND = 16.0
"""Metres shown around all ways of the ego."""


@dataclass(frozen=True)
class Film:
    """One episode: `ego` `(STEPS + 1, 4)`, `others` `(others, STEPS + 1, 4)`, how it ended and at which step."""

    title: str
    ego: Tensor
    others: Tensor
    ending: int
    ended: int


@dataclass(frozen=True)
class View:
    """From metres to pixels: the same for all panels of a picture."""

    left: float
    top: float
    scale: float

    def at(self, places: Tensor) -> list[tuple[float, float]]:
        """Pixels of places `(n, 2)`."""
        x, y = (places[:, 0] - self.left) * self.scale, (self.top - places[:, 1]) * self.scale + HEAD
        return list(zip(numbers(x), numbers(y), strict=True))


def shown_scene(judged: Mapping[str, Judged], scenes: Scenes) -> tuple[int, int]:
    """The scene and the attack in which hardening gained most."""
    worth = torch.where(allowed(scenes), judged["hardened"].table - judged["baseline"].table, -torch.inf)
    at = int(worth.argmax())
    return at // scenes.candidates, at % scenes.candidates


def films(defenders: Mapping[str, Any], scenes: Scenes, scene: int, move: int) -> list[Film]:
    """Every defender in one scene, on the log and under the attack."""
    found: list[Film] = []
    row = torch.tensor([scene])
    for name, driver in defenders.items():
        for told, path in (("plain traffic", scenes.log[row, 0]), ("attack", scenes.moves[row, move])):
            sim = Simulator(scenes, row, path)
            ego, others = record(driver, sim)
            found.append(Film(f"{name}, {told}", ego[0], others[0], int(sim.ending[0]), int(sim.ended_at[0])))
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


def still(films: Sequence[Film], scenes: Scenes, scene: int, path: Path) -> None:
    """All films as one picture, a box a second."""
    _sheet([_panel(f, scenes, scene, _view(films), range(0, min(f.ended, len(f.ego) - 1), 10)) for f in films]).save(
        path
    )


def gif(films: Sequence[Film], scenes: Scenes, scene: int, path: Path) -> None:
    """All films side by side in real time, ten frames a second; the last one stays for two seconds."""
    view = _view(films)
    frames = [
        _sheet([_panel(f, scenes, scene, view, (), t) for f in films]).quantize(64) for t in range(len(films[0].ego))
    ]
    waits = [100] * (len(frames) - 1) + [2000]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=waits, loop=0, optimize=True)


# --- drawing ----------------------------------------------------------------------------------------------------------


def _view(films: Sequence[Film]) -> View:
    """A window that holds the ego's ways in all films."""
    ways = torch.cat([f.ego[:, :2] for f in films])
    low, high = ways.amin(0) - AROUND, ways.amax(0) + AROUND
    wide, tall = numbers(high - low)
    scale = min(PANEL[0] / wide, PANEL[1] / tall)
    middle = (low + high) / 2
    return View(float(middle[0]) - PANEL[0] / scale / 2, float(middle[1]) + PANEL[1] / scale / 2, scale)


def _panel(film: Film, scenes: Scenes, scene: int, view: View, traces: Sequence[int], now: int | None = None) -> Image:
    """One film at step `now` (its end by default), with faint boxes at the steps of `traces`."""
    from PIL import Image, ImageDraw, ImageFont

    last = len(film.ego) - 1
    t = min(film.ended, last if now is None else now)
    over = film.ending and (now is None or now >= film.ended)
    picture = Image.new("RGB", (PANEL[0], PANEL[1] + HEAD), GROUND)
    draw = ImageDraw.Draw(picture)
    _road(draw, scenes, scene, view)
    for moment, faint in [*((m, 0.72) for m in traces), (t, 0.0)]:
        for i, pose in enumerate([film.ego[moment], *film.others[:, moment]]):
            if abs(float(pose[0])) < FAR / 2:
                colour = (EGO, ATTACKER)[i] if i < 2 else OTHER
                shade = tuple(round(c + faint * (255 - c)) for c in colour)
                draw.polygon(view.at(corners(pose, scenes.size[scene, i])), fill=shade, outline=GROUND)
    draw.rectangle((0, 0, PANEL[0], HEAD), fill=GROUND)
    told = _ending(film.ending) if over else "gets through" if now is None or now >= last else ""
    text = f"{film.title}   {t / 10:.1f} s   {told}"
    draw.text((8, 6), text, fill=ATTACKER if over else INK, font=ImageFont.load_default(14))
    draw.rectangle((0, HEAD, PANEL[0] - 1, PANEL[1] + HEAD - 1), outline=LINE)
    return picture


def _ending(kind: int) -> str:
    told = ENDINGS[kind]
    return told if told == "off the road" else "is rear-ended" if told == "rear-ended" else f"hits the {told}"


def _road(draw: Any, scenes: Scenes, scene: int, view: View) -> None:
    """The lanes that the other vehicles come along by their logs, the ego's corridor over them, and its route."""
    lane = max(1, round(LANE * view.scale))
    for way in scenes.log[scene]:
        if float(way[:, 0].abs().amax()) < FAR / 2:
            draw.line(view.at(way[:, :2]), fill=LANES, width=lane, joint="curve")
    route = scenes.route[scene]
    normal = torch.stack([-route[:, 2].sin(), route[:, 2].cos()], dim=1)
    left = route[:, :2] + (scenes.left[scene] + 1) * normal
    right = route[:, :2] - (scenes.right[scene] + 1) * normal
    draw.polygon(view.at(torch.cat([left, right.flip(0)])), fill=ROAD)
    line = view.at(route[:, :2])
    for a, b in zip(line[::4], line[2::4], strict=False):
        draw.line((*a, *b), fill=LINE, width=1)


def corners(pose: Tensor, size: Tensor) -> Tensor:
    """The corners `(4, 2)` of a vehicle's box, from its pose (x, y, heading, ...) and size (length, width)."""
    ahead = torch.stack([pose[2].cos(), pose[2].sin()]) * size[0] / 2
    left = torch.stack([-pose[2].sin(), pose[2].cos()]) * size[1] / 2
    return pose[:2] + torch.stack([ahead + left, ahead - left, -ahead - left, left - ahead])


def _sheet(panels: Sequence[Image]) -> Image:
    """Two panels a row."""
    from PIL import Image

    wide, tall = panels[0].size
    sheet = Image.new("RGB", (2 * wide + 8, (len(panels) + 1) // 2 * (tall + 8) - 8), GROUND)
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i % 2 * (wide + 8), i // 2 * (tall + 8)))
    return sheet
