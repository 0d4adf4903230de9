# pyright: basic
"""The ddos system's bars from its cells; a bar of several figures has a line for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ddos_day2 import HEADLINE
from ddos_link import HELD_OUT
from form import Bar

from sparring.evaluation.statistics import seed_mean

Found = dict[str, Any]


def over(found: Sequence[Found], key: str, share: bool = True) -> tuple[float, tuple[float, float] | None]:
    """Mean over the seeds and its interval; a share's does not leave [0, 1]."""
    values = [float(f[key]) for f in found]
    if len(values) == 1:
        return values[0], None
    told = seed_mean(values)
    low, high = told.interval
    return told.value, (max(low, 0.0), min(high, 1.0)) if share else (low, high)


def bar(name: str, metric: str, target: str, found: Sequence[Found], key: str, holds: Callable[[float], bool],
        beside: dict[str, float] | None = None, *, share: bool = True) -> Bar:  # fmt: skip
    value, interval = over(found, key, share)
    return Bar(name, metric, target, value, interval, holds(value), beside or {})


def mean(found: Sequence[Found], key: str) -> float:
    return over(found, key)[0]


def bars(cells: dict[str, list[Found]], seeds: int) -> list[Bar]:
    """The bars of the cells that are there."""
    out: list[Bar] = []
    makers: dict[str, Callable[[list[Found]], list[Bar]]] = {
        "day2": day2,
        "link": lambda found: link(found, cells["anchors"]),
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


def day2(found: list[Found]) -> list[Bar]:
    plain = ("LightGBM", "ExtraTrees", "MLP")
    rivals = (*plain, *(f"{name}, hardened" for name in plain))
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


def link(found: list[Found], anchors: list[Found]) -> list[Bar]:
    every = ("none", "oracle", "victim cut off", "50 packets/s a source", "10 packets/s a source")
    beside = {w: mean(found, f"plain: {w}") for w in every}
    beside |= {f"{n} bots, {w}": mean(found, f"{n} bots: {w}") for n in (1, 200) for w in ("ours", "oracle")}
    beside |= {k: float(f[k]) for f in anchors for k in f if k.startswith("all captures: ") and "users" not in k}
    shares = [{"share": f["plain: ours"] / f["plain: oracle"]} for f in found]
    shaped = {w: mean(found, f"worst: {w}") for w in ("none", "oracle", "victim cut off", "50 packets/s a source")}
    shaped["raids tried a seed"] = found[0]["shapes tried"]
    shaped |= {k.removeprefix("tried: "): mean(found, k) for k in found[0]
               if k.startswith("tried: ") and all(k in f for f in found)}  # fmt: skip
    slow = [{"s": max(v for k, v in f.items() if k.endswith(": seconds to rules"))} for f in found]
    late = {k: max(f[k] for f in found) for k in found[0] if k.endswith(": seconds to rules")}
    crowd = {"of the crowd's own packets": mean(found, "crowd: its own packets blocked"),
             "its load over the capacity": mean(found, "crowd: load over capacity")}  # fmt: skip
    return [
        bar("2", "users' goodput, SYN flood of 4,000 bots", ">= .75", found, "plain: ours",
            lambda v: v >= 0.75, beside),
        bar("2", "the same over the oracle filter's", ">= .90", shares, "share", lambda v: v >= 0.9, share=False),
        own(found, "plain", "SYN flood of 4,000 bots"),
        bar("2", "users' goodput, worst raid found through the whole defence (shape, aim, forged addresses)",
            ">= .65", found, "worst: ours",
            lambda v: v >= 0.65, shaped),
        bar("2", "goodput of the victim's own users, the lowest of all raids tried", ">= .65", found,
            "shapes: victim's own users, the lowest", lambda v: v >= 0.65, raids(found)),
        held_out(found),
        bar("2", "seconds until rules stop packets of the attack, the slowest of all trials", "<= 3", slow, "s",
            lambda v: v <= 3, late, share=False),
        blocked(found),
        bar("2", "users' packets blocked in a flash crowd", "<= 5 %", found, "crowd: users' packets blocked",
            lambda v: v <= 0.05, crowd),
    ]  # fmt: skip


def raids(found: list[Found]) -> dict[str, float]:
    """Goodput of the victim's own users under each raid that every seed tried."""
    start = "tried, own users: "
    same = [k for k in found[0] if k.startswith(start) and all(k in f for f in found)]
    return {k.removeprefix(start): mean(found, k) for k in same}


def own(found: list[Found], name: str, words: str) -> Bar:
    """How those fare whom the victim serves: a mitigation that cuts it off leaves them nothing."""
    key, every = f"{name}, victim's own users: ", ("none", "oracle", "victim cut off", "50 packets/s a source")
    beside = {w: mean(found, key + w) for w in every}
    share = [{"s": f[f"{key}ours"] / max(f[f"{key}oracle"], 1e-9)} for f in found]
    metric = f"goodput of the victim's own users over the oracle filter's, {words}"
    return bar("2", metric, ">= .90", share, "s", lambda v: v >= 0.9,
               {"goodput": mean(found, f"{key}ours"), **beside}, share=False)  # fmt: skip


def held_out(found: list[Found]) -> Bar:
    """Botnets that no search and no training knew; the lowest goodput of each seed."""
    low = [{"g": min(f[f"{name}: ours"] for name in HELD_OUT)} for f in found]
    beside: dict[str, float] = {}
    for name in HELD_OUT:
        beside |= {f"{name}, {w}": mean(found, f"{name}: {w}") for w in ("ours", "none", "oracle", "victim cut off")}
        beside[f"{name}, victim's own users"] = mean(found, f"{name}, victim's own users: ours")
    return bar("2", "users' goodput, held-out botnets: HTTP flood, replay of users' conversations, the lowest",
               ">= .65", low, "g", lambda v: v >= 0.65, beside)  # fmt: skip


def blocked(found: list[Found]) -> Bar:
    """The largest share of users' packets that rules blocked in any of a seed's trials without a crowd."""
    trials = ("no attack", "plain", "1 bots", "200 bots", "worst", "shapes", *HELD_OUT)
    most = [{"b": max(f[f"{name}: users' packets blocked"] for name in trials)} for f in found]
    beside = {name: mean(found, f"{name}: users' packets blocked") for name in trials}
    return bar("2", "users' packets blocked while attacked, worst of all trials, every raid that was tried", "<= 2 %",
               most, "b", lambda v: v <= 0.02, beside)  # fmt: skip


def rivalled(rivals: list[Found], what: str) -> dict[str, float]:
    """What the rivals say of this traffic: of its windows at 1 % of the normal ones, of its flows at 2 %."""
    units = ("windows", "windows themselves", "flows")
    return {
        f"{unit}, {r}": mean([f[r] for f in rivals], f"{what}, {unit}")
        for unit in units
        for r in (rivals[0] if rivals else ())
        if f"{what}, {unit}" in rivals[0][r]
    }


def windows(found: list[Found], rivals: list[Found]) -> list[Bar]:
    out: list[Bar] = []
    for name in ("WebDDoS", "SynFlood"):
        count = mean(found, f"{name}: windows")
        beside = {"windows themselves": mean(found, f"{name}: windows in alarm themselves"),
                  "seconds to the first alarm": mean(found, f"{name}: seconds to the first alarm"),
                  "number of windows": count}  # fmt: skip
        beside |= rivalled(rivals, name)
        note = ", later two thirds of the capture" if name == "WebDDoS" else ""
        note += " (rests on one window)" if count == 1 else ""
        line = bar("3", f"{name} windows in alarm within 3 s, among benign captures{note}", "all", found,
                   f"{name}: windows in alarm within 3 s", lambda v: v >= 1.0, beside)  # fmt: skip
        out.append(replace(line, interval=None) if count == 1 else line)
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
