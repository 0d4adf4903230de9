"""Everybody attacks everything: each model adaptively, then with what was found against every other one.

An attack on a graph is one joint move against all attacked nodes, so the figure of a model at a budget is its lowest
accuracy over all moves, own and borrowed; not the share of nodes that survive each of them.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sparring.engine.run import Run
from sparring.systems.graph.attacks.dice import Dice, RandomFlips
from sparring.systems.graph.attacks.edges import EdgeAttack, Goal, GraphModel, flipped
from sparring.systems.graph.attacks.features import FeaturePGD
from sparring.systems.graph.attacks.greedy import Greedy
from sparring.systems.graph.attacks.injection import Injection
from sparring.systems.graph.attacks.local import LocalPRBCD
from sparring.systems.graph.attacks.prbcd import PRBCD
from sparring.systems.graph.flows import Flow
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.solvers import Solver

InputAttack = Callable[[GraphModel, Inputs, Goal, torch.Generator], Inputs]


@dataclass(frozen=True)
class Foes:
    """Who attacks: `edges` flip pairs within each budget (shares of the graph's edges), `others` change nodes or
    features.

    `finer` repeats the first edge attack on flows whose solver takes a quarter of the step, and plays the result
    against the flow as it is.
    """

    budgets: tuple[float, ...] = (0.05, 0.1, 0.2)
    edges: Mapping[str, EdgeAttack] = field(default_factory=dict)
    others: Mapping[str, InputAttack] = field(default_factory=dict)
    finer: bool = True


def adaptive(steps: int = 50, block: int = 20_000) -> dict[str, EdgeAttack]:
    """PRBCD with both losses, and greedy."""
    return {
        "prbcd": PRBCD("scale-free", steps, block),
        "prbcd raw": PRBCD("raw", steps, block),
        "greedy": Greedy(rounds=max(5, steps // 2), block=2 * block),
    }


def everyone(labels: Tensor, steps: int = 50, injected: int = 60, joined: int = 20) -> Foes:
    """All attacks on edges, nodes and features; `labels` `(n,)` are what DICE goes by."""
    edges = {**adaptive(steps), "local budgets": LocalPRBCD(PRBCD(steps=steps // 2, draws=0)), "dice": Dice(labels)}
    wirings = {
        f"injection {wiring}": Injection(wiring, injected, joined, steps // 2) for wiring in ("random", "tdgia", "meta")
    }
    return Foes(
        edges={**edges, "random": RandomFlips()},
        others={**wirings, "feature pgd": FeaturePGD(steps=max(5, steps // 3))},
    )


@dataclass(frozen=True)
class Strike:
    """What one move did to one model: `right` `(k,)` bool. `source` is the model it was made on."""

    model: str
    source: str
    foe: str
    budget: float | None
    right: Tensor

    @property
    def name(self) -> str:
        """The foe, and where it was borrowed from."""
        return self.foe if self.source == self.model else f"{self.foe} on {self.source}"


@dataclass(frozen=True)
class Findings:
    """All strikes, and what each model gets right without one."""

    clean: Mapping[str, Tensor]
    strikes: tuple[Strike, ...]

    def of(self, model: str, budget: float | None, *, kind: str = "") -> list[Strike]:
        """A model's strikes at a budget (None: those without one), of foes whose name begins with `kind`."""
        return [s for s in self.strikes if s.model == model and s.budget == budget and s.foe.startswith(kind)]

    def worst(self, model: str, budget: float | None, *, kind: str = "") -> Strike:
        """The strike that leaves the least; without any, the clean answers."""
        found = self.of(model, budget, kind=kind)
        clean = Strike(model, model, "none", budget, self.clean[model])
        return min([*found, clean], key=lambda s: float(s.right.double().mean()))


def audit(
    models: Mapping[str, nn.Module],
    inputs: Inputs,
    nodes: Tensor,
    labels: Tensor,
    foes: Foes,
    run: Run,
    tag: str,
    *,
    blind: Sequence[str] = ("mlp",),
) -> Findings:
    """Attack the nodes `(k,)` of classes `labels` `(k,)`. Every move is kept in the run folder under `tag`.

    `blind` models see no edges: no edge attack is made on them.
    """
    moves: list[tuple[str, str, float | None, Inputs]] = []
    jobs = [(n, f, b) for n in models if n not in blind for b in foes.budgets for f in foes.edges]
    rest = [(n, f) for n in models for f in foes.others if f.startswith("feature") or n not in blind]
    with run.progress(f"attacks {tag}", len(jobs) + len(rest)) as bar:
        for name, foe, budget in jobs:
            goal = Goal(nodes, labels, max(1, int(budget * inputs.edges.shape[1])))
            moves.append((name, foe, budget, _edge_move(models[name], inputs, goal, foe, foes, run, f"{tag}-{name}")))
            bar.advance()
        for name, foe in rest:
            goal = Goal(nodes, labels, 0)
            moves.append((name, foe, None, _input_move(models[name], inputs, goal, foe, foes, run, f"{tag}-{name}")))
            bar.advance()
        moves += _finer_moves(models, inputs, nodes, labels, foes, run, tag)
    clean = {name: correct(model, inputs, nodes, labels) for name, model in models.items()}
    strikes = [
        Strike(name, source, foe, budget, correct(model, changed, nodes, labels))
        for source, foe, budget, changed in moves
        for name, model in models.items()
        if not foe.startswith("feature") or name == source
    ]
    return Findings(clean, tuple(strikes))


def correct(model: nn.Module, inputs: Inputs, nodes: Tensor, labels: Tensor) -> Tensor:
    """`(k,)` bool."""
    with torch.no_grad():
        return model(inputs)[nodes].argmax(1) == labels


def _edge_move(model: GraphModel, inputs: Inputs, goal: Goal, foe: str, foes: Foes, run: Run, tag: str) -> Inputs:
    name = _slug(f"{tag}-{foe}-{goal.budget}")
    pairs = run.cached(name, lambda: {"pairs": foes.edges[foe](model, inputs, goal, run.generator(name))})["pairs"]
    if pairs.shape[1] > goal.budget:
        raise RuntimeError(f"{foe} spent {pairs.shape[1]} flips of {goal.budget}: a bug in the attack")
    return flipped(inputs, pairs)


def _input_move(model: GraphModel, inputs: Inputs, goal: Goal, foe: str, foes: Foes, run: Run, tag: str) -> Inputs:
    name = _slug(f"{tag}-{foe}")
    n, m = inputs.n, inputs.edges.shape[1]

    def tensors() -> dict[str, Tensor]:
        found = foes.others[foe](model, inputs, goal, run.generator(name))
        extra = found.features.extra
        if extra is None:
            return {}
        whole = found.features.sparse.shape[0] == 0
        return {
            "whole": extra[goal.nodes] if whole else extra[:0],
            "rows": extra[:0] if whole else extra,
            "edges": found.edges[:, m:],
        }

    kept = run.cached(name, tensors)
    if len(kept["whole"]):
        from sparring.systems.graph.attacks.features import with_rows

        return with_rows(inputs, inputs.features.to_dense(), goal.nodes, kept["whole"])
    return inputs.injected(kept["rows"], kept["edges"]) if len(kept["rows"]) and n else inputs


def _finer_moves(
    models: Mapping[str, nn.Module], inputs: Inputs, nodes: Tensor, labels: Tensor, foes: Foes, run: Run, tag: str
) -> list[tuple[str, str, float | None, Inputs]]:
    found: list[tuple[str, str, float | None, Inputs]] = []
    for name, model in models.items():
        if not foes.finer or not foes.edges or not isinstance(model, Flow):
            continue
        plan, first = model.plan.solver, next(iter(foes.edges))
        finer = Solver(plan.method, plan.horizon, plan.step / 4, plan.order, plan.memory)
        for budget in foes.budgets[1:2] or foes.budgets:
            goal = Goal(nodes, labels, max(1, int(budget * inputs.edges.shape[1])))

            def at_quarter(shown: Inputs, flow: Flow = model, solver: Solver = finer) -> Tensor:
                return flow(shown, solver)

            move = _edge_move(at_quarter, inputs, goal, first, foes, run, f"{tag}-{name}-finer")
            found.append((name, f"{first} at a finer step", budget, move))
    return found


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name.lower())
