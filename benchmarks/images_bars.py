# pyright: basic
"""From the images benchmark's cells to its bars; every cell is one seed on one set of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from form import Bar

from sparring.evaluation.statistics import seed_mean

Found = dict[str, Any]
QUICK_SECONDS = 600.0


def bars(cells: Sequence[Found]) -> list[Bar]:
    """All bars, set by set. A claim over seeds has an interval from two seeds on; with one seed it has none."""
    out: list[Bar] = []
    for name in dict.fromkeys(str(c["data"]) for c in cells):
        found = [c for c in cells if c["data"] == name]
        out += [*_distilled(name, found), *_refined(name, found), *_cost(name, found), *_rewarded(name, found)]
    return out


def _distilled(name: str, found: Sequence[Found]) -> list[Bar]:
    def raw_best(c: Found) -> float:
        return min(m["raw"] for m in c["models"].values())

    return [
        _bar(f"1 {name}", "rFID / best generator's raw FID", 0.5, found, lambda c: c["floors"]["rFID"] / raw_best(c),
             beside={"rFID": lambda c: c["floors"]["rFID"], "real to real": lambda c: c["floors"]["real to real"],
                     "judge accuracy": lambda c: c["judge"]}),
        _bar(f"1 {name}", "latent FID, teacher's most steps / its one step", 0.1, found,
             lambda c: _m(c, many(c))["latent"] / _m(c, ONE)["latent"],
             beside={"one step": lambda c: _m(c, ONE)["latent"], "most steps": lambda c: _m(c, many(c))["latent"]}),
        _bar(f"2 {name}", "latent FID, Di[M]O / teacher's one step", 0.25, found,
             lambda c: _m(c, D)["latent"] / _m(c, ONE)["latent"], beside={"Di[M]O": lambda c: _m(c, D)["latent"]}),
        _bar(f"2 {name}", "latent FID, Di[M]O / teacher's two steps", 1.0, found,
             lambda c: _m(c, D)["latent"] / _m(c, "teacher, 2 steps")["latent"]),
        _bar(f"2 {name}", "latent FID, Di[M]O / teacher's most steps", 1.1, found,
             lambda c: _m(c, D)["latent"] / _m(c, many(c))["latent"]),
        _bar(f"2 {name}", "coverage, Di[M]O / teacher's most steps", 0.9, found,
             lambda c: _ratio(c, D, many(c), "coverage"), least=True),
    ]  # fmt: skip


def _refined(name: str, found: Sequence[Found]) -> list[Bar]:
    out = [
        _bar(f"3 {name}", "latent FID, Soft-Di[M]O / Di[M]O continued at equal CPU", 0.75, found,
             lambda c: _ratio(c, S, C, "latent"),
             beside={"Soft-Di[M]O": lambda c: _m(c, S)["latent"], "Di[M]O continued": lambda c: _m(c, C)["latent"]}),
        _bar(f"4 {name}", "latent FID, Soft-Di[M]O / teacher's most steps", 1.0, found,
             lambda c: _m(c, S)["latent"] / _m(c, many(c))["latent"]),
        _bar(f"4 {name}", "latent FID, Soft-Di[M]O / best teacher (stretch)", 1.0, found,
             lambda c: _m(c, S)["latent"] / min(m["latent"] for n, m in c["models"].items() if n[:7] == "teacher")),
        _bar(f"5 {name}", "latent FID, Gumbel / soft embeddings", 1.0, found,
             lambda c: _ratio(c, "gumbel", S, "latent"), least=True),
        _bar(f"5 {name}", "latent FID, critic alone / Soft-Di[M]O", 1.0, found,
             lambda c: _ratio(c, "gan-only", S, "latent"), least=True,
             beside={"coverage of critic alone": lambda c: _m(c, "gan-only")["coverage"]}),
        _bar(f"5 {name}", "latent FID, Di[M]O continued / Di[M]O, away from 1", 0.05, found,
             lambda c: abs(_ratio(c, C, D, "latent") - 1)),
    ]  # fmt: skip
    for which in ("recall", "coverage"):
        out.append(_bar(f"3 {name}", f"{which}, Soft-Di[M]O / Di[M]O continued", 1.0, found,
                        lambda c, w=which: _ratio(c, S, C, w), least=True))  # fmt: skip
        out.append(_bar(f"4 {name}", f"{which}, Soft-Di[M]O / teacher's most steps", 0.98, found,
                        lambda c, w=which: _ratio(c, S, many(c), w), least=True))  # fmt: skip
    return sorted(out, key=lambda b: b.bar)


def _cost(name: str, found: Sequence[Found]) -> list[Bar]:
    def total(c: Found) -> float:
        return sum(c["seconds"][k] for k in ("teacher", "distilled", "refined"))

    return [
        _bar(f"6 {name}", "CPU a picture, teacher's most steps / Soft-Di[M]O, decoder included", 12.0, found,
             lambda c: _ratio(c, many(c), S, "ms"), least=True,
             beside={"Soft-Di[M]O ms": lambda c: _m(c, S)["ms"], "teacher ms": lambda c: _m(c, many(c))["ms"]}),
        _bar(f"8 {name}", "CPU-hours, teacher to Soft-Di[M]O", 3.0, found, lambda c: total(c) / 3600),
    ]  # fmt: skip


def _rewarded(name: str, found: Sequence[Found]) -> list[Bar]:
    which = "new" if found[0]["tuned"]["new"] is not None else "accuracy"
    where = "new combinations, exact verifier" if which == "new" else "held-out judge"
    start = lambda c: c["models"]["hardened"]  # noqa: E731

    def kept(c: Found, model: str) -> float:
        gain = c[model]["reward"] - c["untuned"]["reward"]
        return (c[model]["accuracy"] - start(c)["accuracy"]) / gain if gain > 0 else 0.0

    def sound(c: Found, model: str) -> bool:
        near = min(c[model][k] / start(c)[k] for k in ("coverage", "recall"))
        return kept(c, model) >= 0.5 and near >= 0.97

    at = "at test time"
    return [
        _bar(f"7 {name}", f"accuracy ({where}), Soft-Di[M]O + reward - teacher's most steps", 0.05, found,
             lambda c: c["tuned"][which] - _m(c, many(c))[which], least=True,
             beside={"tuned": lambda c: c["tuned"][which], "before": lambda c: start(c)[which],
                     "teacher": lambda c: _m(c, many(c))[which], "possible": lambda c: c["reconstructed"]}),
        _bar(f"7 {name}", "coverage and recall kept by reward tuning, the lesser", 0.97, found,
             lambda c: min(c["tuned"][k] / start(c)[k] for k in ("coverage", "recall")), least=True),
        _bar(f"7 {name}", "share of the reward's gain that the held-out judge confirms", 0.5, found,
             lambda c: kept(c, "tuned"), least=True,
             beside={"reward only": lambda c: kept(c, "reward-only")}),
        _bar(f"7 {name}", "the audit flags reward-only", 1.0, found,
             lambda c: float(not sound(c, "reward-only")), least=True,
             beside={"coverage of reward only": lambda c: c["reward-only"]["coverage"]}),
        _bar(f"7 {name}", "accuracy, two steps at test time - best of n at equal CPU", -0.02, found,
             lambda c: c[at]["ascent"]["accuracy"] - c[at]["best of n"]["accuracy"], least=True,
             beside={"n": lambda c: c[at]["n"], "one step": lambda c: c[at]["one"]["accuracy"]}),
        _bar(f"7 {name}", "recall, two steps at test time / best of n", 1.3, found,
             lambda c: c[at]["ascent"]["recall"] / max(c[at]["best of n"]["recall"], 1e-9), least=True),
    ]  # fmt: skip


D, S, C, ONE = "baseline", "hardened", "Di[M]O continued", "teacher, 1 step"


def many(cell: Found) -> str:
    """The teacher of the most steps: 16, or one for each position where there are fewer."""
    return max((n for n in cell["models"] if n.startswith("teacher")), key=lambda n: int(n.split()[1]))


def _m(cell: Found, name: str) -> Found:
    return cell["models"][name]


def _ratio(cell: Found, first: str, second: str, which: str) -> float:
    return float(_m(cell, first)[which]) / max(float(_m(cell, second)[which]), 1e-12)


def _bar(
    bar: str, metric: str, target: float, found: Sequence[Found], figure: Callable[[Found], float], *,
    least: bool = False, beside: dict[str, Callable[[Found], float]] | None = None,
) -> Bar:  # fmt: skip
    values = [float(figure(c)) for c in found]
    mean, interval = sum(values) / len(values), None
    if len(values) > 1:
        interval = seed_mean(values).interval
    return Bar(
        bar, metric, f"{'>=' if least else '<='} {target:g}", mean, interval,
        mean >= target if least else mean <= target,
        {k: sum(float(f(c)) for c in found) / len(found) for k, f in (beside or {}).items()},
    )  # fmt: skip
