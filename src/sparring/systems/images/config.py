"""The settings of the images system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

Relaxation = Literal["soft", "gumbel"]
"""How the student's samples are made differentiable: probabilities (soft), or Gumbel straight-through draws."""


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


Steps = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Tokens:
    """The tokenizer: what a picture is cut into."""

    kind: Literal["auto", "patches", "vq", "palette"] = field(
        default="patches",
        metadata=_help(
            "patches: k-means of square patches, in seconds; vq: codes learned with a convolutional net, in minutes; "
            "palette: one token a pixel, for few colours; auto: palette or vq, by counting colours"
        ),
    )
    codes: Annotated[int, Field(ge=2, le=65536)] = field(default=768, metadata=_help("size of the codebook"))
    factor: Literal[0, 2, 4, 8] = field(
        default=0, metadata=_help("pixels a token is wide and high; 0: 8 for scenes (a token a place), 4 for the rest")
    )
    width: Annotated[int, Field(ge=8)] = field(default=32, metadata=_help("channels at half resolution"))
    size: Annotated[int, Field(ge=2)] = field(default=16, metadata=_help("numbers in a code"))
    steps: Steps = 800
    batch: Steps = 128
    rate: Rate = 2e-3
    rounds: Steps = 4

    def fitted_to(self, data: str) -> Tokens:
        """With the factor that suits these pictures where none was set."""
        return self if self.factor else replace(self, factor=8 if data == "scenes" else 4)


@dataclass(frozen=True)
class Net:
    """The transformer's size, shared by teacher, student and auxiliary model."""

    width: Annotated[int, Field(ge=8)] = 96
    layers: Steps = 4
    heads: Steps = 4


@dataclass(frozen=True)
class Teach:
    """The masked-diffusion teacher's training."""

    steps: Steps = 1500
    batch: Steps = 128
    rate: Rate = 2e-3
    decay: Annotated[float, Field(ge=0)] = 0.01
    drop: Share = field(default=0.1, metadata=_help("share of prompts hidden in training, for guidance"))
    average: Share = 0.998
    warmup: Annotated[int, Field(ge=0)] = 100
    rounds: Steps = field(default=5, metadata=_help("validations and checkpoints on the way"))


@dataclass(frozen=True)
class Distil:
    """Di[M]O (arXiv 2503.15457): generator against auxiliary model."""

    steps: Steps = 1200
    batch: Steps = 96
    rate: Rate = field(default=5e-4, metadata=_help("the generator's, after the warm-up"))
    opponent_rate: Rate = field(default=2e-3, metadata=_help("the auxiliary model's"))
    fade: bool = field(
        default=True, metadata=_help("rates fall along half a cosine: short trainings end calmer; published: constant")
    )
    opponent_steps: Steps = field(default=2, metadata=_help("updates of the auxiliary model a generator's update"))
    masked: Share = field(
        default=0.75,
        metadata=_help(
            "r_init: share of masked positions in the initial state; with few positions more than the 0.6 published"
        ),
    )
    sigma: Share = field(default=0.1, metadata=_help("sigma_init: noise on the initial embeddings"))
    beta: float = field(default=0.0, metadata=_help("of the generalised Jeffrey divergence: 0 forward, 1 reverse KL"))
    guidance: Annotated[float, Field(ge=0)] = field(default=1.0, metadata=_help("the teacher's, 1 is none"))
    smoothing: Share = field(default=0.0, metadata=_help("label smoothing of the auxiliary model"))
    average: Share = 0.99
    warmup: Annotated[int, Field(ge=0)] = 20
    rounds: Steps = 5


@dataclass(frozen=True)
class Refine:
    """Soft-Di[M]O (arXiv 2509.22925): soft embeddings, critic heads on the frozen teacher, rewards."""

    steps: Steps = 150
    relaxation: Relaxation = "soft"
    temperature: Rate = field(default=1.0, metadata=_help("of the probabilities in the soft path"))
    distil: bool = field(default=True, metadata=_help("keep the Di[M]O term; without it: GAN only, reward only"))
    critic: Annotated[float, Field(ge=0)] = field(
        default=0.2,
        metadata=_help(
            "weight of the critic's word: `soft_share` in metrics.jsonl is what it gets of the gradient, and "
            "near 1 the student collapses; pictures of 16 tokens bear 20"
        ),
    )
    reward: Annotated[float, Field(ge=0)] = field(default=0.0, metadata=_help("weight of the reward"))
    critic_rate: Rate = 1e-3
    mask_low: Share = 0.0
    mask_high: Share = field(default=0.95, metadata=_help("the critic sees pictures with up to that share masked"))


@dataclass(frozen=True)
class Config:
    """Which pictures, and how each stage is trained and judged."""

    data: str = field(
        default="scenes", metadata=_help("scenes (procedural, embedded), fmnist16, glyphs16, emoji32 or a folder")
    )
    pictures: Annotated[int, Field(ge=100)] = field(default=20000, metadata=_help("training pictures, at most"))
    samples: Annotated[int, Field(ge=100)] = field(default=2000, metadata=_help("pictures a model is judged on"))
    judge_steps: Steps = field(default=800, metadata=_help("training steps of the classifier that measures"))
    tries: Annotated[int, Field(ge=1, le=8)] = field(
        default=4, metadata=_help("settings that each model may try on validation, the likeliest first")
    )
    tokens: Tokens = field(default_factory=Tokens)
    net: Net = field(default_factory=Net)
    teach: Teach = field(default_factory=Teach)
    distil: Distil = field(default_factory=Distil)
    refine: Refine = field(default_factory=Refine)


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "paper": {
        "pictures": 60_000,
        "samples": 10_000,
        "tries": 8,
        "teach": {"steps": 8000},
        "distil": {"steps": 3000},
        "refine": {"steps": 1000},
    },
}
"""quick: scenes, from nothing to grids in ten minutes on two cores. paper: three CPU-hours, for Fashion-MNIST too."""
