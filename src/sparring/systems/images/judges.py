"""The judge who gives rewards, R: it shares no picture, no starting weight and no design with the measuring judge E.

A reward that is measured by its own judge always looks good. R learns from the half of the training pictures that E
does not see, with other convolutions, another activation and another width.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.images.data import Splits
from sparring.systems.images.reward import Reward
from sparring.systems.images.tokenizer import floats
from sparring.systems.images.transformer import seeded
from sparring.typed import split, step


class Glance(nn.Module):
    """Pictures `(n, c, h, w)` in [-1, 1] to logits `(n, p, words)`: strided convolutions and GELU."""

    def __init__(self, channels: int, side: tuple[int, int], prompt: int, words: int, *, width: int = 24) -> None:
        super().__init__()
        self.prompt, self.words = prompt, words
        flat = 3 * width * -(-side[0] // 4) * -(-side[1] // 4)
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 5, stride=2, padding=2), nn.GELU(),
            nn.Conv2d(width, 3 * width, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(3 * width, 3 * width, 3, padding=1), nn.GELU(),
            nn.Flatten(), nn.Linear(flat, 96), nn.GELU(),
        )  # fmt: skip
        self.head = nn.Linear(96, prompt * words)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)).reshape(len(x), self.prompt, self.words)


@dataclass(frozen=True)
class Rewarder:
    """The judge R; `accuracy` is the share of test pictures of which it names every word."""

    net: Glance
    accuracy: float

    def right(self, images: Tensor, prompts: Tensor) -> Tensor:
        """`(n,)` 1.0 where every word of the prompt is the likeliest at its place, for pictures uint8."""
        with torch.no_grad():
            said = torch.cat([self.net(floats(part)).argmax(2) for part in split(images, 1000)])
        return ((said == prompts) | (prompts == 0)).all(1).double()


def rewarder(splits: Splits, run: Run, *, steps: int = 1000, batch: int = 128) -> Rewarder:
    """Train R (once per run folder) on the half of the training pictures that the measuring judge E never meets."""
    pictures = splits.train
    channels, height, width = pictures.images.shape[1:]
    prompt, words = pictures.prompts.shape[1], len(pictures.words)
    net = seeded(lambda: Glance(channels, (height, width), prompt, words), run.seed_for("judge/R"))

    def fitted() -> dict[str, Tensor]:
        half = other_half(len(pictures), run)
        generator = run.generator("judge/R")
        optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
        with run.progress("judge R", steps) as bar:
            for _ in range(steps):
                rows = half[torch.randint(len(half), (batch,), generator=generator)]
                logits = net(floats(pictures.images[rows])).flatten(0, 1)
                loss = F.cross_entropy(logits, pictures.prompts[rows].flatten(), label_smoothing=0.05)
                optimizer.zero_grad()
                cast(Any, loss).backward()
                step(optimizer)
                schedule.step()
                bar.advance()
        return net.state_dict()

    net.load_state_dict(run.cached("judge-R", fitted))
    net.eval().requires_grad_(False)
    right = Rewarder(net, 0.0).right(splits.test.images, splits.test.prompts)
    return Rewarder(net, float(right.mean()))


def other_half(n: int, run: Run) -> Tensor:
    """Rows of `n` training pictures that `yardstick.trained("E", ...)` leaves out: disjoint, not by chance."""
    return torch.randperm(n, generator=run.generator("judge/E"))[n // 2 :]


def yours(source: str) -> Reward:
    """A reward of your own from `FILE.py:NAME`, a function of (pictures, prompts).

    Pictures are `(n, c, h, w)` in [-1, 1], prompts `(n, p)` word ids, and it gives `(n,)`. More is better; it
    must be differentiable in the pictures. The file is run: give one that you trust.
    """
    file, _, name = source.rpartition(":")
    path = Path(file)
    if not file.endswith(".py") or not name:
        raise BadInput(f"reward {source!r}: give prompt, or FILE.py:NAME of a function (pictures, prompts) -> (n,)")
    if not path.is_file():
        raise BadInput(f"reward {source!r}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"reward_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f"{path}: does not run ({type(error).__name__}: {error})") from error
    function: Any = getattr(module, name, None)
    if not callable(function):
        raise BadInput(f"{path}: has no function {name!r}")
    return checked(cast(Callable[[Tensor, Tensor], Any], function), source)


def checked(function: Callable[[Tensor, Tensor], Any], source: str) -> Reward:
    """The function, with its answers held to `(n,)` finite numbers. Raises `BadInput` that names the reward."""

    def reward(x: Tensor, prompts: Tensor) -> Tensor:
        try:
            out = function(x, prompts)
        except Exception as error:
            raise BadInput(f"reward {source!r}: failed ({type(error).__name__}: {error})") from error
        if not isinstance(out, Tensor) or out.shape != (len(x),):
            told = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise BadInput(f"reward {source!r}: gave {told} for {len(x)} pictures; it must give a tensor ({len(x)},)")
        if not bool(torch.isfinite(out).all()):
            raise BadInput(f"reward {source!r}: gave a number that is not finite")
        if x.requires_grad and not out.requires_grad:
            raise BadInput(f"reward {source!r}: has no gradient in the pictures; use differentiable operations alone")
        return out

    return reward
