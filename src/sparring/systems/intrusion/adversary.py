"""What pushes back: adversaries that the detector trains against, and the ones that it meets only in the evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, Model
from sparring.attacks.decision import DecisionSearch
from sparring.attacks.search import ConstrainedSearch
from sparring.evaluation.protocol import Adversary, Outcome, evaluate
from sparring.network import Schema, sender
from sparring.network.actions import ActionSpace, Strength, action_space
from sparring.network.actionthreat import Acted, ActionThreat, pack, unpack
from sparring.network.detector.harden import Sparring
from sparring.systems.intrusion.data import Part
from sparring.threats.base import ThreatModel

TRAINED_ACTIONS = {
    "nsl-kdd": ("upload", "linger", "decoys", "slowdown"),
    "unsw-nb15": ("pad", "stretch", "dummies"),
    "cicflowmeter": ("pad", "stretch", "dummies"),
}
"""The actions of the training, per schema; every other action of the schema is held out."""

TRAINED_BOX = 0.1
"""Radius of the box that the training spars in; the evaluation goes up to 1, every controlled field free."""


@dataclass(frozen=True)
class Moves:
    """What an attacker may do: edit records within a threat, or do the actions of a space.

    Actions are searched on packed inputs `[record | action vector]`; `inputs`, `model` and `records` go there and back.
    """

    threat: ThreatModel
    space: ActionSpace | None = None

    def inputs(self, x: Tensor) -> Tensor:
        """Records as the attacked inputs."""
        return x if self.space is None else pack(x, self.space)

    def model(self, detector: Model) -> Model:
        """The detector as a model of those inputs."""
        return detector if self.space is None else Acted(detector, self.space)

    def records(self, x_adv: Tensor) -> Tensor:
        """Attacked inputs as the records that the detector sees."""
        return x_adv if self.space is None else unpack(x_adv, self.space)


def box(schema: Schema, eps: float) -> Moves:
    """Edits of the fields that a sender controls (TM-B), within `eps` on the unit scale; 1 is free."""
    return Moves(sender(schema, eps))


def actions(schema: Schema, strength: Strength, *names: str) -> Moves:
    """The named actions (all of the schema's own, if none is named)."""
    space = action_space(schema, strength)
    space = space.only(*names) if names else space
    return Moves(ActionThreat(space), space)


def boxed(schema: Schema) -> bool:
    """Whether single fields can be edited at all; CICFlowMeter's hang together so tightly that only actions can."""
    return schema.name != "cicflowmeter"


def widest(schema: Schema) -> Moves:
    """The most that any adversary of the roster may do; the certificate holds against this."""
    return box(schema, 1.0) if boxed(schema) else actions(schema, "strong")


@dataclass(frozen=True)
class Foe:
    """One adversary of the evaluation. `source` is the other detector on which a transfer attack is made."""

    name: str
    attack: Attack
    moves: Moves
    seen: bool = False
    source: Model | None = None

    def described(self) -> Adversary:
        """This foe as the evaluation knows it."""
        return Adversary(
            name=self.name,
            attack=self.attack,
            threat=self.moves.threat,
            seen=self.seen,
            access="adaptive" if self.source is None else "transfer",
            source=None if self.source is None else self.moves.model(self.source),
        )

    def play(self, detector: nn.Module, rows: Part, generator: torch.Generator) -> Outcome:
        """Attack the rows; the outcome's `x_adv` are records, whatever was searched."""
        batch = self.moves.inputs(rows.x), rows.y
        found = evaluate(self.moves.model(detector), batch, [self.described()], generator=generator).outcomes[0]
        return replace(found, x_adv=self.moves.records(found.x_adv))


def sparring_partners(schema: Schema, train: Part, queries: int) -> list[Sparring]:
    """The adversaries of the training: the trained actions at full strength, and a small box of TM-B."""
    attack = ConstrainedSearch(queries=queries, population=16, gradient_steps=0)

    def partner(moves: Moves) -> Sparring:
        def play(model: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
            batch = moves.inputs(train.x[rows]), train.y[rows]
            return moves.records(attack(moves.model(model), batch, moves.threat, generator=generator).x_adv)

        return play

    partners = [partner(actions(schema, "strong", *TRAINED_ACTIONS[schema.name]))]
    return [*partners, partner(box(schema, TRAINED_BOX))] if boxed(schema) else partners


def roster(schema: Schema, queries: int, surrogate: Model | None = None) -> list[Foe]:
    """Everybody the evaluation plays: seen ones first, then held-out radii, actions and knowledge.

    `surrogate` is another detector, whose adversarial records are carried over.
    """
    search, trained, free = ConstrainedSearch(queries=queries), TRAINED_ACTIONS[schema.name], widest(schema)
    unseen = [a for a in action_space(schema).actions if a not in trained]
    foes = [Foe("actions as trained", search, actions(schema, "strong", *trained), seen=True)]
    if boxed(schema):
        foes.append(Foe(f"box, radius {TRAINED_BOX:g}", search, box(schema, TRAINED_BOX), seen=True))
    foes += [Foe(f"unseen action: {name}", search, actions(schema, "strong", name)) for name in unseen]
    foes.append(Foe(ALL_ACTIONS, search, actions(schema, "strong")))
    if boxed(schema):
        foes += [Foe("box, radius 0.3", search, box(schema, 0.3)), Foe(FREE_BOX, search, free)]
    foes.append(Foe("labels only", DecisionSearch(queries=queries), free))
    if surrogate is not None:
        foes.append(Foe("transfer from the other detector", search, free, source=surrogate))
    return foes


ALL_ACTIONS = "all actions, strong"
FREE_BOX = "box, every field free"


def strongest(schema: Schema) -> str:
    """The name of the roster's foe that may do the most."""
    return FREE_BOX if boxed(schema) else ALL_ACTIONS
