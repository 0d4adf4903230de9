"""One seed, many independent random streams, each known by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def seed_for(seed: int, name: str) -> int:
    """A 63-bit seed for the stream `name`, from a hash of both: names never share or shift each other's draws."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream `name` of `seed`, from its beginning."""
    return torch.Generator(device=device).manual_seed(seed_for(seed, name))


class Streams:
    """Named generators of one seed that remember how far each was drawn; their state can be saved.

    `rank` gives every process of a distributed run its own streams; rank 0 draws as a lone process does.
    """

    def __init__(self, seed: int, *, rank: int = 0, device: torch.device | str = "cpu") -> None:
        self.seed, self.rank, self.device = seed, rank, torch.device(device)
        self._made: dict[str, torch.Generator] = {}

    def generator(self, name: str) -> torch.Generator:
        """The stream of that name: the same object on every call, so draws continue."""
        if name not in self._made:
            full = name if self.rank == 0 else f"{name}@{self.rank}"
            self._made[name] = generator_for(self.seed, full, self.device)
        return self._made[name]

    def state(self) -> dict[str, Tensor]:
        """The position of every stream used so far, as byte tensors on the CPU."""
        return {name: g.get_state().clone() for name, g in self._made.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved positions; streams that are not named start anew."""
        self._made.clear()
        for name, position in state.items():
            self.generator(name).set_state(position.cpu())
