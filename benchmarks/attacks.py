"""Our attacks beside torchattacks, adv-lib, ART and AutoAttack: speed, passes and what they find, on the same models.

    python benchmarks/attacks.py [--quick] [--seconds S]

The peers are installed in `.venv-peers`, which the script makes itself. A small convolutional net and an MLP are
PGD-10-trained at L∞ 0.1 on scikit-learn's digits at 28 × 28. Every attack is told the same eps, steps and step size
and attacks the same test points in one batch; ours return the points alone, as the peers do. `autoattack` is the
reference implementation as PyPI has it (pyautoattack); torchattacks' ensemble of that name makes a tenth of the
gradient steps and is left out. One thread; speed is process CPU time, the minimum of rounds in which all libraries
take turns.

**The limit.** The model itself writes down every pass a library makes: its rows, and whether a backward pass followed.
In each round the same passes are made again bare, on the same batch cut to the same rows, in turn with the attacks:
the forward pass, the cross entropy, and the gradient of the input alone with parameters frozen; no clone, no step, no
check. `eff` is the fastest bare replay over the fastest attack. So an active set, which makes fewer passes on smaller
batches, is held to its own passes, and a library that makes more passes gains nothing in `eff`, only loses in speed.

One judge reads all returned points: those outside the ball or the range by more than 1e-5 count as not found. A run is
made of cells (one net, one attack, all libraries) that stay under `runs/`: `--seconds` stops between two of them, and
the same command goes on. `--quick` trains less and takes fewer points.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import peers
import torch
import torch.nn.functional as F
from attack_runs import EPS, Run, libraries
from cells import Cells, options
from torch import Tensor, nn

Passes = list[list[int]]
"""Rows and 1 or 0 for a backward pass, pass after pass."""


class Counted(nn.Module):
    """A model that writes down every pass."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.passes: Passes = []

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        made = [len(x), 0]
        self.passes.append(made)
        if out.requires_grad:

            def seen(grad: Tensor) -> None:
                made[1] = 1

            out.register_hook(seen)
        return out


@dataclass
class Measured:
    """One library on one row: CPU seconds of each round, of its bare replays, passes a sample, who still stands."""

    n: int
    forwards: float = 0.0
    backwards: float = 0.0
    robust: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def standing(self) -> int:
        """Samples for which no point was found."""
        return sum(self.robust)

    @property
    def speed(self) -> float:
        """Samples per CPU second."""
        return self.n / min(self.seconds)

    @property
    def eff(self) -> float:
        """The share of the limit."""
        return min(self.bare) / min(self.seconds) if self.bare else float("nan")


def digits(points: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and test images `(n, 1, 28, 28)` in [0, 1] with labels."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    x = torch.from_numpy(raw.images).float().div(16).unsqueeze(1)
    x = F.interpolate(x, size=28, mode="bilinear").clamp(0, 1)
    y = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1285], order[1285 : 1285 + points]
    return (x[train], y[train]), (x[test], y[test])


def network(kind: str) -> nn.Module:
    if kind == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 49, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def harden(model: nn.Module, x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    """PGD-10 adversarial training."""
    from sparring.attacks import PGD
    from sparring.threats import LInf

    generator, attack = torch.Generator().manual_seed(1), PGD(steps=10, active_set=False)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(128):
            adversarial = attack.perturb(model, (x[rows], y[rows]), LInf(EPS, 0, 1), generator=generator)
            optimizer.zero_grad()
            F.cross_entropy(model(adversarial), y[rows]).backward()
            optimizer.step()
    return model.eval()


def standing(model: nn.Module, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The judge, `(n,)` bool: samples for which the point is right, or is none of the threat's."""
    outside = ((x_adv - x).abs().flatten(1).amax(1) > EPS + 1e-5) | (x_adv.flatten(1).amin(1) < -1e-5)
    outside |= (x_adv.flatten(1).amax(1) > 1 + 1e-5) | ~torch.isfinite(x_adv).flatten(1).all(1)
    with torch.no_grad():
        return (model(x_adv).argmax(1) == y) | outside


def replay(model: nn.Module, passes: Passes, x: Tensor, y: Tensor) -> None:
    """The same passes, bare: nothing else is done."""
    for rows, backward in passes:
        at = x[:rows].detach()
        if backward:
            at.requires_grad_(True)
            torch.autograd.grad(F.cross_entropy(model(at), y[:rows], reduction="sum"), at)
        else:
            with torch.no_grad():
                model(at)


def clock(what: Run, model: nn.Module, x: Tensor, y: Tensor, least: float = 0.1) -> float:
    """CPU seconds of one call; short ones are repeated for `least` seconds."""
    start, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - start < least:
        what(model, x, y)
        calls += 1
    return (time.process_time() - start) / calls


def compare(
    model: nn.Module, x: Tensor, y: Tensor, runs: dict[str, Run], rounds: int, least: float = 0.1
) -> dict[str, dict[str, Any]]:
    """Libraries to what was measured on one row; all take turns in every round. With no rounds, the counted run."""
    found: dict[str, Measured] = {}
    replays: dict[str, tuple[Passes, list[Measured]]] = {}
    for name, run in runs.items():
        counted, measured = Counted(model), Measured(len(x))
        start = time.process_time()
        x_adv = run(counted.eval(), x, y).detach()
        if rounds == 0:
            measured.seconds.append(time.process_time() - start)
        measured.forwards = sum(rows for rows, _ in counted.passes) / len(x)
        measured.backwards = sum(rows for rows, backward in counted.passes if backward) / len(x)
        measured.robust = standing(model, x_adv, x, y).tolist()
        found[name] = measured
        replays.setdefault(str(counted.passes), (counted.passes, []))[1].append(measured)
    for _ in range(rounds):
        for passes, entered in replays.values():
            for p in model.parameters():
                p.requires_grad_(False)
            seconds = clock(lambda m, a, b, made=passes: replay(m, made, a, b), model, x, y, least)
            for p in model.parameters():
                p.requires_grad_(True)
            for measured in entered:
                measured.bare.append(seconds)
        for name, run in runs.items():
            found[name].seconds.append(clock(run, model, x, y, least))
    return {name: asdict(measured) for name, measured in found.items()}


TARGETS = {
    "cnn": {"PGD-10": 0.95, "PGD-40": 0.95, "APGD-CE-50": 0.95, "APGD-DLR-50": 0.95, "Square-500": 0.85},
    "mlp": {"PGD-10": 0.92, "PGD-40": 0.92, "APGD-CE-50": 0.85, "APGD-DLR-50": 0.85, "Square-500": 0.85},
}
"""The share of the bare forward and backward limit that each attack is to reach."""


def bars(kind: str, found: dict[str, dict[str, Measured]]) -> list:
    """The claims about one model."""
    from form import Bar

    from sparring.evaluation.statistics import wilson

    made = []
    for row, entries in found.items():
        mine, peers_ = entries["sparring"], {k: v for k, v in entries.items() if not k.startswith("sparring")}
        eff, rate = {k: m.eff for k, m in entries.items()}, {k: m.speed for k, m in entries.items()}
        if row in TARGETS[kind]:
            goal = TARGETS[kind][row]
            spread = (min(mine.bare) / max(mine.seconds), eff["sparring"])
            beside = {k: eff[k] for k in eff if k != "sparring"}
            name = f"{kind} {row}: share of the limit"
            made.append(Bar(name, "eff", f">= {goal}", eff["sparring"], spread, eff["sparring"] >= goal, beside))
        if row == "standard":
            made += reference(kind, mine, entries["autoattack"])
        else:
            fastest = max(rate[k] for k in peers_)
            spread = (mine.n / max(mine.seconds), rate["sparring"])
            name = f"{kind} {row}: speed"
            target, holds = f">= best peer, {fastest:.4g}", rate["sparring"] >= fastest
            metric = "samples per CPU-second"
            made.append(Bar(name, metric, target, rate["sparring"], spread, holds, {k: rate[k] for k in peers_}))
        if row == "Square-500":
            ratio, name = rate["sparring"] / fastest, f"{kind} {row}: times the best peer's speed"
            made.append(Bar(name, "ratio of speeds", ">= 1.4", ratio, None, ratio >= 1.4))
        accuracy = {k: m.standing / m.n for k, m in entries.items()}
        lowest = min(accuracy[k] for k in peers_)
        found_ = accuracy["sparring"]
        name, target = f"{kind} {row}: robust accuracy", f"<= best peer + 0.01, {lowest:.3f}"
        interval = tuple(wilson(mine.standing, mine.n))
        beside = {k: accuracy[k] for k in peers_}
        made.append(Bar(name, "robust accuracy found", target, found_, interval, found_ <= lowest + 0.01, beside))
    return made


def reference(kind: str, mine: Measured, theirs: Measured) -> list:
    """The ensemble beside the reference implementation at the same budgets: speed, and sample by sample the same."""
    from form import Bar

    from sparring.evaluation.statistics import proportion

    faster = min(theirs.seconds) / min(mine.seconds)
    same = proportion([a == b for a, b in zip(mine.robust, theirs.robust, strict=True)])
    passes = {"our forward passes": mine.forwards, "their forward passes": theirs.forwards}
    passes |= {"our backward passes": mine.backwards, "their backward passes": theirs.backwards}
    speed = Bar(f"{kind} standard: speed", "times the reference", ">= 2", faster, None, faster >= 2, passes)
    name, holds = f"{kind} standard: agreement", same.value >= 0.995
    beside = {"sparring": mine.standing / mine.n, "autoattack": theirs.standing / theirs.n}
    return [speed, Bar(name, "share of samples", ">= 0.995", same.value, same.interval, holds, beside)]


def show(kind: str, clean: float, found: dict[str, dict[str, Measured]]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = ("attack", "library", "n", "samples/CPU-s", "eff", "forward", "backward", "robust accuracy")
    table = Table(*columns, title=f"{kind}: clean accuracy {clean:.3f}")
    for row, entries in found.items():
        for name, m in entries.items():
            figures = (f"{m.speed:.1f}", f"{m.eff:.2f}", f"{m.forwards:.1f}")
            table.add_row(row, name, str(m.n), *figures, f"{m.backwards:.1f}", f"{m.standing / m.n:.3f}")
    Console(width=120).print(table)


def trained(cells: Cells, kind: str, x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    """The hardened net of one kind, from the scratch folder if it was trained before."""
    torch.manual_seed(0)
    model, path = network(kind), cells.path(f"{kind} {epochs} epochs", "pt")
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    torch.save(harden(model, x, y, epochs).state_dict(), path)
    return model


ROUNDS = {"FGSM": 20, "PGD-10": 12, "PGD-40": 6, "APGD-CE-50": 5, "APGD-DLR-50": 5, "Square-500": 4, "standard": 0}
"""More rounds of what is short; the ensembles run once, counted."""


def main() -> int:
    told = options(__doc__)
    quick = told.quick
    peers.enter()
    peers.stand_in("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.models")
    peers.stand_in("visdom")
    torch.set_num_threads(1)
    from form import write

    epochs, points, few = (5, 128, 24) if quick else (30, 256, 128)
    sources = ["src/sparring/attacks", "src/sparring/threats", "src/sparring/objectives.py"]
    sources.append("benchmarks/attack_runs.py")
    cells = Cells("attacks-quick" if quick else "attacks", sources, seconds=told.seconds)
    entered = libraries()
    (x_train, y_train), (x, y) = digits(points)
    made = []
    for kind in ("cnn", "mlp"):
        model = trained(cells, kind, x_train, y_train, epochs)
        found: dict[str, dict[str, Measured]] = {}
        for row, rounds in ROUNDS.items():
            runs = {name: every[row] for name, every in entered.items() if row in every}
            n, rounds = (few if row == "standard" else points), min(rounds, 2) if quick else rounds

            measure = partial(compare, model, x[:n], y[:n], runs, rounds)
            found[row] = {name: Measured(**m) for name, m in cells.get(f"{kind} {row}", measure).items()}
        show(kind, float(standing(model, x, x, y).float().mean()), found)
        made += bars(kind, found)
    command = "python benchmarks/attacks.py" + (" --quick" if quick else "")
    data = f"scikit-learn digits at 28 x 28: 1285 to train, {points} to attack ({few} by the ensemble)"
    write("attacks", command, data, [0], made, quick=quick)
    return 0 if all(b.holds for b in made) else 1


if __name__ == "__main__":
    sys.exit(main())
