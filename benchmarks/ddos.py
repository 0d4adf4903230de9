# pyright: basic
"""The ddos system's five bars, on CIC-DDoS2019's records and captures and on real benign headers.

    SPARRING_DATA=FOLDER python benchmarks/ddos.py [--quick] [--seeds 3] [--scratch FOLDER] [--nfstream PYTHON]

Cells (bar, seed) are kept in the scratch folder; a killed benchmark goes on from there. Benign captures are split as
wholes and anew for every seed; thresholds come from captures that nothing was fitted on. `--nfstream` is the python of
an environment that has nfstream (`pip install nfstream`); without it its figure is left out. `--only` prints one bar's
cells and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ddos_captures
import ddos_day2
import ddos_fuzz
import ddos_guards
import ddos_link
import ddos_speed
import torch
from ddos_day2 import HEADLINE
from ddos_traces import captures
from form import Bar, write

from sparring.evaluation.statistics import seed_mean
from sparring.files import write_text

ROOT = Path(__file__).resolve().parent.parent
Found = dict[str, Any]


def cell(key: str, scratch: Path, compute: Callable[[], Found]) -> Found:
    """One cell, once per scratch folder."""
    path = scratch / f"{key}.json"
    if not path.exists():
        start = time.process_time()
        found = compute()
        write_text(path, json.dumps(found))
        print(f"  {key}: {time.process_time() - start:.0f} s of CPU", flush=True)
    return json.loads(path.read_text("utf-8"))


def played(seeds: Sequence[int], scratch: Path, quick: bool, python: str, only: int) -> dict[str, list[Found]]:
    """All cells by bar, one a seed; bars 4 and 5 are asked once."""
    sizes = ddos_guards.QUICK if quick else ddos_guards.Sizes()
    out: dict[str, list[Found]] = {name: [] for name in ("day2", "link", "captures", "rivals", "speed", "fuzz")}
    wanted = {1: ("day2",), 2: ("link",), 3: ("captures", "rivals"), 4: ("speed",), 5: ("fuzz",)}
    chosen = set(sum(wanted.values(), ())) if not only else set(wanted[only])
    for seed in seeds:
        real = captures(seed)
        if "day2" in chosen:
            out["day2"].append(cell(f"day2-{seed}", scratch, lambda s=seed: ddos_day2.measured(s, quick)))
        if chosen & {"link", "captures"}:
            guard = ddos_guards.guard_of(seed, sizes, scratch)
        if "captures" in chosen:
            ask = lambda s=seed, g=guard, r=real: ddos_captures.measured(g, r, s)  # noqa: E731
            out["captures"].append(cell(f"captures-{seed}", scratch, ask))
        if "link" in chosen:
            ask = lambda s=seed, g=guard, r=real: ddos_link.measured(g, r, s, quick)  # noqa: E731
            found = cell(f"link-{seed}", scratch, ask)
            if seed == seeds[0] and not quick:
                more = lambda g=guard, r=real, s=seed: ddos_link.at_the_anchors(g, r, s)  # noqa: E731
                found |= cell(f"anchors-{seed}", scratch, more)
            out["link"].append(found)
        if "rivals" in chosen:
            out["rivals"].append(cell(f"rivals-{seed}", scratch, lambda s=seed: ddos_guards.rivals(s, sizes, scratch)))
    if "fuzz" in chosen:
        total = 100_000 if quick else 1_000_000
        out["fuzz"].append(cell("fuzz", scratch, lambda: ddos_fuzz.measured(total, scratch)))
    if "speed" in chosen:
        ddos_guards.guard_of(seeds[0], sizes, scratch)
        where = scratch / f"guard-{seeds[0]}"
        out["speed"].append(cell("speed", scratch, lambda: ddos_speed.measured(scratch, where, python, quick)))
    return out


def over(found: Sequence[Found], key: str) -> tuple[float, tuple[float, float] | None]:
    """Mean over the seeds and its interval."""
    values = [float(f[key]) for f in found]
    if len(values) == 1:
        return values[0], None
    told = seed_mean(values)
    return told.value, told.interval


def bar(name: str, metric: str, target: str, found: Sequence[Found], key: str, holds: Callable[[float], bool],
        beside: dict[str, float] | None = None) -> Bar:  # fmt: skip
    value, interval = over(found, key)
    return Bar(name, metric, target, value, interval, holds(value), beside or {})


def mean(found: Sequence[Found], key: str) -> float:
    return over(found, key)[0]


def bars(cells: dict[str, list[Found]], seeds: int) -> list[Bar]:
    """The bars of the cells that are there; a bar of several figures has a line for each."""
    out: list[Bar] = []
    makers: dict[str, Callable[[list[Found]], list[Bar]]] = {
        "day2": day2,
        "link": link,
        "captures": lambda found: windows(found, cells["rivals"]),
        "speed": lambda found: speed(found[0]),
        "fuzz": lambda found: [fuzz(found[0])],
    }
    for name, make in makers.items():
        if not cells[name]:
            continue
        lines = make(cells[name])
        few = len(cells[name]) < seeds and name not in ("speed", "fuzz")
        out += [replace(b, metric=f"{b.metric} [{len(cells[name])} of {seeds} seeds]") if few else b for b in lines]
    return out


def kept(seeds: Sequence[int], scratch: Path) -> dict[str, list[Found]]:
    """The cells that a scratch folder holds by now."""
    out: dict[str, list[Found]] = {}
    for name in ("day2", "link", "captures", "rivals"):
        paths = [scratch / f"{name}-{seed}.json" for seed in seeds]
        out[name] = [json.loads(p.read_text("utf-8")) for p in paths if p.exists()]
    for name in ("speed", "fuzz"):
        path = scratch / f"{name}.json"
        out[name] = [json.loads(path.read_text("utf-8"))] if path.exists() else []
    anchors = scratch / f"anchors-{seeds[0]}.json"
    if anchors.exists() and out["link"]:
        out["link"][0] |= json.loads(anchors.read_text("utf-8"))
    return out


def day2(found: list[Found]) -> list[Bar]:
    rivals = ("LightGBM", "ExtraTrees", "MLP")
    clean = {r: mean(found, f"{r}: recall") for r in rivals}
    clean["ours on Portmap"] = mean(found, "hardened: recall on Portmap, a label of day 2 alone")
    strong = {r: mean(found, f"{r}: robust") for r in rivals}
    left = found[0]
    strong["trained without the window, all actions"] = left["window left out: robust"]
    strong["trained without the window, the window alone"] = left["window left out: robust to the window"]
    early = "hardened, day 1's threshold"
    first = mean(found, f"{early}: false alarms")
    beside = {"false alarms": first, "robust": mean(found, f"{early}: robust")}
    lines = [
        bar("1", "recall, day 1 to day 2, at 2 % false alarms (oracle)", ">= .995", found, "hardened: recall",
            lambda v: v >= 0.995, clean),
        bar("1", "recall under all actions, strong, 600 queries, at 2 % false alarms (oracle)", ">= .98", found,
            "hardened: robust", lambda v: v >= 0.98, strong),
        bar("1", "recall with the threshold of day 1's 250 benign flows alone", ">= .995 at <= 2 % false alarms", found,
            f"{early}: recall", lambda v: v >= 0.995 and first <= 0.02, beside),
    ]  # fmt: skip
    wide = [f for f in found if f"{HEADLINE}: recall" in f]
    more = [*pooled(wide), *elsewhere(wide)] if wide else []
    few = f" [{len(wide)} of {len(found)} seeds]" if len(wide) < len(found) else ""
    return [*lines, *(replace(b, metric=b.metric + few) for b in more)]


def pooled(found: list[Found]) -> list[Bar]:
    """What else can be known of a threshold on day 1."""
    alarms = mean(found, f"{HEADLINE}: false alarms")
    beside = {"false alarms": alarms, "robust": mean(found, f"{HEADLINE}: robust")}
    for way in ("day 1 alone, 95 % sure", "day 1 and other captures for the threshold alone, 95 % sure",
                "day 1 and other captures, as counted"):  # fmt: skip
        beside |= {f"{way}: {k}": mean(found, f"{way}: {k}") for k in ("recall", "false alarms")}
    beside["oracle's threshold, uniform draws in place of the search: robust"] = mean(
        found, "hardened: robust to uniform draws"
    )
    return [
        bar("1", "recall with a threshold from day 1's and other networks' benign flows, 95 % sure",
            ">= .995 at <= 2 % false alarms", found, f"{HEADLINE}: recall",
            lambda v: v >= 0.995 and alarms <= 0.02, beside),
    ]  # fmt: skip


def elsewhere(found: list[Found]) -> list[Bar]:
    """The record layers on other data sets: the bar's own figures asked of them, with the thresholds of training."""
    alone, both = "elsewhere, day 1 alone: ", "elsewhere, both: "
    kinds = ("SynFlood", "WebDDoS", "generated amplification and slow HTTP")
    recall = [{"r": sum(f[f"{both}recall on {k}"] for k in kinds) / len(kinds)} for f in found]
    spared = {
        "learned from day 1 alone": mean(found, f"{alone}false alarms"),
        "flows": mean(found, "elsewhere: benign flows"),
        "UNSW-NB15's normal records": mean(found, "UNSW, threshold of training: false alarms"),
    }
    beside = {k: mean(found, f"{both}recall on {k}") for k in kinds}
    beside |= {f"{k}, learned from day 1 alone": mean(found, f"{alone}recall on {k}") for k in kinds}
    unsw = {k.removeprefix("UNSW, "): mean(found, k) for k in found[0] if k.startswith("UNSW, ")}
    return [
        bar("1", "another data set: records of tested benign captures flagged", "<= 2 %", found, f"{both}false alarms",
            lambda v: v <= 0.02, spared),
        bar("1", "another data set: recall on records of other tools, mean of three", ">= .995", recall, "r",
            lambda v: v >= 0.995, beside),
        bar("1", "another data set: recall on UNSW-NB15's DoS records, at 2 % of its own normal ones",
            ">= .995", found, "UNSW, threshold at home: recall on DoS", lambda v: v >= 0.995, unsw),
    ]  # fmt: skip


def link(found: list[Found]) -> list[Bar]:
    beside = {
        w: mean(found, f"plain: {w}") for w in ("none", "oracle", "50 packets/s a source", "10 packets/s a source")
    }
    beside |= {f"{n} bots, {w}": mean(found, f"{n} bots: {w}") for n in (1, 200) for w in ("ours", "oracle")}
    beside |= {k: float(found[0][k]) for k in found[0] if k.startswith("all captures")}
    shares = [{"share": f["plain: ours"] / f["plain: oracle"]} for f in found]
    shaped = {w: mean(found, f"worst: {w}") for w in ("none", "oracle", "50 packets/s a source")}
    shaped["shapes tried a seed"] = found[0]["shapes tried"]
    slow = [{"s": max(f["plain: seconds to rules"], f["worst: seconds to rules"])} for f in found]
    blocked = [{"b": max(f["plain: users' packets blocked"], f["worst: users' packets blocked"],
                         f["quiet: users' packets blocked"], f.get("openings: users' packets blocked", 0.0))}
               for f in found]  # fmt: skip
    crowd = {"of the crowd's own packets": mean(found, "crowd: its own packets blocked"),
             "its load over the capacity": mean(found, "crowd: load over capacity")}  # fmt: skip
    worst = {"no attack": mean(found, "quiet: users' packets blocked"),
             "plain flood": mean(found, "plain: users' packets blocked"),
             "worst shape": mean(found, "worst: users' packets blocked")}  # fmt: skip
    return [
        bar("2", "users' goodput, SYN flood of 4,000 bots", ">= .75", found, "plain: ours",
            lambda v: v >= 0.75, beside),
        bar("2", "the same over the oracle filter's", ">= .90", shares, "share", lambda v: v >= 0.9),
        bar("2", "users' goodput, worst shape found through the whole defence", ">= .65", found, "worst: ours",
            lambda v: v >= 0.65, shaped),
        bar("2", "seconds from the attack to rules in force", "<= 3", slow, "s", lambda v: v <= 3),
        bar("2", "users' packets blocked, worst of all trials", "<= 2 %", blocked, "b", lambda v: v <= 0.02, worst),
        bar("2", "users' packets blocked in a flash crowd", "<= 5 %", found, "crowd: users' packets blocked",
            lambda v: v <= 0.05, crowd),
    ]  # fmt: skip


def rivalled(rivals: list[Found], what: str) -> dict[str, float]:
    """What the rivals say of this traffic: of its windows at 1 % of the normal ones, of its flows at 2 %."""
    pairs = (("windows", f"{what}, windows"), ("flows", what))
    return {
        f"{unit}, {r}": sum(f[r][key] for f in rivals) / len(rivals)
        for unit, key in pairs
        for r in rivals[0]
        if all(key in f[r] for f in rivals)
    }


def windows(found: list[Found], rivals: list[Found]) -> list[Bar]:
    out: list[Bar] = []
    for name in ("WebDDoS", "SynFlood"):
        beside = {"in the window itself": mean(found, f"{name}: windows in alarm themselves"),
                  "seconds to the first alarm": mean(found, f"{name}: seconds to the first alarm"),
                  "windows": mean(found, f"{name}: windows")}  # fmt: skip
        beside |= rivalled(rivals, name)
        note = ", later two thirds of the capture" if name == "WebDDoS" else ""
        line = bar("3", f"{name} windows in alarm within 3 s, among benign captures{note}", "all", found,
                   f"{name}: windows in alarm within 3 s", lambda v: v >= 1.0, beside)  # fmt: skip
        out.append(line if name == "WebDDoS" else replace(line, interval=None))  # SynFlood is one window in all seeds
    told = ("benign mirrored: windows in alarm", "benign alone: flows flagged", "benign alone: seconds with any alarm",
            "WebDDoS: benign windows beside in alarm", "benign alone: windows")  # fmt: skip
    beside = {k: mean(found, k) for k in told}
    beside |= rivalled(rivals, "benign")
    out.append(bar("3", "windows of benign destinations in alarm, tested captures", "<= 1 %", found,
                   "benign alone: windows in alarm", lambda v: v <= 0.01, beside))  # fmt: skip
    spared = {"of WebDDoS's own requests after 3 s": mean(found, "WebDDoS: attack packets blocked after 3 s")}
    spared |= {k: mean(found, k) for k in ("SynFlood: packets blocked of those beside",
                                           "benign alone: packets blocked")}  # fmt: skip
    out.append(bar("3", "benign packets that the rules against WebDDoS block", "<= 2 %", found,
                   "WebDDoS: packets blocked of those beside", lambda v: v <= 0.02, spared))  # fmt: skip
    return out


def speed(f: Found) -> list[Bar]:
    peers = {k: f[k] for k in ("dpkt loop", "nfstream", "ours, long") if not math.isnan(f[k])}
    best = max([v for k, v in peers.items() if k != "ours, long"], default=0.0)
    growth = f["memory, long"] / f["memory, short"]
    judged = f["memory with verdicts, long"] / f["memory with verdicts, short"]
    sizes = {k: f[k] for k in f if k.startswith("memory")} | {"packets, long": f["packets, long"]}
    return [
        Bar("4", "packets a second of CPU, pcap to flows", ">= 200,000 and above the peers", f["ours"], None,
            f["ours"] >= 200_000 and f["ours"] > best, peers),
        Bar("4", "peak memory, ten times the capture over once, the larger of reading and judging", "flat: <= 1.1",
            max(growth, judged), None, max(growth, judged) <= 1.1, sizes),
    ]  # fmt: skip


def fuzz(f: Found) -> Bar:
    beside = {k: v for k, v in f.items() if k not in ("crashes",)}
    good = f["crashes"] == 0 and f["lost"] == 0
    name = (
        f"crashes in {f['packets']:,.0f} fuzzed packets and 16 broken files; packets neither read nor counted: 'lost'"
    )
    return Bar("5", name, "0 and 0", f["crashes"], None, good, beside)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--nfstream", default="")
    parser.add_argument("--only", type=int, default=0, choices=range(6))
    parser.add_argument("--kept", action="store_true", help="write what the scratch folder holds by now")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    fallback = Path(tempfile.gettempdir()) / f"sparring-ddos{'-quick' if options.quick else ''}"
    scratch = options.scratch or fallback
    scratch.mkdir(parents=True, exist_ok=True)
    seeds = tuple(range(1 if options.quick else options.seeds))
    cells = (
        kept(seeds, scratch) if options.kept else played(seeds, scratch, options.quick, options.nfstream, options.only)
    )
    if options.only:
        print(json.dumps({k: v for k, v in cells.items() if v}, indent=1))
        return
    data = "CIC-DDoS2019 sample (8,000 flows), SynFlood and WebDDoS captures, headers of 164 benign captures; generated"
    write("ddos", "python benchmarks/ddos.py", data, seeds, bars(cells, len(seeds)), quick=options.quick)


if __name__ == "__main__":
    main()
