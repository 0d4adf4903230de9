"""The backdoor system's five bars: repair, rivals, scan, the trigger itself, and cost.

    SPARRING_DATA=FOLDER python benchmarks/backdoor.py [--quick] [--seconds N] [--data snippets,sst2,agnews]
        [--victims cnn,minilm] [--seeds 3]

Every victim is a cell in runs/benchmarks/backdoor, so that a stopped benchmark goes on; the table holds the cells that
are measured, and says how many.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import backdoor_cells as own
from cells import Cells
from form import Bar, write

from sparring.evaluation import statistics
from sparring.language.writers import writer
from sparring.systems.backdoor.poison import HELD_OUT, PUBLISHED

SOURCES = ("src/sparring/systems/backdoor", "src/sparring/language", "benchmarks/backdoor_cells.py")
FILTERS = ("clean fine-tuning", "random triggers", "DBS-like", "MuScleLoRA-like", "ONION", "RAP", "STRIP")


def main() -> None:
    """Measure what is missing, print the bars, leave benchmarks/results/backdoor.json."""
    chosen = options()
    own.threads()
    sizes = own.QUICK if chosen.quick else own.Sizes()
    kept = Cells("backdoor-quick" if chosen.quick else "backdoor", SOURCES, seconds=chosen.seconds)
    seeds = tuple(range(1 if chosen.quick else chosen.seeds))
    speaker = writer(chosen.writer)
    poisoned: list[dict[str, Any]] = []
    clean: list[dict[str, Any]] = []
    try:
        for seed in seeds:
            for kind in chosen.victims.split(","):
                for name in chosen.data.split(","):
                    for family in (*PUBLISHED, HELD_OUT):
                        key = f"{kind}-{name}-{family}-{seed}"
                        found = kept.get(
                            key,
                            lambda n=name, k=kind, f=family, s=seed: own.poisoned_cell(
                                n, k, f, s, sizes, speaker, others=f != HELD_OUT
                            ),
                        )
                        poisoned.append({"kind": kind, "data": name, "family": family, "seed": seed, **found})
                    key = f"{kind}-{name}-clean-{seed}"
                    one = kept.get(key, lambda n=name, k=kind, s=seed: own.clean_cell(n, k, s, sizes, speaker))
                    clean.append({"kind": kind, "data": name, "seed": seed, **one})
    except SystemExit as stop:
        print(stop)
    if not poisoned:
        raise SystemExit("no cell is measured yet")
    measured = tuple(sorted({c["seed"] for c in poisoned}))
    sets = ", ".join(dict.fromkeys(c["data"] for c in poisoned))
    kinds = ", ".join(dict.fromkeys(c["kind"] for c in poisoned))
    data = f"{sets}; victims {kinds}; {len(poisoned)} poisoned and {len(clean)} clean models; writer {chosen.writer}"
    command = f"SPARRING_DATA=FOLDER python benchmarks/backdoor.py{' --quick' if chosen.quick else ''}"
    command += f" --data {chosen.data} --victims {chosen.victims} --seeds {len(measured)}"
    command += "" if chosen.writer == "smollm2" else f" --writer {chosen.writer}"
    print(write("backdoor", command, data, measured, bars(poisoned, clean), quick=chosen.quick))


def options() -> argparse.Namespace:
    """The switches."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small cells that show that everything works")
    parser.add_argument("--seconds", type=float, help="stop between two cells after that much CPU time")
    parser.add_argument("--data", default="snippets,sst2,agnews")
    parser.add_argument("--victims", default="cnn,minilm")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--writer", default="smollm2")
    return parser.parse_args()


def bars(poisoned: Sequence[dict[str, Any]], clean: Sequence[dict[str, Any]]) -> list[Bar]:
    """Bars 1 to 5. Bars 1, 2 and 4 ask for MiniLM: on other victims they are reported and do not hold."""
    four = [c for c in poisoned if c["family"] != HELD_OUT]
    rows: list[Bar] = []
    for kind in dict.fromkeys(c["kind"] for c in four):
        cells = [c for c in four if c["kind"] == kind]
        rows += repairs(cells, kind) + rivals(cells, kind) + recovered(cells, kind)
    return [*rows, *scans(poisoned, clean), cost(poisoned)]


def repairs(cells: Sequence[dict[str, Any]], kind: str) -> list[Bar]:
    """Bar 1: points by which success falls; the floor, the oracle and the price in accuracy beside it."""
    rows: list[Bar] = []
    for method, goal in (("ours, with rows", 70.0), ("ours, without rows", 60.0)):
        falls = [100 * (c["victim"]["success"] - c["methods"][method]["success"]) for c in cells]
        price = mean([100 * (c["victim"]["accuracy"] - c["methods"][method]["accuracy"]) for c in cells])
        beside = {
            "before": mean([100 * c["victim"]["success"] for c in cells]),
            "clean-model floor": mean([100 * c["floor"]["success"] for c in cells]),
            "oracle after": mean([100 * c["methods"]["oracle"]["success"] for c in cells]),
            "accuracy lost": price,
            **usage(cells, method),
        }
        for family in PUBLISHED:
            if some := [100 * c["methods"][method]["success"] for c in cells if c["family"] == family]:
                beside[f"{family} after"] = mean(some)
        good = kind == "minilm" and mean(falls) >= goal and price <= 2
        rows.append(bar("1 repair", f"{kind}: success falls, {method}", f"≥ {goal:g} points", falls, good, beside))
        near = [
            100 * (c["methods"][method]["success"] - c["methods"]["oracle"]["success"])
            for c in cells
            if c["family"] in ("badnets", "addsent")
        ]
        if near:
            good = kind == "minilm" and mean(near) <= 10
            metric = f"{kind}: BadNets, AddSent above oracle, {method}"
            rows.append(bar("1 repair", metric, "≤ 10 points", near, good, usage(cells, method)))
    return rows


def rivals(cells: Sequence[dict[str, Any]], kind: str) -> list[Bar]:
    """Bar 2: how far below the best rival's mean success ours lies."""
    found = {n: [100 * c["methods"][n]["success"] for c in cells if n in c["methods"]] for n in FILTERS}
    after = {n: mean(v) for n, v in found.items() if len(v) == len(cells)}
    best = min(after, key=lambda n: after[n])
    rows: list[Bar] = []
    for method in ("ours, with rows", "ours, without rows"):
        gains = [100 * (c["methods"][best]["success"] - c["methods"][method]["success"]) for c in cells]
        beside = {f"{n} after": v for n, v in after.items()} | {
            f"{n} accuracy": mean([100 * c["methods"][n]["accuracy"] for c in cells]) for n in after
        }
        good = kind == "minilm" and mean(gains) >= 10
        metric = f"{kind}: {method} below the best rival, {best}"
        rows.append(bar("2 rivals", metric, "≥ 10 points", gains, good, {**beside, **usage(cells, method)}))
    return rows


def recovered(cells: Sequence[dict[str, Any]], kind: str) -> list[Bar]:
    """Bar 4: the trigger itself, by words or by 60 % of a sentence's effect."""
    rows: list[Bar] = []
    for family, goal in (("badnets", 90.0), ("addsent", 70.0)):
        for tag in ("with rows", "without rows"):
            hits = [100.0 * bool(c[tag]["recovered"]) for c in cells if c["family"] == family]
            if hits:
                good = kind == "minilm" and mean(hits) >= goal
                metric = f"{kind}: {family} recovered, {tag}"
                rows.append(bar("4 trigger", metric, f"≥ {goal:g} %", hits, good, usage(cells, f"ours, {tag}")))
    return rows


def scans(poisoned: Sequence[dict[str, Any]], clean: Sequence[dict[str, Any]]) -> list[Bar]:
    """Bar 3: poisoned against clean models by the suspicion, without the training rows."""
    rows: list[Bar] = []
    for held, words in ((False, "four attacks"), (True, "held-out family")):
        some = [c for c in poisoned if (c["family"] == HELD_OUT) == held]
        if some and clean:
            value = auc([c["without rows"]["confidence"] for c in some], [c["confidence"] for c in clean])
            count = len(some) + len(clean)
            beside = {"poisoned": float(len(some)), "clean": float(len(clean))} | usage(some, "ours, without rows")
            rows.append(Bar("3 scan", f"AUC, {words}", "≥ 0.95, 24 models", value, None,
                            value >= 0.95 and count >= 24, beside))  # fmt: skip
    return rows


def cost(poisoned: Sequence[dict[str, Any]]) -> Bar:
    """Bar 5: CPU-seconds of repair without rows, which holds up to two scans and the training; two cores have 600."""
    worst = max(c["methods"]["ours, without rows"]["seconds"] for c in poisoned)
    beside = {"victim calls of a scan": mean([c["without rows"]["scan calls"] for c in poisoned]),
              "LM tokens of a scan": mean([c["without rows"]["scan tokens"] for c in poisoned])}  # fmt: skip
    return Bar("5 cost", "slowest scan and repair, CPU-seconds", "≤ 600", worst, None, worst <= 600, beside)


def usage(cells: Sequence[dict[str, Any]], method: str) -> dict[str, float]:
    """Victim calls and LM tokens of a method, mean."""
    return {"victim calls": mean([c["methods"][method]["calls"] for c in cells]),
            "LM tokens": mean([c["methods"][method]["tokens"] for c in cells])}  # fmt: skip


def bar(name: str, metric: str, target: str, values: Sequence[float], holds: bool, beside: dict[str, float]) -> Bar:
    """A bar with Student's t over the cells."""
    span = statistics.seed_mean(values).interval if len(values) > 1 else None
    return Bar(name, metric, target, mean(values), span, holds, beside)


def auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """The probability that one of `higher` is above one of `lower`, ties half."""
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in higher for b in lower]
    return mean(wins)


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
