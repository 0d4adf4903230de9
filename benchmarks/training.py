# pyright: basic
"""What adversarial training costs in our engine beside a bare loop and ART, and whether it reaches what papers predict.

    python benchmarks/training.py [--quick] [--seconds S] [--part cost|robustness]

**Cost**: one epoch of PGD-10 adversarial training (batch 128, L∞ 0.1) on scikit-learn's digits at 28 × 28, for the
nets of `attacks.py`: a bare loop written out by hand (frozen parameters in the attack, nothing else), our whole loop
with its checks, log and checkpoint, a bare loop around torchattacks' PGD, and ART's `AdversarialTrainerMadryPGD`. CPU
time on one thread, the minimum of interleaved rounds. Peers that cannot be imported are named and left out.

**bf16**: the same PGD-10 through autocast, timed and judged in turn with single precision on an adversarially trained
net. It pays where the processor has bfloat16 arithmetic (avx512_bf16, amx).

**Robustness**: plain training, PGD-7 adversarial training, TRADES (6), MART (5), AWP (0.005) around PGD, free (m = 8,
an eighth of the epochs) and fast training on the digits at 8 × 8, L∞ 0.15, a small convolutional net, three seeds, all
with Adam at 2e-3, batch 128 and the same epochs: the papers' own settings, nothing tuned for any of them. The last
weights are judged, on held-out images, by the standard ensemble of published budgets.

`--part` measures one part alone and writes `training_PART.json`: the costs want a quiet machine, the rest only time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import masking_cases as small
import torch
import torch.nn.functional as F
from attack_runs import EPS
from cells import Cells, switches
from form import Bar, write
from torch import Tensor, nn

import attacks as speed
from sparring.attacks import PGD, StandardEnsemble
from sparring.engine.run import Run
from sparring.evaluation.statistics import proportion
from sparring.game import Batch, Game, Strategy, Task
from sparring.objectives import cross_entropy, misclassified
from sparring.strategies import AWP, MART, PGDAT, TRADES, Fast, Free, Standard
from sparring.threats.lp import LInf

BATCH = 128


def order(n: int, seed: int) -> tuple[Tensor, ...]:
    """The batches of one epoch, as rows."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).split(BATCH)


# Cost -----------------------------------------------------------------------------------------------------------


def bare(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """PGD-10 adversarial training written out, nothing checked."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for rows in order(len(x), 0):
        clean, target = x[rows], y[rows]
        model.eval().requires_grad_(False)
        at = (clean + (2 * torch.rand_like(clean) - 1) * EPS).clamp(0, 1)
        for _ in range(10):
            at.requires_grad_(True)
            grad = torch.autograd.grad(F.cross_entropy(model(at), target, reduction="sum"), at)[0]
            at = at.detach() + 0.25 * EPS * grad.sign()
            at = torch.minimum(torch.maximum(at, clean - EPS), clean + EPS).clamp(0, 1)
        model.train().requires_grad_(True)
        optimizer.zero_grad()
        F.cross_entropy(model(at), target).backward()
        optimizer.step()


def ours(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """The engine's loop: checks, log, checkpoint and all."""
    fit(model, (x, y), PGDAT(), LInf(EPS, 0, 1), steps=10, epochs=1, lr=1e-3, seed=0)


def torchattacks_loop(model: nn.Module, x: Tensor, y: Tensor) -> None:
    import torchattacks

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    attack = torchattacks.PGD(model, eps=EPS, alpha=0.25 * EPS, steps=10)
    for rows in order(len(x), 0):
        at = attack(x[rows], y[rows])
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(at), y[rows]).backward()
        optimizer.step()


def art_trainer(model: nn.Module, x: Tensor, y: Tensor) -> None:
    from art.defences.trainer import AdversarialTrainerMadryPGD
    from art.estimators.classification import PyTorchClassifier

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 28, 28), 10, optimizer=optimizer, clip_values=(0.0, 1.0), device_type="cpu"
    )
    trainer = AdversarialTrainerMadryPGD(
        classifier, nb_epochs=1, batch_size=BATCH, eps=EPS, eps_step=0.25 * EPS, max_iter=10, num_random_init=1
    )
    trainer.fit(x.numpy(), F.one_hot(y, 10).numpy())


def cost(kind: str, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of an epoch, round by round, for every loop that can be had."""
    loops: dict[str, Callable[[nn.Module, Tensor, Tensor], None]] = {"bare": bare, "ours": ours}
    for name, module, loop in (
        ("torchattacks", "torchattacks", torchattacks_loop),
        ("ART", "art.defences.trainer", art_trainer),
    ):
        try:
            importlib.import_module(module)
            loops[name] = loop
        except ImportError as error:
            print(f"  {name} is left out: {error}", flush=True)
    (x, y), _ = speed.digits(8)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            torch.manual_seed(0)
            model = speed.network(kind)
            start = time.process_time()
            loop(model, x, y)
            seconds[name].append(time.process_time() - start)
    return seconds


class Autocast(nn.Module):
    """A net whose passes run in bfloat16 where PyTorch holds it safe."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out = self.inner(x)
        return out.float()


def half(kind: str, rounds: int, epochs: int) -> dict[str, Any]:
    """PGD-10 in single precision and through autocast: seconds, and the robust accuracy the net keeps."""
    (x_train, y_train), (x, y) = speed.digits(256)
    torch.manual_seed(0)
    model = speed.harden(speed.network(kind), x_train, y_train, epochs)
    attack, threat = PGD(steps=10, active_set=False), LInf(EPS, 0, 1)
    found: dict[str, Any] = {"float32": [], "bf16": []}
    for _ in range(rounds):
        for name, victim in (("float32", model), ("bf16", Autocast(model))):
            start = time.process_time()
            points = attack.perturb(victim, (x, y), threat, generator=torch.Generator().manual_seed(0))
            found[name].append(time.process_time() - start)
            found[f"{name} robust"] = float((~misclassified(model(points).detach(), y)).float().mean())
    return found


# Robustness -----------------------------------------------------------------------------------------------------

STRATEGIES: dict[str, tuple[Strategy, int]] = {
    "standard": (Standard(), 1),
    "PGD": (PGDAT(), 1),
    "TRADES": (TRADES(), 1),
    "MART": (MART(), 1),
    "AWP": (AWP(inner=PGDAT()), 1),
    "free": (Free(m=8), 8),
    "fast": (Fast(check_every=0), 1),
}
"""The strategy, and what its epochs are divided by."""


def fit(
    model: nn.Module, data: Batch, strategy: Strategy, threat: LInf, *, steps: int, epochs: int, lr: float, seed: int
) -> nn.Module:
    """Train with the engine's own loop; the last weights."""
    x, y = data

    def batches(generator: torch.Generator) -> Iterator[Batch]:
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            yield x[rows], y[rows]

    def optimizers(game: Game) -> dict[str, torch.optim.Optimizer]:
        return {"defender": torch.optim.Adam(game.defender.parameters(), lr)}

    game = Game(model, PGD(steps=steps, active_set=False), cross_entropy, threat)
    task = Task(game, strategy, batches, -(-len(x) // BATCH), epochs, optimizers)
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(Path(scratch) / "run", seed, quiet=True)
        try:
            return run.train(task, "defender")
        finally:
            run.close()


def reached(name: str, seed: int, epochs: int, points: int) -> dict[str, list[bool]]:
    """Who is right on the clean held-out images, and who stands against the standard ensemble."""
    data, (x, y) = small.digits()
    x, y, threat = x[:points], y[:points], LInf(small.EPS, 0, 1)
    torch.manual_seed(seed)
    strategy, share = STRATEGIES[name]
    model = fit(small.cnn(nn.ReLU), data, strategy, threat, steps=7, epochs=max(epochs // share, 1), lr=2e-3, seed=seed)
    found = StandardEnsemble()(model, (x, y), threat, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        right = ~misclassified(model(x), y)
    return {"clean": right.tolist(), "robust": (~found.success).tolist()}


def cost_bars(kind: str, seconds: dict[str, list[float]], most: float) -> list[Bar]:
    """Overhead over the bare loop, and half of ART's time."""
    least = {name: min(rounds) for name, rounds in seconds.items()}
    over = least["ours"] / least["bare"] - 1
    beside = {name: least[name] / least["bare"] - 1 for name in least if name not in ("bare", "ours")}
    made = [Bar(f"{kind}: overhead over the bare loop", "share", f"<= {most}", over, None, over <= most, beside)]
    if "ART" in least:
        ratio = least["ours"] / least["ART"]
        made.append(Bar(f"{kind}: time beside ART's trainer", "ratio", "<= 0.5", ratio, None, ratio <= 0.5))
    return made


def half_bars(kind: str, found: dict[str, Any]) -> list[Bar]:
    gain, moved = min(found["float32"]) / min(found["bf16"]), abs(found["float32 robust"] - found["bf16 robust"])
    return [
        Bar(f"{kind}: bf16 inner loop", "times faster", ">= 1.3", gain, None, gain >= 1.3),
        Bar(f"{kind}: bf16 inner loop, robust accuracy", "difference", "<= 0.005", moved, None, moved <= 0.005),
    ]


def robust_bars(found: dict[str, list[dict[str, list[bool]]]]) -> list[Bar]:
    """The ordering that the papers predict, by the mean over seeds."""
    robust = {name: proportion([b for run in runs for b in run["robust"]]) for name, runs in found.items()}
    clean = {name: proportion([b for run in runs for b in run["clean"]]) for name, runs in found.items()}
    beside = {f"{name} robust": p.value for name, p in robust.items()}
    beside |= {f"{name} clean": p.value for name, p in clean.items()}
    made = []
    for name in ("PGD", "TRADES", "MART", "AWP", "free", "fast"):
        value, goal = robust[name], robust["standard"].value + 0.15
        made.append(
            Bar(
                f"{name} over standard training",
                "robust accuracy",
                f">= standard's + 0.15, {goal:.3f}",
                value.value,
                value.interval,
                value.value >= goal,
                beside if name == "PGD" else {},
            )
        )
    for better, worse in (("TRADES", "PGD"), ("MART", "PGD"), ("AWP", "PGD"), ("PGD", "fast"), ("PGD", "free")):
        gap = robust[better].value - robust[worse].value
        made.append(Bar(f"{better} at least as robust as {worse}", "difference", ">= 0", gap, None, gap >= 0))
    return made


def main() -> int:
    told = parts()
    torch.set_num_threads(1)
    quick = told.quick
    rounds, epochs, points, seeds = (2, 2, 24, [0]) if quick else (6, 30, 500, [0, 1, 2])
    sources = ["src/sparring/attacks", "src/sparring/threats", "src/sparring/strategies", "src/sparring/engine"]
    cells, made = Cells("training-quick" if quick else "training", sources, seconds=told.seconds), []
    if told.part != "robustness":
        for kind, most in (("cnn", 0.03), ("mlp", 0.08)):
            made += cost_bars(kind, cells.get(f"{kind} cost", partial(cost, kind, rounds)), most)
            made += half_bars(kind, cells.get(f"{kind} bf16", partial(half, kind, rounds, 2 if quick else 5)))
    if told.part != "cost":
        found: dict[str, list[dict[str, list[bool]]]] = {name: [] for name in STRATEGIES}
        for seed in seeds:
            for name, runs in found.items():
                runs.append(cells.get(f"{name} seed {seed}", partial(reached, name, seed, epochs, points)))
        made += robust_bars(found)
    chosen = (f" --part {told.part}" if told.part else "") + (" --quick" if quick else "")
    name = f"training_{told.part}" if told.part else "training"
    data = f"scikit-learn digits; robustness: 8 x 8, 1,297 to train, {points} test images, {epochs} epochs"
    write(name, f"python benchmarks/training.py{chosen}", data, seeds, made, quick=quick)
    return 0 if all(b.holds for b in made) else 1


def parts() -> argparse.Namespace:
    """The switches of a benchmark made of cells, and the part to measure alone."""
    parser = switches(__doc__ or "")
    parser.add_argument("--part", choices=("cost", "robustness"), help="measure this part alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
