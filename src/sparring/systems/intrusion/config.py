"""The settings of the intrusion system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from sparring.network.detector.fit import AutoencoderSize, StackSize
from sparring.network.detector.harden import Rounds


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """What to train on, how hard to spar, and how hard to attack afterwards."""

    data: Literal["embedded", "nsl-kdd", "unsw-nb15", "cicflowmeter"] = field(
        default="embedded",
        metadata=_help(
            "embedded: flows of the seeded traffic generator, no file needed; the others read your own copy "
            "(--data, SPARRING_DATA or the cache); cicflowmeter: any labelled CSV of that tool"
        ),
    )
    seeds: Annotated[int, Field(ge=1)] = field(
        default=1, metadata=_help("independent repetitions, from the run's seed on; 3 or more to publish")
    )
    train_rows: Annotated[int, Field(ge=0)] = field(
        default=16_000,
        metadata=_help(
            "training rows, drawn at random (0: all); a quarter more is held out of training for thresholds"
        ),
    )
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = field(
        default=0.03, metadata=_help("share of benign flows that may raise an alarm, over all layers together")
    )
    stack: StackSize = field(default_factory=StackSize)
    autoencoder: AutoencoderSize = field(default_factory=AutoencoderSize)
    sparring: Rounds = field(default_factory=Rounds)
    training_queries: Annotated[int, Field(ge=1)] = field(
        default=120, metadata=_help("detector queries per row that a training adversary has")
    )
    attacked: Annotated[int, Field(ge=1)] = field(
        default=1000, metadata=_help("test attacks that every adversary plays (fewer if there are fewer)")
    )
    queries: Annotated[int, Field(ge=1)] = field(
        default=1000, metadata=_help("queries per attack in the evaluation; more than in training")
    )
    curve_points: tuple[float, ...] = field(
        default=(0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
        metadata=_help("radii of the robustness curve, 1 = every controlled field free"),
    )


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"attacked": 250, "queries": 400, "train_rows": 8_000, "sparring": {"rounds": 2, "rows": 1000}},
    "paper": {"seeds": 3, "train_rows": 0, "attacked": 1000, "queries": 2000},
}
"""quick: a real result in minutes on two cores. paper: all training rows, three seeds, 1,000 attacks."""
