"""Scenes: one to four coloured shapes in four places, a prompt that tells of them, and a judge of whether it is true.

Everything is drawn here, nothing is downloaded. The tasks are GenEval's (Ghosh, Hajishirzi, Schmidt: GenEval, NeurIPS
2023): one object, two objects, counting, position, binding of attributes. A verifier reads the object list back from
the pixels by comparing with every way in which the shapes can be drawn, so "is the prompt fulfilled" needs no network.

Which combinations are held out is a rule, not a draw: of single and counted objects those with
`(colour + shape) % 4 == 0`; of two objects with colours those with `(sum of colours and shapes) % 4 == 3`; of two
objects without colours those with `sum of shapes == 3`. Each word, and each colour with each shape, is still seen.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.typed import integers

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square", "triangle", "cross")
NUMBERS = ("two", "three", "four")
RELATIONS = ("left", "right", "above", "below")
WORDS = ("", *COLOURS, *SHAPES, *NUMBERS, "and", *RELATIONS, "of")
"""The words of prompts; the id is the place here."""
TASKS = ("single", "two", "count", "position", "attribute")
LENGTH = 6
"""Words of the longest prompt, e.g. "red circle left of blue square"."""
SIDE, CELL = 16, 8
PLACES = 4
OBJECTS = len(COLOURS) * len(SHAPES)
"""Every colour of every shape, numbered colour * 4 + shape."""

_RGB = torch.tensor([[228, 52, 48], [60, 190, 75], [60, 100, 235], [245, 215, 50]], dtype=torch.float32)
_GROUND = torch.tensor([20.0, 20.0, 28.0])
_SIZES = (5.0, 6.0, 7.0)
_SHIFTS = (-0.5, 0.0, 0.5)
_NOISE = 4.0
_LINKS = ("left of", "right of", "above", "below")
_ID = {word: i for i, word in enumerate(WORDS)}
_EMPTY, _UNCLEAR = -1, -2


@dataclass(frozen=True)
class Scenes:
    """`images` `(n, 3, 16, 16)` uint8, `prompts` `(n, 6)` word ids, and the truth: `objects` `(n, 4)`, the place's
    object `colour * 4 + shape` or -1 where there is none, places row by row; `tasks` `(n,)` places in `TASKS`."""

    images: Tensor
    prompts: Tensor
    objects: Tensor
    tasks: Tensor


def held_out(objects: Tensor, tasks: Tensor) -> Tensor:
    """`(n,)` whether a scene's combination belongs to the test of new ones; see the module's rule."""
    colour, shape, there = objects // 4, objects % 4, objects >= 0
    kinds = ((colour + shape) * there).amax(1)
    pair = ((colour + shape) * there).sum(1)
    shapes = (shape * there).sum(1)
    alone = (tasks == TASKS.index("single")) | (tasks == TASKS.index("count"))
    two = tasks == TASKS.index("two")
    return torch.where(alone, kinds % 4 == 0, torch.where(two, shapes == 3, pair % 4 == 3))


def draw(n: int, *, new: bool = False, generator: torch.Generator) -> Scenes:
    """`n` scenes of evenly many tasks: combinations of training, or with `new` the held-out ones alone."""
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    each = -(-n // len(TASKS))
    have = torch.zeros(len(TASKS), dtype=torch.long)
    while int(have.min()) < each:  # what is held out is rejected, and that thins the tasks unevenly
        objects, prompts, tasks = _layouts(4 * n + 64, generator)
        fits = held_out(objects, tasks) == new
        kept.append((objects[fits], prompts[fits], tasks[fits]))
        have += torch.bincount(tasks[fits], minlength=len(TASKS))
    objects, prompts, tasks = (torch.cat(parts) for parts in zip(*kept, strict=True))
    mixed = torch.cat([torch.where(tasks == t)[0][:each] for t in range(len(TASKS))])
    order = mixed[torch.randperm(len(mixed), generator=generator)][:n]
    return Scenes(render(objects[order], generator=generator), prompts[order], objects[order], tasks[order])


def render(objects: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Pictures `(n, 3, 16, 16)` uint8 of objects `(n, 4)`: size and place vary by a pixel, with light noise.

    Without a generator every object has the middle size and place and there is no noise.
    """
    patches, _ = _stamps()
    n, variants = len(objects), len(_SIZES) * len(_SHIFTS) ** 2
    if generator is None:
        variant = torch.full((n, PLACES), variants // 2)
    else:
        variant = torch.randint(variants, (n, PLACES), generator=generator)
    index = torch.where(objects >= 0, objects * variants + variant, len(patches) - 1)
    cells = patches[index].reshape(n, 2, 2, 3, CELL, CELL)
    x = cells.permute(0, 3, 1, 4, 2, 5).reshape(n, 3, SIDE, SIDE)
    if generator is not None:
        x = x + _NOISE * torch.randn(x.shape, generator=generator)
    return x.round().clamp(0, 255).to(torch.uint8)


def read(images: Tensor, *, limit: float = 36.0) -> Tensor:
    """The objects `(n, 4)` of pictures `(n, 3, 16, 16)` uint8: nearest stamp, -1 for none.

    -2 where a place looks like nothing that can be drawn: its root mean square distance from every stamp is above
    `limit` (grey values of 255).
    """
    patches, labels = _stamps()
    n = len(images)
    cells = images.float().reshape(n, 3, 2, CELL, 2, CELL).permute(0, 2, 4, 1, 3, 5).reshape(n * PLACES, -1)
    distance = torch.cdist(cells, patches.reshape(len(patches), -1)) / cells.shape[1] ** 0.5
    nearest, where = distance.min(1)
    return torch.where(nearest <= limit, labels[where], _UNCLEAR).reshape(n, PLACES)


def fulfils(objects: Tensor, prompts: Tensor) -> Tensor:
    """`(n,)` whether object lists `(n, 4)` are what prompts `(n, 6)` say: nothing missing and nothing more.

    A prompt without colours leaves them free. "left of" compares columns, "above" rows. An unclear place fails.
    """
    out = [
        _true(tuple(int(o) for o in row), tuple(WORDS[int(w)] for w in prompt if int(w)))
        for row, prompt in zip(objects, prompts, strict=True)
    ]
    return torch.tensor(out, dtype=torch.bool)


def verify(images: Tensor, prompts: Tensor) -> Tensor:
    """`(n,)` whether pictures `(n, 3, 16, 16)` uint8 show what prompts `(n, 6)` say."""
    return fulfils(read(images), prompts)


def task_of(prompts: Tensor) -> Tensor:
    """`(n,)` the task that each prompt poses, a place in `TASKS`."""
    words: list[list[int]] = prompts.numpy().tolist()
    colours, numbers = {_ID[c] for c in COLOURS}, {_ID[m] for m in NUMBERS}
    relations = {_ID[r] for r in RELATIONS}

    def one(row: set[int]) -> str:
        if row & numbers:
            return "count"
        if row & relations:
            return "position"
        if _ID["and"] in row:
            return "attribute" if row & colours else "two"
        return "single"

    return torch.tensor([TASKS.index(one(set(row))) for row in words])


def normal(text: str) -> str:
    """A prompt in the model's own words: small letters, no articles, singular. Raises `BadInput` where it is none.

    e.g. "A red circle left of the blue square", "three red circles", "circle and square".
    """
    words = [w for w in re.split(r"[\s,]+", text.lower()) if w and w not in ("a", "an", "the", "one", "is", "to")]
    words = [w[: -2 if w == "crosses" else -1] if w.endswith("s") and w not in WORDS else w for w in words]
    for word in words:
        if word not in WORDS:
            raise BadInput(f"prompt {text!r}: {word!r} is no word of scenes; they are {', '.join(WORDS[1:])}")
    thing = f"(?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(SHAPES)})"
    form = rf"(?:(?:{'|'.join(NUMBERS)}) )?{thing}|{thing} (?:and|left of|right of|above|below) {thing}"
    if not re.fullmatch(form, " ".join(words)):
        raise BadInput(f'prompt {text!r}: say it like "red circle", "three blue squares" or "red circle left of cross"')
    return " ".join(words)


def encode(texts: list[str]) -> Tensor:
    """Word ids `(n, 6)` of prompts in free spelling; see `normal`."""
    rows = [[_ID[w] for w in normal(text).split()] for text in texts]
    return torch.tensor([row + [0] * (LENGTH - len(row)) for row in rows])


def _true(objects: tuple[int, ...], words: tuple[str, ...]) -> bool:
    if _UNCLEAR in objects or not words:
        return False
    found = [(place, o) for place, o in enumerate(objects) if o >= 0]
    if words[0] in NUMBERS:
        count = NUMBERS.index(words[0]) + 2
        return len(found) == count and all(_is(o, words[1:]) for _, o in found)
    joint = next((i for i, w in enumerate(words) if w == "and" or w in RELATIONS), None)
    if joint is None:
        return len(found) == 1 and _is(found[0][1], words)
    if len(found) != 2:
        return False
    first, second = words[:joint], words[joint + 1 :]
    second = second[1:] if second and second[0] == "of" else second
    orders = (found, found[::-1])
    return any(_is(a[1], first) and _is(b[1], second) and _stands(a[0], b[0], words[joint]) for a, b in orders)


def _is(thing: int, words: tuple[str, ...]) -> bool:
    return all(w in (COLOURS[thing // 4], SHAPES[thing % 4]) for w in words)


def _stands(a: int, b: int, relation: str) -> bool:
    match relation:
        case "left":
            return a % 2 < b % 2
        case "right":
            return a % 2 > b % 2
        case "above":
            return a // 2 < b // 2
        case "below":
            return a // 2 > b // 2
        case _:
            return True


def _layouts(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Objects, prompts and tasks of `n` scenes, before any is held out."""

    def pick(high: int) -> Tensor:
        return torch.randint(high, (n,), generator=generator)

    tasks = torch.arange(n) % len(TASKS)
    c1, s1, c2 = pick(4), pick(4), pick(4)
    s2 = (s1 + 1 + pick(3)) % 4
    bound = tasks == TASKS.index("attribute")
    c2 = torch.where(bound, (c1 + 1 + pick(3)) % 4, c2)  # two colours, or there is nothing to confuse
    places = torch.rand(n, PLACES, generator=generator).argsort(1)
    number, relation = pick(3), pick(4)
    # The relation is told of the places: mirrored pairs are put where the drawn relation holds.
    a, b = places[:, 0].clone(), places[:, 1].clone()
    other, side = pick(2), pick(2)
    position = tasks == TASKS.index("position")
    for r, word in enumerate(RELATIONS):
        at = position & (relation == r)
        near, far = (0, 1) if word in ("left", "above") else (1, 0)
        step = (1, 2) if word in ("left", "right") else (2, 1)
        a[at] = (near * step[0] + side * step[1])[at]
        b[at] = (far * step[0] + other * step[1])[at]
    objects = torch.full((n, PLACES), _EMPTY)
    rows = torch.arange(n)
    objects[rows, a] = c1 * 4 + s1
    alone = (tasks == TASKS.index("single")) | (tasks == TASKS.index("count"))
    objects[rows[~alone], b[~alone]] = (c2 * 4 + s2)[~alone]
    counted = tasks == TASKS.index("count")
    for k in (1, 2, 3):
        more = counted & (number + 2 > k)
        objects[rows[more], places[more, k]] = (c1 * 4 + s1)[more]
    return objects, _told(tasks, c1, s1, c2, s2, number, relation), tasks


def _told(tasks: Tensor, c1: Tensor, s1: Tensor, c2: Tensor, s2: Tensor, number: Tensor, relation: Tensor) -> Tensor:
    prompts = torch.zeros(len(tasks), LENGTH, dtype=torch.long)
    columns = [integers(x) for x in (tasks, c1, s1, c2, s2, number, relation)]
    for row, (task, ca, sa, cb, sb, many, where) in enumerate(zip(*columns, strict=True)):
        first, second = f"{COLOURS[ca]} {SHAPES[sa]}", f"{COLOURS[cb]} {SHAPES[sb]}"
        link = _LINKS[int(where)]
        text = {
            "single": first,
            "two": f"{SHAPES[sa]} and {SHAPES[sb]}",
            "count": f"{NUMBERS[many]} {first}",
            "position": f"{first} {link} {second}",
            "attribute": f"{first} and {second}",
        }[TASKS[task]]
        ids = [_ID[w] for w in text.split()]
        prompts[row, : len(ids)] = torch.tensor(ids)
    return prompts


@cache
def _stamps() -> tuple[Tensor, Tensor]:
    """Every way to draw a place, `(577, 3, 8, 8)` grey values, and what it shows `(577,)`; the last one is empty."""
    masks = [
        _mask(shape, size, dx, dy)
        for shape in SHAPES
        for size, dx, dy in itertools.product(_SIZES, _SHIFTS, _SHIFTS)
    ]  # fmt: skip
    cover = torch.stack(masks).reshape(1, len(masks), 1, CELL, CELL)
    ground = _GROUND.reshape(1, 1, 3, 1, 1)
    drawn = (ground + cover * (_RGB.reshape(4, 1, 3, 1, 1) - ground)).reshape(-1, 3, CELL, CELL)
    each = len(_SIZES) * len(_SHIFTS) ** 2
    labels = torch.arange(16).repeat_interleave(each)
    empty = _GROUND.reshape(1, 3, 1, 1).expand(1, 3, CELL, CELL)
    return torch.cat([drawn, empty]), torch.cat([labels, torch.tensor([_EMPTY])])


def _mask(shape: str, size: float, dx: float, dy: float) -> Tensor:
    """How much of each pixel a shape covers, `(8, 8)` in [0, 1], by 8 x 8 samples a pixel."""
    fine = 8
    at = (torch.arange(CELL * fine) + 0.5) / fine - CELL / 2
    y, x = torch.meshgrid(at - dy, at - dx, indexing="ij")
    half = size / 2
    inside = {
        "circle": x.square() + y.square() <= half**2,
        "square": (x.abs() <= half * 0.9) & (y.abs() <= half * 0.9),
        "triangle": (y <= half) & (y >= -half) & (x.abs() <= (y + half) / 2),
        "cross": ((x.abs() <= size / 6) | (y.abs() <= size / 6)) & (x.abs() <= half) & (y.abs() <= half),
    }[shape]
    return inside.float().reshape(CELL, fine, CELL, fine).mean((1, 3))
