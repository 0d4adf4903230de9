"""The settings of the ddos system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from sparring.network.detector import Rounds, StackSize


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """What to train on, how hard to spar, how hard to attack afterwards, and what the link is like."""

    data: Literal["embedded", "captures"] = field(
        default="embedded",
        metadata=_help(
            "embedded: generated scenes, no file needed; captures: generated attacks and, as normal traffic beside the "
            "generated, your own capture of quiet hours (--data FILE.pcap)"
        ),
    )
    window: Annotated[float, Field(ge=0.5, le=10)] = field(
        default=1.0, metadata=_help("seconds of a window: a verdict comes at its end")
    )
    scenes: Annotated[int, Field(ge=1)] = field(
        default=6, metadata=_help("training scenes of a minute; half as many, without attacks, set thresholds")
    )
    test_scenes: Annotated[int, Field(ge=1)] = field(
        default=2, metadata=_help("test scenes of a minute, of another day and with attacks that training has not")
    )
    rows: Annotated[int, Field(ge=100)] = field(
        default=8_000, metadata=_help("benign training rows at most, and as many attack rows")
    )
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)] = field(
        default=0.02, metadata=_help("share of benign flows in a window that may be flagged, in quiet times")
    )
    stack: StackSize = field(default_factory=StackSize)
    sparring: Rounds = field(default_factory=lambda: Rounds(rounds=3, rows=1_500))
    training_queries: Annotated[int, Field(ge=1)] = field(
        default=96, metadata=_help("detector queries per row that the training adversary has")
    )
    attacked: Annotated[int, Field(ge=1)] = field(
        default=600, metadata=_help("attack conversations that every adversary plays")
    )
    queries: Annotated[int, Field(ge=1)] = field(
        default=600, metadata=_help("queries per conversation in the evaluation; more than in training")
    )
    gan_steps: Annotated[int, Field(ge=0)] = field(
        default=300, metadata=_help("generator updates of the GAN whose traffic joins the training; 0: no GAN")
    )
    bots: Annotated[int, Field(ge=1, le=60_000)] = field(default=4_000, metadata=_help("botnet of the link simulation"))
    link_seconds: Annotated[int, Field(ge=15, le=600)] = field(
        default=40, metadata=_help("length of each link simulation; the attack begins at a quarter of it")
    )
    shapes: Annotated[int, Field(ge=0)] = field(
        default=24, metadata=_help("attack shapes that the adaptive botnet of the link simulation tries")
    )


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "scenes": 4,
        "test_scenes": 1,
        "rows": 5_000,
        "attacked": 200,
        "queries": 250,
        "sparring": {"rounds": 2, "rows": 800},
        "training_queries": 64,
        "gan_steps": 150,
        "shapes": 6,
        "link_seconds": 24,
    },
    "paper": {"scenes": 12, "test_scenes": 6, "rows": 20_000, "attacked": 1_000, "queries": 2_000, "shapes": 60},
}
"""quick: a real result in minutes on two cores. paper: more traffic, more attackers' patience."""
