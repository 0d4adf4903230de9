"""Our attacks beside torchattacks, adv-lib, ART and AutoAttack: speed, passes and what they find, on the same models in one run.

    python benchmarks/attacks.py [--quick]

The peers are installed in `.venv-peers`, which the script makes itself. A small convolutional net and an MLP are
PGD-10-trained at L∞ 0.1 on scikit-learn's digits at 28 × 28. Every attack is told the same eps, steps and step size
and attacks the same test points in one batch; ours return the points alone, as the peers do. `autoattack` is the
reference implementation as PyPI has it (pyautoattack). One thread; speed is process CPU time, the minimum of rounds in
which all libraries and the bare loop take turns; short attacks are repeated within a round. Passes are counted by the model itself, whatever a library says. `limit` is the time that the counted passes cost in a
bare loop over the whole batch (gradients of the input alone) and `eff` is limit over measured; an active set makes
fewer passes, on smaller and so dearer batches. One judge reads all returned points: those outside the ball or the range
by more than 1e-5 count as not found. `--quick` trains less and takes fewer points.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import peers
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 0.1
Run = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Counted(nn.Module):
    """A model that counts the rows that pass forward and backward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.forwards, self.backwards = inner, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        self.forwards += len(x)
        if out.requires_grad:
            out.register_hook(self._backward)
        return out

    def _backward(self, grad: Tensor) -> None:
        self.backwards += len(grad)


@dataclass
class Measured:
    """One library on one row: CPU seconds of each round, passes per sample, points found."""

    n: int
    seconds: list[float] = field(default_factory=list)
    forwards: float = 0.0
    backwards: float = 0.0
    robust: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    forward: float = float("inf")
    backward: float = float("inf")

    @property
    def standing(self) -> int:
        """Samples for which no point was found."""
        return int(self.robust.sum())

    def limit(self) -> float:
        """CPU seconds of the counted passes in a bare loop."""
        return self.n * ((self.forwards - self.backwards) * self.forward + self.backwards * self.backward)


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


def ours(active_set: bool) -> dict[str, Run]:
    """With the active set, as in evaluation, or every sample to the end, as in training."""
    from dataclasses import replace

    from sparring.attacks import APGD, FGSM, PGD, Attack, Square, StandardEnsemble
    from sparring.objectives import Objective, cross_entropy, dlr
    from sparring.threats import LInf

    def run(attack: Attack, objective: Objective = cross_entropy) -> Run:
        def call(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            chosen = replace(attack, active_set=active_set)
            return chosen.perturb(model, (x, y), LInf(EPS, 0, 1), objective=objective, generator=generator)

        return call

    return {
        "FGSM": run(FGSM()),
        "PGD-10": run(PGD(steps=10)),
        "PGD-40": run(PGD(steps=40)),
        "APGD-CE-50": run(APGD(steps=50)),
        "APGD-DLR-50": run(APGD(steps=50), dlr),
        "Square-500": run(Square(queries=500)),
        "standard": run(StandardEnsemble()),
    }


def torchattacks_runs() -> dict[str, Run]:
    import torchattacks as ta

    def run(make: Callable[[nn.Module], Callable]) -> Run:
        return lambda model, x, y: make(model)(x, y)

    return {
        "FGSM": run(lambda m: ta.FGSM(m, eps=EPS)),
        "PGD-10": run(lambda m: ta.PGD(m, eps=EPS, alpha=EPS * 0.25, steps=10)),
        "PGD-40": run(lambda m: ta.PGD(m, eps=EPS, alpha=EPS * 0.0625, steps=40)),
        "APGD-CE-50": run(lambda m: ta.APGD(m, eps=EPS, steps=50, loss="ce")),
        "APGD-DLR-50": run(lambda m: ta.APGD(m, eps=EPS, steps=50, loss="dlr")),
        "Square-500": run(lambda m: ta.Square(m, eps=EPS, n_queries=500, resc_schedule=False)),
        "standard": run(lambda m: ta.AutoAttack(m, eps=EPS, n_classes=10)),
    }


def advlib_runs() -> dict[str, Run]:
    from adv_lib.attacks import apgd, pgd_linf

    def pgd(steps: int) -> Run:
        return lambda model, x, y: pgd_linf(model, x, y, EPS, steps=steps, relative_step_size=2.5 / steps)

    def auto(loss: str) -> Run:
        return lambda model, x, y: apgd(model, x, y, EPS, float("inf"), n_iter=50, loss_function=loss)

    return {"PGD-10": pgd(10), "PGD-40": pgd(40), "APGD-CE-50": auto("ce"), "APGD-DLR-50": auto("dlr")}


def art_runs() -> dict[str, Run]:
    from art.attacks.evasion import (
        AutoProjectedGradientDescent,
        FastGradientMethod,
        ProjectedGradientDescentPyTorch,
        SquareAttack,
    )
    from art.estimators.classification import PyTorchClassifier

    def run(make: Callable, **options: object) -> Run:
        def call(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            estimator = PyTorchClassifier(
                model, nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
            )
            found = make(estimator, eps=EPS, batch_size=len(x), **options).generate(x.numpy(), y.numpy())
            return torch.from_numpy(found)

        return call

    def pgd(steps: int) -> Run:
        options = {"eps_step": EPS * 2.5 / steps, "max_iter": steps, "num_random_init": 1, "verbose": False}
        return run(ProjectedGradientDescentPyTorch, **options)

    def auto(loss: str) -> Run:
        options = {"eps_step": 2 * EPS, "max_iter": 50, "nb_random_init": 1, "loss_type": loss, "verbose": False}
        return run(AutoProjectedGradientDescent, **options)

    return {
        "FGSM": run(FastGradientMethod),
        "PGD-10": pgd(10),
        "PGD-40": pgd(40),
        "APGD-CE-50": auto("cross_entropy"),
        "APGD-DLR-50": auto("difference_logits_ratio"),
        "Square-500": run(SquareAttack, max_iter=500, verbose=False),
    }


def standing(model: nn.Module, x_adv: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The judge, `(n,)` bool: samples for which the point is right, or is none of the threat's."""
    outside = ((x_adv - x).abs().flatten(1).amax(1) > EPS + 1e-5) | (x_adv.flatten(1).amin(1) < -1e-5)
    outside |= (x_adv.flatten(1).amax(1) > 1 + 1e-5) | ~torch.isfinite(x_adv).flatten(1).all(1)
    with torch.no_grad():
        return (model(x_adv).argmax(1) == y) | outside


def bare(model: nn.Module, x: Tensor, y: Tensor, rounds: int) -> tuple[float, float]:
    """CPU seconds per sample of a forward pass, and of a forward and backward pass to the input alone."""
    best = [float("inf")] * 2
    for p in model.parameters():
        p.requires_grad_(False)
    for _ in range(rounds):
        start = time.process_time()
        with torch.no_grad():
            for _ in range(10):
                model(x)
        best[0] = min(best[0], (time.process_time() - start) / 10 / len(x))
        start = time.process_time()
        for _ in range(10):
            at = x.clone().requires_grad_(True)
            torch.autograd.grad(F.cross_entropy(model(at), y, reduction="sum"), at)
        best[1] = min(best[1], (time.process_time() - start) / 10 / len(x))
    for p in model.parameters():
        p.requires_grad_(True)
    return best[0], best[1]


def compare(
    model: nn.Module, x: Tensor, y: Tensor, libraries: dict[str, dict[str, Run]], rows: list[str], rounds: int
) -> dict[str, dict[str, Measured]]:
    """Rows to libraries to what was measured; the rounds of all libraries are interleaved."""
    found: dict[str, dict[str, Measured]] = {row: {} for row in rows}
    for row in rows:
        entered = {name: runs[row] for name, runs in libraries.items() if row in runs}
        for name, run in entered.items():
            counted, measured = Counted(model), Measured(len(x))
            x_adv = run(counted.eval(), x, y).detach()
            measured.forwards, measured.backwards = counted.forwards / len(x), counted.backwards / len(x)
            measured.robust = standing(model, x_adv, x, y)
            found[row][name] = measured
        cost = [float("inf")] * 2
        for _ in range(1 if row == "standard" else rounds):
            cost = [min(pair) for pair in zip(cost, bare(model, x, y, 2), strict=True)]
            for name, run in entered.items():
                start, calls = time.process_time(), 0
                while calls == 0 or time.process_time() - start < 0.1:
                    run(model, x, y)
                    calls += 1
                found[row][name].seconds.append((time.process_time() - start) / calls)
        for measured in found[row].values():
            measured.forward, measured.backward = cost
        print(f"  {row}", flush=True)
    return found


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
        eff = {k: m.limit() / min(m.seconds) for k, m in entries.items()}
        rate = {k: m.n / min(m.seconds) for k, m in entries.items()}
        if row in TARGETS[kind]:
            goal = TARGETS[kind][row]
            spread = (mine.limit() / max(mine.seconds), eff["sparring"])
            beside = {k: eff[k] for k in eff if k != "sparring"}
            name = f"{kind} {row}: share of the limit"
            made.append(Bar(name, "eff", f">= {goal}", eff["sparring"], spread, eff["sparring"] >= goal, beside))
        if row == "standard":
            made += reference(kind, mine, entries["autoattack"])
        else:  # torchattacks' ensemble of this name makes a tenth of the gradient steps
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
    same = proportion((mine.robust == theirs.robust).tolist())
    passes = {"our forward passes": mine.forwards, "their forward passes": theirs.forwards}
    passes |= {"our backward passes": mine.backwards, "their backward passes": theirs.backwards}
    speed = Bar(f"{kind} standard: speed", "times the reference", ">= 2", faster, None, faster >= 2, passes)
    name, holds = f"{kind} standard: agreement", same.value >= 0.995
    beside = {"sparring": mine.standing / mine.n, "autoattack": theirs.standing / theirs.n}
    return [speed, Bar(name, "share of samples", ">= 0.995", same.value, same.interval, holds, beside)]


def autoattack_runs() -> dict[str, Run]:
    """Fra31's AutoAttack, version "standard", as packaged on PyPI."""
    from pyautoattack import AutoAttack

    def call(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        found = AutoAttack(model, eps=EPS, norm="Linf", seed=0, version="standard").run_standard_evaluation(
            x, y, batch_size=len(x)
        )
        return found[0] if isinstance(found, tuple) else found

    return {"standard": call}


def show(kind: str, clean: float, found: dict[str, dict[str, Measured]]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = ("attack", "library", "n", "samples/CPU-s", "eff", "forward", "backward", "robust accuracy")
    table = Table(*columns, title=f"{kind}: clean accuracy {clean:.3f}")
    for row, entries in found.items():
        for name, m in entries.items():
            best = min(m.seconds)
            figures = (f"{m.n / best:.1f}", f"{m.limit() / best:.2f}", f"{m.forwards:.1f}")
            table.add_row(row, name, str(m.n), *figures, f"{m.backwards:.1f}", f"{m.standing / m.n:.3f}")
    Console(width=120).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less training, fewer points and rounds")
    quick = parser.parse_args().quick
    peers.enter()
    peers.stand_in("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.models")
    peers.stand_in("visdom")
    torch.set_num_threads(1)
    from form import write

    epochs, points, few, rounds = (5, 128, 24, 2) if quick else (30, 256, 128, 5)
    libraries = {"sparring": ours(True), "sparring, whole batch": ours(False), "torchattacks": torchattacks_runs()}
    libraries |= {"adv-lib": advlib_runs(), "art": art_runs(), "autoattack": autoattack_runs()}
    del libraries["sparring, whole batch"]["standard"]  # a cascade always drops what has fallen
    (x_train, y_train), (x, y) = digits(points)
    rows, made = list(libraries["sparring"]), []
    for kind in ("cnn", "mlp"):
        torch.manual_seed(0)
        model = harden(network(kind), x_train, y_train, epochs)
        print(f"{kind}:", flush=True)
        found = compare(model, x, y, libraries, rows[:-1], rounds)
        found |= compare(model, x[:few], y[:few], libraries, rows[-1:], rounds)
        show(kind, float(standing(model, x, x, y).float().mean()), found)
        made += bars(kind, found)
    command = "python benchmarks/attacks.py" + (" --quick" if quick else "")
    data = f"scikit-learn digits at 28 x 28: 1285 to train, {points} to attack ({few} by the ensemble)"
    write("attacks", command, data, [0], made, quick=quick)
    return 0 if all(b.holds for b in made) else 1


if __name__ == "__main__":
    sys.exit(main())
