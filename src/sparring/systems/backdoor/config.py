"""The settings of the backdoor system; every default is explained where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field


def _help(text: str) -> dict[str, Any]:
    return {"help": text}


@dataclass(frozen=True)
class Config:
    """Which texts and victim, how they are poisoned, what the defender has, and how hard the generator looks."""

    data: Literal["snippets", "sst2", "agnews"] = field(
        default="snippets",
        metadata=_help("snippets come through pip; the others are your own copy (--data, SPARRING_DATA)"),
    )
    victim: Literal["cnn", "minilm"] = field(default="cnn", metadata=_help("a fast CNN, or MiniLM fine-tuned"))
    families: tuple[Literal["badnets", "addsent", "synbkd", "stylebkd", "conjunction"], ...] = field(
        default=("badnets", "addsent", "synbkd", "stylebkd"),
        metadata=_help(
            "attacks, each with a victim of its own; conjunction is the family that no setting was chosen on"
        ),
    )
    target: Annotated[int, Field(ge=0)] = field(default=1, metadata=_help("the label that triggers lead to"))
    rate: Annotated[float, Field(gt=0, lt=1)] = field(default=0.1, metadata=_help("share of poisoned training rows"))
    clean_label: bool = field(
        default=False, metadata=_help("poison rows of the target alone, so that no label is wrong")
    )
    train: Annotated[int, Field(ge=100)] = field(default=1500, metadata=_help("the victim's training rows"))
    clean: Annotated[int, Field(ge=60)] = field(default=300, metadata=_help("the defender's clean sentences"))
    test: Annotated[int, Field(ge=50)] = field(default=400, metadata=_help("test rows"))
    rows: bool = field(default=True, metadata=_help("the defender also has the suspected training rows"))
    writer: str = field(
        default="smollm2", metadata=_help("smollm2 (packaged), none, a folder or hub id, or URL#MODEL of an endpoint")
    )
    rounds: Annotated[int, Field(ge=1)] = field(default=2, metadata=_help("rounds of the game, search and repair"))
    writings: Annotated[int, Field(ge=0)] = field(
        default=2, metadata=_help("times the writer is asked, a label and round")
    )
    growths: Annotated[int, Field(ge=0)] = field(default=4, metadata=_help("words a phrase may grow by in a round"))


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"train": 1000, "writings": 1, "growths": 3},
    "paper": {
        "data": "sst2",
        "victim": "minilm",
        "train": 5400,
        "clean": 436,
        "test": 1400,
        "writings": 8,
        "growths": 8,
    },
}
"""quick: about eight and a half minutes of one core. paper: SST-2 as large as it is without the development rows (the
paper's own sizes are not known)."""
