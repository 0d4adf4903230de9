"""Models that are small enough for tests, and a world that they can learn in a second."""

from pathlib import Path

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.systems.images.config import Distil, Teach, Tokens
from sparring.systems.images.tokenizer import ConvVQ, Palette
from sparring.systems.images.transformer import Shape, Transformer, seeded

SHAPE = Shape(codes=4, positions=4, words=3, prompt=1, width=16, layers=2, heads=2)
TEACH = Teach(steps=150, batch=64, rate=1e-2, warmup=10, rounds=1, average=0.9)
DISTIL = Distil(
    steps=300,
    batch=64,
    rate=1e-3,
    opponent_rate=3e-3,
    masked=0.75,
    warmup=10,
    rounds=1,
    average=0.9,
    guidance=1.0,
    fade=False,
    opponent_steps=1,
)


def net(shape: Shape = SHAPE, seed: int = 0) -> Transformer:
    return seeded(lambda: Transformer(shape), seed)


def world(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Prompts and tokens: all four positions hold one code, 0 or 1 for the first class, 2 or 3 for the second."""
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(1, 3, (n, 1), generator=generator)
    code = 2 * (prompts - 1) + torch.randint(2, (n, 1), generator=generator)
    return prompts, code.expand(n, 4).clone()


def agreement(prompts: Tensor, tokens: Tensor) -> float:
    """Share of pictures that the world could have made."""
    alike = (tokens == tokens[:, :1]).all(1)
    return float((alike & (tokens[:, 0] // 2 + 1 == prompts[:, 0])).float().mean())


def run(folder: Path, seed: int = 0) -> Run:
    return Run(folder, seed, quiet=True, log_steps=0, checkpoint_seconds=1e9)


def palette() -> Palette:
    return Palette((1, 2, 2), torch.linspace(-1, 1, 4).unsqueeze(1))


def vq(**settings: int) -> ConvVQ:
    plan = Tokens(**{"codes": 8, "factor": 2, "width": 8, "size": 4, "steps": 40, "batch": 16, "rounds": 1, **settings})  # type: ignore[arg-type]
    return seeded(lambda: ConvVQ((1, 4, 4), plan), 0)
