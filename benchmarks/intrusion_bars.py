"""The eight bars of `intrusion.py` from the figures of its jobs, with their 95 % intervals."""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from form import Bar

from sparring.evaluation.statistics import Interval, paired_difference, seed_mean, seeds_and_samples, wilson

Found = Mapping[str, Any]
"""`question/of/seed` to what the job found."""

NSL, UNSW = "nsl-kdd", "unsw-nb15"
ORACLE = "at 3 % false alarms on the test normals (an oracle threshold)"
SETTABLE = "at the threshold from training rows"


def bars(
    found: Found, seeds: Sequence[int], rates: Mapping[str, float], seconds: float, generator: np.random.Generator
) -> list[Bar]:
    """All rows of the table."""
    return [
        *clean_nsl(found, seeds),
        *free_box(found, seeds),
        *groups(found, seeds, generator),
        *unsw(found, seeds),
        *left_out(found, seeds),
        *against_art(found, seeds),
        *ablation(found, seeds, NSL),
        *ablation(found, seeds, UNSW),
        *quickness(rates, seconds),
    ]


def at_least(bar: str, metric: str, goal: float, value: float, interval: Interval | None, **beside: float) -> Bar:
    return Bar(bar, metric, f">= {goal:g}", value, interval, value >= goal, beside)


def over_seeds(figures: Sequence[float]) -> tuple[float, Interval | None]:
    """Mean of one figure per seed; no interval for a single seed."""
    if len(figures) < 2:
        return figures[0], None
    found = seed_mean(figures)
    return found.value, found.interval


def of_outcomes(outcomes: Sequence[Sequence[bool]], *, crossed: bool) -> tuple[float, Interval]:
    """Mean of 0/1 outcomes, a list per seed; `crossed` if all seeds played the same rows."""
    value = plain.fmean(plain.fmean(one) for one in outcomes)
    if len(outcomes) > 1 and crossed:
        return value, seeds_and_samples(outcomes).interval
    pooled = [o for one in outcomes for o in one]
    low, high = wilson(sum(pooled), len(pooled))
    if len(outcomes) > 1:  # other rows for each seed: the wider of what seeds and what samples say
        between = seed_mean([plain.fmean(one) for one in outcomes]).interval
        low, high = max(0.0, min(low, between[0])), min(1.0, max(high, between[1]))
    return value, (low, high)


def _each(found: Found, question: str, of: str, seeds: Sequence[int]) -> list[Any]:
    return [found[f"{question}/{of}/{seed}"] for seed in seeds]


def _share(parts: Sequence[Any], *keys: str) -> float:
    """Mean over seeds of the mean of the outcomes under these keys."""
    total = []
    for part in parts:
        for key in keys:
            part = part[key]
        total.append(plain.fmean(part) if isinstance(part, list) else part)
    return plain.fmean(total)


def clean_nsl(found: Found, seeds: Sequence[int]) -> list[Bar]:
    jobs = _each(found, "train", NSL, seeds)
    names = ("undefended stack", "LightGBM", "adversarially trained stack", "published two layers")

    def row(key: str, words: str, goal: float, below: bool = False) -> Bar:
        value, interval = over_seeds([j["default"][key] for j in jobs])
        beside = {n: _share(jobs, n, key) for n in names}
        if key != "auc":
            beside["LightGBM at .5"] = _share(jobs, "LightGBM at .5", key)
            beside["default, 3 % of training normals"] = _share(jobs, "default at 3 %", key)
        target, holds = (f"<= {goal:g}", value <= goal) if below else (f">= {goal:g}", value >= goal)
        return Bar("1 NSL-KDD clean", words, target, value, interval, holds, beside)

    return [
        row("accuracy", f"accuracy {SETTABLE}", 0.87),
        row("fpr", f"false alarms on the test normals {SETTABLE}", 0.08, below=True),
        row("auc", "AUC", 0.965),
    ]


def free_box(found: Found, seeds: Sequence[int]) -> list[Bar]:
    jobs, clean = _each(found, "box", NSL, seeds), _each(found, "train", NSL, seeds)
    others = _each(found, "beside", NSL, seeds)
    beside = {f"{name}, {key}": _share(others, name, key) for name in others[0] for key in ("clean", "worst")}
    beside |= {f"by {foe}": _share(jobs, "matched", foe) for foe in ("search", "decision", "transfer", "certified")}
    beside |= {f"{SETTABLE}, {key}": _share(jobs, "own", key) for key in ("clean", "search")}
    value, interval = of_outcomes([j["matched"]["worst"] for j in jobs], crossed=True)
    bar, words = "2 NSL-KDD, free box (TM-B)", "recall, worst of search, decision and transfer,"
    robust = at_least(bar, f"{words} {ORACLE}", 0.72, value, interval, **beside)
    value, interval = over_seeds([c["default"]["matched recall"] for c in clean])
    names = ("undefended stack", "LightGBM", "adversarially trained stack", "published two layers")
    beside = {n: _share(clean, n, "matched recall") for n in names}
    beside[SETTABLE] = _share(clean, "default", "recall")
    return [robust, at_least(bar, f"clean recall {ORACLE}", 0.74, value, interval, **beside)]


def groups(found: Found, seeds: Sequence[int], generator: np.random.Generator) -> list[Bar]:
    jobs = [j["rows"] for j in _each(found, "groups", NSL, seeds)]
    beside = {name: _share(jobs, name) for name in jobs[0] if name != "default"}
    value, interval = of_outcomes([j["default"] for j in jobs], crossed=True)
    bar = "3 NSL-KDD, functional groups (TM-A, .3)"
    rows = [at_least(bar, f"recall under search {ORACLE}", 0.62, value, interval, **beside)]
    pairs = np.array([j["paired"] for j in _each(found, "train", NSL, seeds)], dtype=float).mean(0)
    found_ = paired_difference(pairs[0], pairs[1], generator=generator)
    beside = {"undefended stack": float(pairs[0].mean()), "default": float(pairs[1].mean())}
    words = f"clean recall above the undefended stack's {ORACLE}"
    return [*rows, at_least(bar, words, 0, found_.value, found_.interval, **beside)]


def unsw(found: Found, seeds: Sequence[int]) -> list[Bar]:
    clean, jobs = _each(found, "train", UNSW, seeds), _each(found, "actions", UNSW, seeds)
    names, bar = ("undefended stack", "LightGBM"), "4 UNSW-NB15"
    value, interval = over_seeds([c["default"]["matched accuracy"] for c in clean])
    beside = {n: _share(clean, n, "matched accuracy") for n in names}
    beside |= {f"{SETTABLE}, {key}": _share(clean, "default", key) for key in ("accuracy", "fpr")}
    rows = [at_least(bar, f"accuracy {ORACLE}", 0.955, value, interval, **beside)]
    value, interval = of_outcomes([j["default"]["worst"] for j in jobs], crossed=False)
    beside = {f"{n}, {key}": _share(jobs, n, key) for n in names for key in ("clean", "worst")}
    beside |= {f"default, {key}": _share(jobs, "default", key) for key in ("clean", "search", "transfer", "certified")}
    words = f"recall, every action at full strength, TTL free (trained on pad, stretch, dummies, box .1), {ORACLE}"
    rows.append(at_least(bar, words, 0.92, value, interval, **beside))
    boxes = _each(found, "box", UNSW, seeds)
    value, interval = of_outcomes([j["matched"]["worst"] for j in boxes], crossed=False)
    beside = {key: _share(boxes, "matched", key) for key in ("clean", "search", "decision", "transfer", "certified")}
    beside |= {f"{SETTABLE}, {key}": _share(boxes, "own", key) for key in ("clean", "search")}
    words = f"recall under the free box (TM-B), worst of search, decision and transfer, {ORACLE}"
    return [*rows, at_least(bar, words, 0.92, value, interval, **beside)]


def left_out(found: Found, seeds: Sequence[int]) -> list[Bar]:
    names = sorted({key.split("/")[1] for key in found if key.startswith("left-out/")})
    rows = []
    for attack, words in (("alone", "that action alone"), ("all", "all actions")):
        per = {n: [j[attack] for j in _each(found, "left-out", n, seeds)] for n in names}
        worst = min(names, key=lambda n: plain.fmean(plain.fmean(o) for o in per[n]))
        value, interval = of_outcomes(per[worst], crossed=False)
        beside = {n: plain.fmean(plain.fmean(o) for o in per[n]) for n in names}
        metric = f"recall under {words}, worst action left out of training ({worst}), {ORACLE}"
        rows.append(at_least("5 UNSW-NB15, an action left out", metric, 0.8, value, interval, **beside))
    return rows


def against_art(found: Found, seeds: Sequence[int]) -> list[Bar]:
    rows = []
    for name, (art, ours, n, *asked) in found[f"art/{UNSW}/{seeds[0]}"].items():
        beside = {"ART": art, "rows": float(n)} | ({"queries a row": float(asked[0])} if asked else {})
        words, target = f"robust accuracy left by ours beside ART's {name}", f"<= ART's + 0.01, {art + 0.01:.4g}"
        interval = wilson(round(ours * n), n)
        rows.append(Bar("6 attacks", words, target, ours, interval, ours <= art + 0.01 + 1e-9, beside))
    return rows


def ablation(found: Found, seeds: Sequence[int], data: str) -> list[Bar]:
    jobs, rows = _each(found, "ablation", data, seeds), []
    threat = "the free box" if data == NSL else "every action"
    for at, words in (("matched", ORACLE), ("own", SETTABLE)):
        cells = {name: _share(jobs, name, at) for name in jobs[0]}
        base = cells["default"]
        gains = {n.removeprefix("without "): base - v for n, v in cells.items() if n.startswith("without ")}
        extra = {n.removeprefix("with "): v - base for n, v in cells.items() if n.startswith("with ")}
        least = min(gains, key=lambda n: gains[n]) if gains else None
        value = gains[least] if least else base
        interval = None
        if least:
            interval = _paired([(j[f"without {least}"][at], j["default"][at]) for j in jobs])
        spare = all(
            gain <= 0 or _paired([(j["default"][at], j[f"with {n}"][at]) for j in jobs])[0] <= 0
            for n, gain in extra.items()
        )
        beside = {f"recall, {n}": v for n, v in cells.items()} | {
            f"gain of leaving in {n}": v for n, v in extra.items()
        }
        beside |= {f"false alarms, {n}": _share(jobs, n, "fpr") for n in jobs[0]} if at == "own" else {}
        what = f"gain in recall under {threat} by the default's least layer ({least}), {words}"
        what = what if least else f"recall under {threat} of the default's only layer, {words}"
        target = "> 0, and no layer left out would gain more than its interval"
        rows.append(Bar(f"7 ablation, {data}", what, target, value, interval, value > 0 and spare, beside))
    return rows


def _paired(pairs: Sequence[tuple[Sequence[bool], Sequence[bool]]]) -> Interval:
    """Interval of the mean difference, the samples of all seeds pooled."""
    first, second = ([x for pair in pairs for x in pair[i]] for i in (0, 1))
    return paired_difference(first, second, generator=np.random.default_rng(0)).interval


def quickness(rates: Mapping[str, float], seconds: float) -> list[Bar]:
    slowest = min(rates.values())
    return [
        at_least(
            "8 speed", "flows scored a second on one core, slower default detector", 20_000, slowest, None, **rates
        ),
        Bar("8 speed", "wall-clock seconds of `sparring run intrusion`", "<= 180", seconds, None, seconds <= 180, {}),
    ]
