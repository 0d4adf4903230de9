"""The stages of one model, each resumable: tokenizer, teacher, Di[M]O, Soft-Di[M]O, reward tuning."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.files import write_text
from sparring.game import Batch, Task
from sparring.systems.images import dimo, patches, refine, teacher
from sparring.systems.images import tokenizer as tokenizers
from sparring.systems.images.config import Config, Distil, Refine
from sparring.systems.images.data import Pictures, Splits
from sparring.systems.images.patches import Patches
from sparring.systems.images.reward import Reward
from sparring.systems.images.tokenizer import ConvVQ, Palette, Tokenizer
from sparring.systems.images.transformer import Shape, Transformer, seeded
from sparring.typed import split

T = TypeVar("T", bound=nn.Module)


@dataclass(frozen=True)
class Grids:
    """A tokenizer and what it makes of the training and validation pictures, as (prompts, tokens)."""

    tokenizer: Tokenizer
    train: Batch
    valid: Batch
    words: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A student and the auxiliary model that knows what it makes; a stage begins with copies of both."""

    student: dimo.Generator
    auxiliary: Transformer

    def twin(self) -> tuple[dimo.Generator, Transformer]:
        """Copies whose weights learn, all but the token tables."""
        student = dimo.Generator(dimo.trainable(self.student.net), masked=self.student.masked, sigma=self.student.sigma)
        return student, dimo.trainable(self.auxiliary)


def tokenized(config: Config, run: Run, splits: Splits) -> Grids:
    """Learn a tokenizer (or take the pictures' own colours) and encode the pictures.

    Raises `BadInput` where `tokens.kind` is "palette" and there are more than 64 colours.
    """
    net = _tokenizer(config, run, splits)

    def grids(name: str, pictures: Pictures) -> Batch:
        kept = run.cached(f"tokens-{name}", lambda: {"tokens": encoded(net, pictures.images)})
        return pictures.prompts, kept["tokens"]

    return Grids(net, grids("train", splits.train), grids("validation", splits.validation), splits.train.words)


def _tokenizer(config: Config, run: Run, splits: Splits) -> Tokenizer:
    images = splits.train.images
    channels, height, width = images.shape[1:]
    shape, plan = (channels, height, width), config.tokens.fitted_to(splits.train.name)
    if plan.kind == "patches":
        empty = Patches(shape, plan.factor, torch.zeros(plan.codes, channels * plan.factor**2))
        made = lambda: patches.fitted(images, plan.codes, plan.factor, run.generator("codes")).state_dict()  # noqa: E731
        with _clocked(run, "tokenizer"):
            kept = run.cached("tokenizer", made)
        empty.load_state_dict(kept)
        return empty.eval()
    if plan.kind != "vq":
        colours = tokenizers.colours_of(images)
        if colours is not None:
            return Palette(shape, colours).eval().requires_grad_(False)
        if plan.kind == "palette":
            most = tokenizers.MOST_COLOURS
            raise BadInput(f"tokens.kind=palette: the pictures have more than {most} colours; set tokens.kind=vq")
    net = seeded(lambda: ConvVQ(shape, plan), run.seed_for("init/tokenizer"))
    return _trained(run, tokenizers.task(net, images, splits.validation.images, plan), "tokenizer", net)


def encoded(net: Tokenizer, images: Tensor, *, batch: int = 500) -> Tensor:
    """Tokens `(n, L)` of pictures `(n, c, h, w)` uint8."""
    with torch.no_grad():
        return torch.cat([net.encode(tokenizers.floats(part)) for part in split(images, batch)])


def decoded(net: Tokenizer, tokens: Tensor, *, batch: int = 500) -> Tensor:
    """Pictures `(n, c, h, w)` uint8 of tokens."""
    with torch.no_grad():
        return torch.cat([tokenizers.pixels(net.decode(part)) for part in split(tokens, batch)])


def taught(config: Config, run: Run, grids: Grids) -> Transformer:
    """The masked-diffusion teacher."""
    shape = Shape(
        codes=len(grids.tokenizer.codebook),
        positions=grids.tokenizer.positions,
        words=len(grids.words),
        prompt=grids.train[0].shape[1],
        width=config.net.width,
        layers=config.net.layers,
        heads=config.net.heads,
    )
    net = seeded(lambda: Transformer(shape), run.seed_for("init/teacher"))
    return _trained(run, teacher.task(net, grids.train, grids.valid, config.teach), "teacher", net)


def distilled(
    plan: Distil, run: Run, grids: Grids, taught: Transformer, *, name: str = "distilled", start: Pair | None = None
) -> Pair:
    """Di[M]O from the teacher, or on from `start`."""
    begin = dimo.begin(taught, plan) if start is None else start.twin()
    task = dimo.task(taught, grids.train, plan, start=begin)
    return _paired(run, task, name, lambda opponent: cast(Transformer, opponent))


def refined(
    plan: Refine,
    distil: Distil,
    run: Run,
    grids: Grids,
    taught: Transformer,
    start: Pair,
    *,
    name: str = "refined",
    reward: Reward | None = None,
) -> Pair:
    """Soft-Di[M]O (or, by the plan's weights, one of its parts alone) on from `start`."""
    task = refine.task(
        taught, grids.train, plan, distil, start.twin(),
        seed=run.seed_for(f"init/{name}"), tokenizer=grids.tokenizer, reward=reward,
    )  # fmt: skip
    return _paired(run, task, name, lambda opponent: cast(Transformer, opponent.auxiliary))


def seconds(run: Run, name: str) -> float:
    """CPU-seconds that the training `name` took so far, over interruptions too."""
    path = _clock(run, name)
    return float(json.loads(path.read_text("utf-8"))) if path.exists() else 0.0


def continued(distil: Distil, run: Run, refined: str, distilled: str = "distilled") -> Distil:
    """Di[M]O's settings for as many CPU-seconds as the training `refined` took: the control at equal cost."""
    a_step = seconds(run, distilled) / distil.steps
    steps = run.recorded(f"steps-{refined}", lambda: max(round(seconds(run, refined) / a_step), distil.rounds))
    return replace(distil, steps=steps)


def _clock(run: Run, name: str) -> Path:
    return run.folder / "checkpoints" / f"cpu-{name}.json"


def _paired(run: Run, task: Task, name: str, auxiliary: Callable[[nn.Module], Transformer]) -> Pair:
    student = _trained(run, task, name, cast(dimo.Generator, task.game.defender))
    # The auxiliary model is no one's to keep but this stage's: the next one goes on with it.
    opponent = auxiliary(task.game.adversary)
    kept = run.cached(f"{name}-auxiliary", lambda: copy.deepcopy(opponent.state_dict()))
    opponent.load_state_dict(kept)
    return Pair(student, opponent.eval().requires_grad_(False))


def _trained(run: Run, task: Task, name: str, kind: T) -> T:
    with _clocked(run, name):
        found = run.train(task, name)
    assert isinstance(found, type(kind))
    return found.eval().requires_grad_(False)


@contextmanager
def _clocked(run: Run, name: str) -> Generator[None]:
    """Add what is done here to the stage's CPU-seconds, also when it is interrupted."""
    before, start = seconds(run, name), time.process_time()
    try:
        yield
    finally:
        write_text(_clock(run, name), json.dumps(before + time.process_time() - start))
