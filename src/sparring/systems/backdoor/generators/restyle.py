"""Rewriters: the syntaxes and styles that rules can make, each a move."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparring.systems.backdoor import rewrites
from sparring.systems.backdoor.generators.base import Found, fresh
from sparring.systems.backdoor.moves import Move, Rewrite
from sparring.systems.backdoor.reward import Judge


@dataclass
class Restyle:
    """Every rewriter that was not tried yet."""

    name: str = "rewrite"

    def propose(self, judge: Judge, found: Found, count: int, generator: torch.Generator) -> list[Move]:
        return fresh([Rewrite(kind) for kind in rewrites.KINDS], found)[:count]
