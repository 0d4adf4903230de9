"""The settings of the graph system; every default is explained where it stands."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """Which graph, which split, how strong the flow's pull is, and how hard it is attacked."""

    data: Literal["digits", "blocks", "karate", "cora-lcc", "cora", "citeseer", "cora-ml"] = field(
        default="digits",
        metadata=_help(
            "digits (nearest neighbours of real digits), blocks (block model with known truth) and karate need no "
            "file; the others read your own copy (--data, SPARRING_DATA or the cache)"
        ),
    )
    protocol: Literal["transductive", "inductive"] = field(
        default="transductive",
        metadata=_help("transductive: 10 % labels, all features seen; inductive: 60 % labels, test nodes unseen"),
    )
    seeds: Annotated[int, Field(ge=1)] = field(
        default=1, metadata=_help("independent splits and trainings, from the run's seed on; 5 to publish")
    )
    c: Annotated[float, Field(gt=0)] = field(
        default=0.05, metadata=_help("most that one edge may pull; smaller is more robust and less accurate")
    )
    lam: Annotated[float, Field(gt=0)] = field(
        default=0.5, metadata=_help("how strongly a node holds on to what its own features say")
    )
    hidden: Annotated[int, Field(ge=1)] = field(default=64, metadata=_help("hidden channels of every model"))
    epochs: Annotated[int, Field(ge=1)] = field(default=20, metadata=_help("epochs of 8 full-batch steps"))
    budgets: tuple[float, ...] = field(
        default=(0.05, 0.1, 0.2), metadata=_help("edges that an attacker may flip, as shares of all edges")
    )
    steps: Annotated[int, Field(ge=1)] = field(default=50, metadata=_help("gradient steps of PRBCD"))
    injected: Annotated[int, Field(ge=1)] = field(default=60, metadata=_help("nodes that an attacker may inject"))
    joined: Annotated[int, Field(ge=1)] = field(default=20, metadata=_help("edges of each injected node"))


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 15, "epochs": 12, "injected": 20, "joined": 10},
    "paper": {"data": "cora-lcc", "seeds": 5},
}
"""quick: a real result in minutes on two cores, on embedded data. paper: Cora, five splits, the full attacks."""
