# pyright: basic
"""The masking bench: broken defences that a naive attack calls robust, and honest models that must pass.

    python benchmarks/masking.py [--quick | --peers] [--seconds S]

Each defence is put around one honestly trained model of scikit-learn's digits that is right on 98 % of the clean
test images and holds few of them under L∞ 0.15. For every model the table gives the robust accuracy that PGD with
40 steps reports, the truth's upper bound, and the verdict of `sparring.evaluation.masking.diagnose`. The truth is the
strongest of all attacks that the checks ran and, for a defence, of attacks on the model behind it: PGD, APGD with the
DLR payoff, and Square.

A part of the bench gives the checks the answers alone, as of a remote detector: there Square is the attack in
question, and honest scores must pass where answers that hold nothing to search by must not.

Beside the first seed's broken defences stands what other libraries report for them, and whether they warn (see
`masking_peers.py`): torchattacks, foolbox, ART and adv-lib by PGD with 40 steps on 128 samples, the reference
AutoAttack on 24. `--quick` trains less and leaves the further variants, the answers alone and the libraries out.
`--peers` takes the first seed's eight defences alone and writes `masking_peers.json`. A run is made of cells (one
model), so that a stopped one goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice

import masking_cases as cases
import torch
from cells import Cells, switches
from form import Bar, write
from masking_cases import EPS, Case, cnn, defences, digits, honest, train
from rich.console import Console
from rich.table import Table
from torch import nn

from sparring.attacks import APGD, PGD
from sparring.evaluation.masking import diagnose
from sparring.evaluation.statistics import proportion
from sparring.objectives import cross_entropy, dlr, misclassified
from sparring.threats.lp import LInf

THREAT = LInf(EPS, 0, 1)


NEW = ("flat scores", "decisions beat the attack")
"""Checks that look at what a search by scores has to go by, and at decisions alone."""


@dataclass(frozen=True)
class Result:
    """What the bench found of one case; accuracies are over all its test samples, `checks` maps names to passed."""

    name: str
    broken: bool
    group: str
    clean: float
    naive: float
    truth: float
    flags: list[str]
    checks: dict[str, bool]

    @property
    def flagged(self) -> bool:
        return bool(self.flags)


def examine(case: Case, *, seed: int, samples: int, active: int) -> Result:
    """Diagnose one case, and bound its true robustness from above."""
    generator = torch.Generator().manual_seed(seed)
    x, y = case.data
    found = diagnose(
        case.model.forward if case.scores else case.model,
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
    group = "scores" if case.scores else "further" if case.extra else "eight"
    checks = {c.name: c.passed for c in found.checks}
    return Result(case.name, case.broken, group, clean, found.naive * clean, truth, list(found.verdict.flags), checks)


def bench(seed: int, epochs: int, extra: bool) -> Iterator[Case]:
    """All cases of one seed, trained as they are asked for."""
    data, test = digits()
    body = train(partial(cnn, nn.ReLU), data, seed=seed, epochs=2 * epochs)
    yield from defences(body, test)
    plain = list(honest(data, test, seed=seed, epochs=epochs))
    yield from plain
    if extra:
        yield from cases.further_defences(body, test)
        yield from cases.further_honest(data, test, seed=seed, epochs=epochs)
        detector = train(
            lambda: cases.OneLogit(cases.mlp(nn.ReLU, outputs=1)), cases.even(data), seed=seed, epochs=2 * epochs
        )
        yield from cases.answers_without_scores(body, detector, test)
        yield from cases.honest_scores(plain)


def print_table(results: list[Result], seed: int) -> None:
    """What PGD with 40 steps reports, what is true, and what the checks say."""
    table = Table("model", "clean", "PGD-40", "truth at most", "flags", title=f"seed {seed}, L∞ {EPS}")
    for r in results:
        told = f"[{'green' if r.flagged == r.broken else 'red'}]{', '.join(r.flags) or 'none'}[/]"
        table.add_row(r.name, f"{r.clean:.3f}", f"{r.naive:.3f}", f"{r.truth:.3f}", told)
    Console(width=150).print(table)


GROUPS = (
    (True, "eight", "eight broken defences are flagged"),
    (False, "eight", "eight honest models are not flagged"),
    (True, "further", "further broken defences are flagged"),
    (False, "further", "further honest models are not flagged"),
    (True, "scores", "answers without scores are flagged"),
    (False, "scores", "honest scores are not flagged"),
)


def bars(found: list[Result], told: dict[str, dict[str, float]]) -> list[Bar]:
    """The promises, group by group, with what `told` holds of the peers beside; and the new checks' false flags."""
    made = []
    for broken, kind, name in GROUPS:
        group = [r for r in found if r.broken == broken and r.group == kind]
        if not group:
            continue
        right = proportion([r.flagged == broken for r in group])
        beside = silence(told, group)
        for label in dict.fromkeys(r.name for r in group):
            same = [r for r in group if r.name == label]
            attack = "Square" if kind == "scores" else "PGD-40"
            beside[f"{label}: {attack} reports"] = sum(r.naive for r in same) / len(same)
            beside[f"{label}: truth at most"] = sum(r.truth for r in same) / len(same)
            beside[f"{label}: flagged"] = sum(r.flagged for r in same) / len(same)
            beside |= {f"{label}: {said}": value for said, value in told.get(label, {}).items()}
        metric = "share flagged" if broken else "share not flagged"
        made.append(Bar(name, metric, "all", right.value, right.interval, right.value == 1, beside))
    return made + [false_flags(found, name) for name in NEW if any(name in r.checks and not r.broken for r in found)]


def false_flags(found: list[Result], check: str) -> Bar:
    """How often one check fails on honest models; beside it how often it is the one, or among those, that catch."""
    of_honest = [not r.checks[check] for r in found if not r.broken and check in r.checks]
    of_broken = [r for r in found if r.broken and check in r.checks]
    rate = proportion(of_honest)
    beside = {
        "honest models": float(len(of_honest)),
        "broken defences it ran on": float(len(of_broken)),
        "of them flagged by it": float(sum(check in r.flags for r in of_broken)),
        "of them flagged by it alone": float(sum(r.flags == [check] for r in of_broken)),
    }
    return Bar(f"check {check!r}: false flags", "share", "0", rate.value, rate.interval, rate.value == 0, beside)


def silence(told: dict[str, dict[str, float]], group: Sequence[Result]) -> dict[str, float]:
    """For each library, how many of these it rates over the truth by more than 0.3 without a warning."""
    truth = {r.name: min(q.truth for q in group if q.name == r.name) for r in group}
    over: dict[str, float] = {}
    for label in truth.keys() & told.keys():
        for said, value in told[label].items():
            if said.endswith(" reports"):
                library = said.removesuffix(" reports")
                silent = value > truth[label] + 0.3 and not told[label].get(f"{library} warns")
                key = f"{library}: overrated by more than 0.3 in silence"
                over[key] = over.get(key, 0.0) + silent
    return dict(sorted(over.items()))


def measure(
    cells: Cells, every: Iterator[Case], seed: int, peers: bool
) -> tuple[list[Result], dict[str, dict[str, float]]]:
    """The results of one seed, and with `peers` what the other libraries say of its broken defences."""
    runs, told = list[Result](), dict[str, dict[str, float]]()
    for case in every:
        active = 8 if case.scores else 24
        key = "".join(c if c.isalnum() else "-" for c in f"seed {seed} {case.name}")
        made = cells.get(
            key, lambda case=case, active=active: asdict(examine(case, seed=seed, samples=128, active=active))
        )
        runs.append(Result(**made))
        if case.broken and peers and not case.scores:
            told[case.name] = cells.get(f"peers-{key}", partial(beside_peers, case))
    print_table(runs, seed)
    return runs, told


def main() -> int:
    parser = switches(__doc__ or "")
    parser.add_argument("--peers", action="store_true", help="one seed's eight defences alone, beside the libraries")
    chosen = parser.parse_args()
    quick, few = chosen.quick, chosen.quick or chosen.peers
    torch.set_num_threads(1)
    seeds, found, told = ([0] if few else [0, 1, 2]), list[Result](), dict[str, dict[str, float]]()
    sources = [f"src/sparring/{part}" for part in ("attacks", "threats", "evaluation", "objectives.py")]
    sources += ["benchmarks/masking.py", "benchmarks/masking_cases.py", "benchmarks/masking_peers.py"]
    cells = Cells("masking-quick" if quick else "masking", sources, seconds=chosen.seconds)
    for seed in seeds:
        every = bench(seed, 10 if quick else 20, not few)
        runs, said = measure(cells, islice(every, 8) if chosen.peers else every, seed, seed == 0 and not quick)
        found, told = found + runs, told | said
    made, name = bars(found, told), "masking_peers" if chosen.peers else "masking"
    command = "python benchmarks/masking.py" + (" --quick" if quick else " --peers" if chosen.peers else "")
    write(name, command, "scikit-learn digits, 1,297 to train and 500 to test", seeds, made, quick=quick)
    return 0 if all(b.holds for b in made) else 1


def beside_peers(case: Case) -> dict[str, float]:
    """What the other libraries say of one case."""
    import masking_peers

    x, y = case.data
    return masking_peers.reported(case.model, x[:128], y[:128], masking_peers.libraries(), few=24)


if __name__ == "__main__":
    sys.exit(main())
