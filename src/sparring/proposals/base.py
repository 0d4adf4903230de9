"""The protocol of adversaries that propose: sample moves, score them by playing, improve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from sparring.game import Batch, State

Moves = TypeVar("Moves")


class Proposer(Protocol[Moves]):
    """A generator of moves: another vehicle's future, a trigger phrase, a row of a matrix game.

    `Moves` holds k candidates per context, in the proposer's own form: a tensor `(n, k, *move)` where moves are
    numbers, lists of strings where they are text. A proposer for universal moves may ignore the context.
    """

    def propose(self, context: Tensor, k: int, *, generator: torch.Generator) -> Moves:
        """k candidate moves for each context `(n, ...)`; all randomness comes from the generator."""
        ...

    def score(self, defender: nn.Module, batch: Batch, moves: Moves) -> Tensor:
        """Play each candidate against the defender: the adversary's utility `(n, k)`, higher is better for it.

        `-inf` marks a move that breaks the rules and so loses to every other.
        """
        ...

    def improve(self, context: Tensor, moves: Moves, utility: Tensor, state: State) -> Mapping[str, float]:
        """Learn from the scored candidates and return figures to log.

        A network descends a loss through `state.descend(loss, "opponent")`; a language model may put the best
        and the worst moves into its next prompt.
        """
        ...

    def respond(self, batch: Batch, moves: Moves, active: Tensor) -> Batch:
        """The batch as the defender meets it, after the first candidate was played where `active` `(n,)` is True."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """All that `improve` changes, as named tensors; text goes in as its UTF-8 bytes."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Become the adversary that `state_dict` described, in place."""
        ...


class Improver(Protocol):
    """A per-context loss whose descent moves a proposer towards the Gibbs law of its prior and the utility.

    All three tensors are `(n, k)`: log ψ_φ of the candidates (with gradient), log ψ_ref, and the utility.
    """

    def __call__(self, log_prob: Tensor, log_prior: Tensor, utility: Tensor) -> Tensor: ...
