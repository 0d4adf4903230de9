"""The masking bench: broken defences that a naive attack calls robust, and honest models that must pass.

    python benchmarks/masking.py [--quick]

Each defence is put around one honestly trained model of scikit-learn's digits that is right on 98 % of the clean
test images and holds few of them under L∞ 0.15. For every model the table gives the robust accuracy that PGD with
40 steps reports, the truth's upper bound, and the verdict of `sparring.evaluation.masking.diagnose`. The truth is the
strongest of all attacks that the checks ran and, for a defence, of attacks on the model behind it: PGD, APGD with the
DLR payoff, and Square. `--quick` trains less and leaves the further variants out.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import torch
from form import Bar, write
from masking_cases import EPS, Case, cnn, defences, digits, further_defences, further_honest, honest, train
from rich.console import Console
from rich.table import Table
from torch import nn

from sparring.attacks import APGD, PGD
from sparring.evaluation.masking import Diagnosis, diagnose
from sparring.evaluation.statistics import proportion
from sparring.objectives import cross_entropy, dlr, misclassified
from sparring.threats.lp import LInf

THREAT = LInf(EPS, 0, 1)


@dataclass(frozen=True)
class Result:
    """What the bench found of one case; accuracies are over all its test samples."""

    case: Case
    clean: float
    naive: float
    truth: float
    diagnosis: Diagnosis

    @property
    def flagged(self) -> bool:
        return self.diagnosis.verdict.status == "unreliable"


def examine(case: Case, *, seed: int, samples: int, active: int) -> Result:
    """Diagnose one case, and bound its true robustness from above."""
    generator = torch.Generator().manual_seed(seed)
    x, y = case.data
    found = diagnose(
        case.model,
        (x, y),
        THREAT,
        generator=generator,
        attack=case.attack,
        name=case.name,
        samples=samples,
        active=active,
    )
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clean = 1 - float(misclassified(case.model(x), y).float().mean())
        truth = found.upper_bound * clean
        if case.behind is not None:
            for attack, objective in ((PGD(), cross_entropy), (APGD(steps=50), dlr)):
                # The points must also beat the defence itself, so they are made with room to spare: every sample
                # goes to the end of the attack.
                plain = replace(attack, active_set=False)
                points = plain.perturb(case.behind, (x, y), THREAT, objective=objective, generator=generator)
                truth = min(truth, 1 - float(misclassified(case.model(points), y).float().mean()))
    return Result(case, clean, found.naive * clean, truth, found)


def bench(*, seed: int = 0, epochs: int = 20, samples: int = 128, active: int = 24, extra: bool = True) -> list[Result]:
    """All cases of one seed: train, diagnose, bound."""
    data, test = digits()
    body = train(partial(cnn, nn.ReLU), data, seed=seed, epochs=2 * epochs)
    cases = [defences(body, test), honest(data, test, seed=seed, epochs=epochs)]
    if extra:
        cases += [further_defences(body, test), further_honest(data, test, seed=seed, epochs=epochs)]
    return [examine(case, seed=seed, samples=samples, active=active) for case in chain(*cases)]


def print_table(results: list[Result], seed: int) -> None:
    """What PGD with 40 steps reports, what is true, and what the checks say."""
    table = Table("model", "clean", "PGD-40", "truth at most", "verdict", title=f"seed {seed}, L∞ {EPS}")
    for r in results:
        right = r.flagged == r.case.broken
        verdict = f"[{'green' if right else 'red'}]{r.diagnosis.verdict.text}[/]"
        table.add_row(r.case.name, f"{r.clean:.3f}", f"{r.naive:.3f}", f"{r.truth:.3f}", verdict)
    Console(width=150).print(table)


def bars(runs: list[list[Result]]) -> list[Bar]:
    """The two promises on the eight and eight, and the same on the further variants."""
    found = [r for run in runs for r in run]
    made = []
    for broken, extra, name in (
        (True, False, "eight broken defences are flagged"),
        (False, False, "eight honest models are not flagged"),
        (True, True, "further broken defences are flagged"),
        (False, True, "further honest models are not flagged"),
    ):
        group = [r for r in found if r.case.broken == broken and r.case.extra == extra]
        if not group:
            continue
        right = proportion([r.flagged == broken for r in group])
        beside = {}
        for label in dict.fromkeys(r.case.name for r in group):
            same = [r for r in group if r.case.name == label]
            beside[f"{label}: PGD-40 reports"] = sum(r.naive for r in same) / len(same)
            beside[f"{label}: truth at most"] = sum(r.truth for r in same) / len(same)
            beside[f"{label}: flagged"] = sum(r.flagged for r in same) / len(same)
        metric = "share flagged" if broken else "share not flagged"
        made.append(Bar(name, metric, "all", right.value, right.interval, right.value == 1, beside))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, less training, the eight and eight alone")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    seeds, runs = ([0] if quick else [0, 1, 2]), []
    for seed in seeds:
        runs.append(bench(seed=seed, epochs=10 if quick else 20, extra=not quick))
        print_table(runs[-1], seed)
    found = bars(runs)
    command = "python benchmarks/masking.py" + (" --quick" if quick else "")
    write("masking", command, "scikit-learn digits, 1,297 to train and 500 to test", seeds, found, quick=quick)
    return 0 if all(b.holds for b in found) else 1


if __name__ == "__main__":
    sys.exit(main())
