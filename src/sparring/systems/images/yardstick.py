"""The measuring judge: a small classifier of real pictures, in whose features distances are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.systems.images import scenes
from sparring.systems.images.data import Pictures, Splits
from sparring.systems.images.tokenizer import floats
from sparring.systems.images.transformer import seeded
from sparring.typed import eigen, split, step


class Words(nn.Module):
    """Pictures `(n, c, h, w)` in [-1, 1] to logits `(n, p, words)`, one law a word of the prompt."""

    def __init__(self, shape: tuple[int, int, int], prompt: int, words: int, *, width: int = 32) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.prompt, self.words = prompt, words
        flat = 2 * width * (height // 4) * (width_px // 4)
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(flat, 128), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(128, prompt * words)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)).reshape(len(x), self.prompt, self.words)


@dataclass(frozen=True)
class Judge:
    """A trained classifier of real pictures: it names a prompt's words, or the object at each place of a scene."""

    net: Words
    scenes: bool

    def features(self, images: Tensor) -> Tensor:
        """Features `(n, 128)` of pictures uint8."""
        with torch.no_grad():
            return torch.cat([self.net.body(floats(part)) for part in split(images, 1000)])

    def said(self, images: Tensor) -> Tensor:
        """What it takes pictures uint8 to show: `named` of them, `(n, p)`."""
        with torch.no_grad():
            return torch.cat([self.net(floats(part)).argmax(2) for part in split(images, 1000)])

    def right(self, images: Tensor, prompts: Tensor) -> Tensor:
        """`(n,)` whether the pictures show their prompts by what it says of them."""
        said = self.said(images)
        if self.scenes:
            return scenes.fulfils(said - _OBJECT, prompts)
        return ((said == prompts) | (prompts == 0)).all(1)


_OBJECT = 2
"""What is added to the objects of a scene, of which the least is -2, to number them."""


def named(pictures: Pictures) -> Tensor:
    """What a judge is to say of pictures, `(n, p)`: their prompts; of scenes the objects at the four places, because
    several sentences are true of one scene and a picture does not tell which was meant."""
    return scenes.read(pictures.images) + _OBJECT if pictures.name == "scenes" else pictures.prompts


def trained(name: str, splits: Splits, run: Run, *, steps: int = 1500, batch: int = 128) -> Judge:
    """The judge of that name, on an own random half of the training pictures."""
    pictures, target = splits.train, named(splits.train)
    channels, height, width = pictures.images.shape[1:]
    of_scenes = pictures.name == "scenes"
    words = scenes.OBJECTS + _OBJECT if of_scenes else len(pictures.words)
    net = seeded(lambda: Words((channels, height, width), target.shape[1], words), run.seed_for(f"judge/{name}"))

    def fitted() -> dict[str, Tensor]:
        generator = run.generator(f"judge/{name}")
        half = torch.randperm(len(pictures), generator=generator)[: len(pictures) // 2]
        optimizer = torch.optim.Adam(net.parameters(), 2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
        for _ in range(steps):
            rows = half[torch.randint(len(half), (batch,), generator=generator)]
            loss = F.cross_entropy(net(floats(pictures.images[rows])).flatten(0, 1), target[rows].flatten())
            optimizer.zero_grad()
            cast(Any, loss).backward()
            step(optimizer)
            schedule.step()
        return net.state_dict()

    net.load_state_dict(run.cached(f"judge-{name}", fitted))
    return Judge(net.eval().requires_grad_(False), of_scenes)


@dataclass(frozen=True)
class Near:
    """Shares over the k nearest neighbours: Kynkäänniemi et al. 2019 (precision, recall), Naeem et al. 2020."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, drawn: Tensor, k: int = 5) -> Near:
    """Precision, recall, density, coverage of features `(n, d)`."""
    within = torch.cdist(real, real).kthvalue(k + 1, 1).values
    own = torch.cdist(drawn, drawn).kthvalue(k + 1, 1).values
    across = torch.cdist(real, drawn)
    inside = across < within.unsqueeze(1)
    return Near(
        precision=float(inside.any(0).float().mean()),
        recall=float((across < own).any(1).float().mean()),
        density=float(inside.float().sum(0).mean() / k),
        coverage=float((across.min(1).values < within).float().mean()),
    )


def fid(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of features `(n, d)` (Heusel et al. 2017): |μ - ν|² + tr(A + B - 2 (A B)^½)."""
    a, b = a.double(), b.double()
    first, second = torch.cov(a.T), torch.cov(b.T)
    # (A B)^½ has the eigenvalues of (A^½ B A^½)^½, which is symmetric.
    values, vectors = eigen(first)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = eigen(root @ second @ root)[0].clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * cross)


def kid(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy with the cubic kernel, unbiased (Binkowski et al. 2018), of 2,000 rows."""
    a, b = a[:2000].double(), b[:2000].double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    n, m = len(a), len(b)
    aa, bb = kernel(a, a), kernel(b, b)
    own = (aa.sum() - aa.trace()) / (n * (n - 1)) + (bb.sum() - bb.trace()) / (m * (m - 1))
    return float(own - 2 * kernel(a, b).mean())
