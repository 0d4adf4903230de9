"""The settings of the driving system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """Which scenes, how long the trainings, how strong the adversary and the attackers of the evaluation."""

    scenes: Annotated[int, Field(ge=24, le=100_000)] = field(
        default=480, metadata=_help("procedural training scenes, six families alike")
    )
    test: Annotated[int, Field(ge=14, le=20_000)] = field(
        default=105, metadata=_help("test scenes; a seventh family, the roundabout, is in no training")
    )
    recorded: bool = field(
        default=False, metadata=_help("add NGSIM's US-101 to the training, from --data or SPARRING_DATA")
    )
    defender: Literal["ppo", "planner"] = field(
        default="ppo", metadata=_help("a policy network, or the planner, tuned without gradients")
    )
    episodes: Annotated[int, Field(ge=8)] = field(default=768, metadata=_help("episodes played per iteration"))
    start: Annotated[int, Field(ge=1)] = field(
        default=16, metadata=_help("iterations on the logs after the planner's lessons; all methods go on from there")
    )
    rounds: Annotated[int, Field(ge=1)] = field(default=28, metadata=_help("iterations with the adversary"))
    temperature: Annotated[float, Field(gt=0)] = field(
        default=4.0, metadata=_help("τ in return units: low is the worst natural move, high is natural traffic")
    )
    sharp: Annotated[float, Field(ge=1)] = field(
        default=3.0, metadata=_help("the attacker of the training plays its law at τ / sharp, nearer to the worst")
    )
    most: Annotated[float, Field(ge=0, le=1)] = field(
        default=0.8, metadata=_help("probability of an attack at the end of its ramp; the rest replays the log")
    )
    stepwise: Annotated[float, Field(ge=0, le=1)] = field(
        default=0.3, metadata=_help("share of the attacks that a learned step-wise attacker steers")
    )
    response: Annotated[int, Field(ge=8)] = field(
        default=240, metadata=_help("training scenes on which a fresh best response is trained")
    )
    search: Annotated[int, Field(ge=2)] = field(
        default=8, metadata=_help("episodes per round of the held-out search, three rounds and three budgets")
    )


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "paper": {
        "scenes": 3000,
        "test": 400,
        "episodes": 1024,
        "start": 120,
        "rounds": 240,
        "response": 1500,
        "search": 24,
    },
}
"""quick: under five minutes on two cores. paper: about an hour of one core (the paper's own sizes are not known)."""
