"""The graph benchmark's bars that are mathematics: projections, orders of solvers, and the certificate's fuzz."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from graph_cells import Bar

from sparring.systems.graph.attacks.edges import flipped
from sparring.systems.graph.certificate import certify
from sparring.systems.graph.clipflow import Accuracy, solve
from sparring.systems.graph.lyapunov import Lyapunov, audit, continuous, discrete
from sparring.systems.graph.mittag_leffler import mittag_leffler
from sparring.systems.graph.solvers import Solver

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def projections() -> list[Bar]:
    """Bar 1: a wild random field in 8 dimensions, a random convex V, 200 starting points, time 3."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn((8, 8), generator=generator, dtype=torch.float64)
    u0 = 3 * torch.randn((200, 8), generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        v = Lyapunov(8).double().requires_grad_(False)

    def field(u: torch.Tensor) -> torch.Tensor:
        return 2 * torch.tanh(u @ mixing) + 0.5 * u

    worst, told = 0.0, {}
    for order in (0.3, 0.6, 1.0):
        for step in (0.01, 0.05, 0.2, 1.0):
            solver = Solver("euler" if order == 1 else "predictor", 3.0, step, order)
            exact = audit(solver.path(field, u0, discrete(v, 1.0, solver)), v, 1.0, solver)
            worst = max(worst, exact.broken)
            if step == 1.0:
                bent = audit([u.detach() for u in solver.path(continuous(field, v, 1.0), u0)], v, 1.0, solver)
                told[f"continuous, order {order:g}, h 1: share of steps with V rising"] = bent.rising
    return [
        Bar(
            "1 projection",
            "discrete-exact: share of steps that break the inequality",
            "0",
            worst,
            None,
            worst == 0,
            told,
        )
    ]


def orders() -> list[Bar]:
    """Bar 2: observed orders on `D^b y = -y` against the Mittag-Leffler function, and the limit of order 1."""
    one = torch.ones(1, 1, dtype=torch.float64)

    def end(method: str, order: float, steps: int) -> float:
        return float(Solver(method, 1.0, 1 / steps, order)(lambda u: -u, one))  # type: ignore[arg-type]

    def observed(method: str, order: float) -> float:
        exact = float(mittag_leffler(order, 1.0))
        a, b = (abs(end(method, order, n) - exact) for n in (320, 640))
        return math.log2(a / b)

    rows = []
    for order in (0.4, 0.6, 0.8):
        for method, goal in (("predictor", 1.0), ("pece", 1 + order)):
            value = observed(method, order)
            rows.append(
                Bar(
                    "2 solvers",
                    f"{method}, order {order:g}: observed order",
                    f"≥ {goal:g} (less .05)",
                    value,
                    None,
                    value >= goal - 0.05,
                )
            )
    gap = max(abs(end(m, 1 - 1e-12, 50) - end("euler", 1.0, 50)) for m in ("predictor", "l1"))
    return [*rows, Bar("2 solvers", "order → 1: distance from Euler", "≤ 1e-10", gap, None, gap <= 1e-10)]


def fuzz(attacks: int) -> list[Bar]:
    """Bar 5, soundness: random attacks on 100 small graphs, each attacked graph solved anew; and the bound is tight."""
    from tests.systems.graph.test_certificate import attack, scene

    broken = claims = flips = 0
    for seed in range(100):
        model, inputs, generator = scene(seed)
        proof, n, each = certify(model, inputs), inputs.n, attacks // 100
        moves = [attack(inputs, generator) for _ in range(each)]
        edges = torch.cat([flipped(inputs, pairs).edges + k * n for k, (pairs, _) in enumerate(moves)], 1)
        x0, weight = model.anchors(inputs).double().repeat(each, 1), torch.ones(edges.shape[1]).double()
        y, _ = solve(x0, edges, weight, model.pull, Accuracy(1e-8, 20_000))
        fallen = (y.argmax(1) != proof.predicted.repeat(each)).reshape(each, n)
        for (_, changes), down in zip(moves, fallen, strict=True):
            safe = proof.holds(int(changes.max()))
            broken, claims, flips = broken + int((safe & down).sum()), claims + int(safe.sum()), flips + int(down.sum())
    told = {"claims checked": float(claims), "nodes flipped that were not certified": float(flips)}
    rows = [
        Bar("5 certificate", f"certified nodes flipped in {attacks:,} attacks", "0", broken, None, broken == 0, told)
    ]
    share = _tightness()
    return [
        *rows,
        Bar(
            "5 certificate", "largest shift an attack reached, share of the bound", "≥ .95", share, None, share >= 0.95
        ),
    ]


def _tightness(size: int = 6, changes: int = 3) -> float:
    """Two camps at opposite corners, every node of one joined to `changes` of the other."""
    x0 = torch.eye(2, dtype=torch.float64).repeat_interleave(size, 0)
    from sparring.systems.graph.clipflow import EXACT, Pull

    pull, i = Pull(0.02, 1.0), torch.arange(size)
    edges = torch.stack([i.repeat(changes), torch.cat([size + (i + k) % size for k in range(changes)])])
    y, _ = solve(x0, edges, torch.ones(edges.shape[1]).double(), pull, EXACT)
    return float((y - x0).abs().max()) / (changes * pull.c / pull.lam)
