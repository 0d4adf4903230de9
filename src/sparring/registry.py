"""Names to systems, looked up lazily: listing them imports none of them.

Another package adds a system through the entry-point group `sparring.systems`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from sparring.errors import BadInput

GROUP = "sparring.systems"


@dataclass(frozen=True)
class Entry:
    """One line of `sparring list`: known without importing the system."""

    name: str
    summary: str
    ready: bool
    target: str
    """`module:attribute` of the `System`."""


_BUILT_IN = (
    Entry(
        "ddos",
        "detect and mitigate DDoS, robust to an evading attacker",
        True,
        "sparring.systems.ddos:system",
    ),
    Entry(
        "intrusion",
        "a multi-layer ensemble for intrusion detection against adversarial flows",
        True,
        "sparring.systems.intrusion:system",
    ),
    Entry(
        "driving",
        "closed-loop min-max training of a driving policy against traffic",
        True,
        "sparring.systems.driving:system",
    ),
    Entry(
        "audio",
        "quality assessment of generated audio, freed of spurious cues",
        True,
        "sparring.systems.audio:system",
    ),
    Entry(
        "images",
        "one-step discrete image generation refined by GAN and reward",
        True,
        "sparring.systems.images:system",
    ),
    Entry(
        "seismic",
        "full-waveform inversion with a physics-driven GAN",
        True,
        "sparring.systems.seismic:system",
    ),
    Entry(
        "search",
        "a knowledge-grounded, secure e-commerce search LLM",
        True,
        "sparring.systems.search:system",
    ),
    Entry(
        "backdoor",
        "find a text model's backdoor trigger with an LLM and repair it",
        True,
        "sparring.systems.backdoor:system",
    ),
    Entry(
        "graph",
        "Lyapunov-stable graph neural flows with certificates",
        True,
        "sparring.systems.graph:system",
    ),
)


def entries() -> tuple[Entry, ...]:
    """All systems, built in and installed by other packages, in their order."""
    others = tuple(
        Entry(point.name, f"from {point.dist.name if point.dist else point.module}", True, point.value)
        for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)
    )
    return _BUILT_IN + others


def load(name: str) -> Any:
    """The `System` of that name, imported now. Raises `BadInput` for an unknown or unfinished one."""
    for entry in entries():
        if entry.name == name:
            if not entry.ready:
                raise BadInput(f"system {name!r} is not built yet; `sparring list` shows the ones that are")
            module, _, attribute = entry.target.partition(":")
            return getattr(importlib.import_module(module), attribute)
    known = ", ".join(e.name for e in entries())
    raise BadInput(f"no system is called {name!r}; choose one of: {known}")
