"""The settings of the audio system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from sparring.systems.audio.data import Shift
from sparring.systems.audio.fit import Size


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """Which clips, how strong the shortcut, how the models are trained and tuned."""

    pool: str = field(
        default="embedded",
        metadata=_help("embedded: the synthetic voices in the package; or a file that build-benchmark wrote"),
    )
    seeds: Annotated[int, Field(ge=2, le=100)] = field(
        default=10,
        metadata=_help("independent draws of sentences, shortcut, clips and listeners; trained side by side"),
    )
    shift: Shift = field(default_factory=Shift)
    size: Size = field(default_factory=Size)
    variant: Literal["GRL", "GRL conditional", "GRL weighted", "GRL conditional, weighted"] = field(
        default="GRL conditional, weighted",
        metadata=_help("what the hardened model is trained by; its λ is tuned on in-domain validation"),
    )
    tries: Annotated[int, Field(ge=1, le=5)] = field(
        default=5, metadata=_help("values of its one number that each method may try, from the likeliest on")
    )
    members: Annotated[int, Field(ge=2, le=100)] = field(
        default=5, metadata=_help("networks in the scorer that is kept; their disagreement widens its intervals")
    )
    level: Annotated[float, Field(gt=0, lt=1)] = field(
        default=0.9, metadata=_help("chance with which the interval of a clip shall hold its rating")
    )


PRESETS: dict[str, dict[str, Any]] = {"quick": {}, "paper": {"seeds": 20}}
"""quick: ten draws of the embedded benchmark, under three minutes on two cores. paper: twenty."""
