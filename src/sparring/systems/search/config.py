"""The settings of the search system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """Which shop and model, how long each stage trains, and how hard the red team tries."""

    data: Literal["generated", "walmart-amazon", "amazon-google"] = field(
        default="generated",
        metadata=_help("generated needs no file; the others are your own copy (--data, SPARRING_DATA or the cache)"),
    )
    model: Literal["small", "smollm2"] = field(
        default="small",
        metadata=_help("small: 2 M weights from scratch; smollm2: SmolLM2-135M-Instruct, which comes as a package"),
    )
    products: Annotated[int, Field(ge=20)] = field(
        default=40, metadata=_help("products taken from the catalogue; 55 % old, 30 % new, 15 % held out")
    )
    seeds: Annotated[int, Field(ge=1)] = field(
        default=1, metadata=_help("independent shops and trainings, from the run's seed on")
    )
    base_steps: Annotated[int, Field(ge=1)] = field(
        default=1600, metadata=_help("steps from scratch on the old products (small alone)")
    )
    inject_steps: Annotated[int, Field(ge=1)] = field(
        default=300, metadata=_help("steps that inject the new products, the same for every method")
    )
    align_steps: Annotated[int, Field(ge=1)] = field(default=350, metadata=_help("steps of each alignment path"))
    rate: Annotated[float, Field(gt=0)] = field(default=2e-3, metadata=_help("learning rate of the new blocks"))
    batch: Annotated[int, Field(ge=1)] = field(default=16, metadata=_help("exchanges per step"))
    every: Annotated[int, Field(ge=1)] = field(
        default=2, metadata=_help("a new block after each so many: 2 makes 4 blocks 6, 5 makes 30 blocks 36")
    )
    replay: Annotated[float, Field(ge=0, lt=1)] = field(
        default=0.33, metadata=_help("share of old knowledge in the batches that inject the new")
    )
    rivals: bool = field(default=True, metadata=_help("also inject by full fine-tuning and by LoRA"))
    radius: Annotated[float, Field(gt=0)] = field(
        default=0.3, metadata=_help("shift of a prompt's embeddings in path B, in mean token lengths")
    )
    requests: Annotated[int, Field(ge=1)] = field(default=20, metadata=_help("requests that the red team attacks"))
    budget: Annotated[int, Field(ge=1)] = field(default=200, metadata=_help("its proposals per request"))


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "products": 30, "base_steps": 900, "inject_steps": 150, "align_steps": 150, "requests": 10, "budget": 60,
    },
    "paper": {"model": "smollm2", "seeds": 3, "every": 5, "rate": 5e-4, "batch": 8},
}  # fmt: skip
"""quick: a real result in minutes on two cores, without any file. paper: the packaged instruct model."""
