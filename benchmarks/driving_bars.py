"""The driving system's bars from judged defenders: every figure beside the three other trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from driving_cells import Seed
from form import Bar
from numpy.typing import NDArray
from torch import Tensor

from sparring.evaluation.statistics import bootstrap
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import Learning
from sparring.systems.driving.arena import Judged
from sparring.systems.driving.attacks import BUDGETS
from sparring.systems.driving.certificate import bound, violations
from sparring.systems.driving.response import allowed, prior
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.training import METHODS
from sparring.typed import from_numpy, step

RADIUS = 0.5
FRESH = "fresh best response"
CEM = tuple(f"CEM {accel:g}" for accel, _ in BUDGETS)
DRAWS = 1000
"""Of every bootstrap."""
Found = Mapping[int, Seed]


Figure = Callable[[Judged, Tensor], float]
"""A figure of a judged defender over some scenes, by their indices."""


def mean(values: Sequence[float]) -> float:
    """The mean over seeds."""
    return float(np.mean(values))


def of(what: str, attacker: str) -> Figure:
    """The mean of "ret" or "crash" under an attacker."""
    return lambda j, rows: float(getattr(j, what)[attacker][rows].double().mean())


def avoidable(attacker: str) -> Figure:
    """Crashes with the attacker among those of its attacks that could be escaped."""

    def share(j: Judged, rows: Tensor) -> float:
        escaped = j.escape[attacker][rows].double()
        return float((j.crash[attacker][rows].double() * escaped).sum() / escaped.sum().clamp_min(1))

    return share


def averaged(parts: Sequence[Figure]) -> Figure:
    """The mean of several figures."""
    return lambda j, rows: mean([p(j, rows) for p in parts])


def every(judged: Judged) -> Tensor:
    """The indices of all scenes."""
    return torch.arange(len(judged.table))


def over_seeds(found: Found, figure: Figure) -> dict[str, float]:
    """A figure of every training, mean over seeds."""
    return {m: mean([figure(s.judged[m], every(s.judged[m])) for s in found.values()]) for m in METHODS}


def compared(
    first: Sequence[Judged], second: Sequence[Judged], figure: Figure, *, ratio: bool
) -> tuple[float, tuple[float, float]]:
    """`second` over `first` (or less it), means over seeds, with its 95 % interval: a bootstrap that draws seeds anew
    and scenes anew, the same ones for both."""

    def told(seeds: Sequence[int], rows: Tensor) -> float:
        a, b = (mean([figure(side[i], rows) for i in seeds]) for side in (first, second))
        return b / max(a, 1e-9) if ratio else b - a

    count, n, random = len(first), len(first[0].table), np.random.default_rng(0)
    value = told(range(count), every(first[0]))
    draws = [told(list(random.integers(0, count, count)), from_numpy(random.integers(0, n, n))) for _ in range(DRAWS)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return value, (min(float(low), value), max(float(high), value))


def hardened(
    found: Found, figure: Figure, *, rival: str = "none", ratio: bool = True
) -> tuple[float, tuple[float, float]]:
    """ADV-0's figure beside a rival's."""
    return compared([s.judged[rival] for s in found.values()], [s.judged["adv0"] for s in found.values()], figure,
                    ratio=ratio)  # fmt: skip


def attackers(found: Found, scenes: Scenes) -> list[Bar]:
    """Bar 2: how much of the distance to the Gibbs law the fresh attacker removes on scenes it never saw."""
    rows: list[Bar] = []
    reference = prior(scenes).clamp_min(-60)
    for model, least in (("none", 0.75), ("adv0", 0.60)):
        shares: list[float] = []
        for s in found.values():
            j = s.judged[model]
            target = gibbs(prior(scenes), -j.table, 4.0)
            shares.append(1 - _kl(j.law.clamp_min(-60), target) / _kl(reference, target))
        name = "undefended" if model == "none" else "hardened"
        rows.append(Bar("2 attacker", f"share of KL(prior, Gibbs) removed on unseen scenes, {name} policy",
                        f">= {least}", mean(shares), _spread(shares), mean(shares) >= least))  # fmt: skip
    return rows


def tabular(found: Found, scenes: Scenes, steps: int = 400) -> Bar:
    """Bar 2: with a free number per scene and candidate the preferences' fixed point is the Gibbs law itself."""
    temperature = 4.0
    rule, ret = Learning(temperature=temperature).preference(), next(iter(found.values())).judged["none"].table
    utility = torch.where(allowed(scenes), -ret, -torch.inf)
    free = torch.zeros_like(ret).requires_grad_()
    optimizer = torch.optim.Adam([free], 0.3)
    for i in range(steps):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - i / steps)
        optimizer.zero_grad()
        torch.autograd.backward(rule(scenes.log_prior + free, scenes.log_prior, utility).mean())
        step(optimizer)
    reference = prior(scenes)
    target = gibbs(reference, -ret, temperature)
    left = _kl((reference + free.detach()).log_softmax(1).clamp_min(-60), target)
    beside = {"KL of the prior": _kl(reference.clamp_min(-60), target)}
    metric = "tabular preferences: KL to the exact Gibbs law, nats"
    return Bar("2 attacker", metric, "<= 0.01", left, None, left <= 0.01, beside)


def value(found: Found) -> list[Bar]:
    """Bar 3: the game's value under a fresh best response, and what it costs."""
    returns = over_seeds(found, of("ret", FRESH))
    rival = max(("none", "rule", "cat"), key=returns.__getitem__)
    gain, sure = hardened(found, of("ret", FRESH), rival=rival, ratio=False)
    share, within = hardened(found, of("crash", FRESH))
    done = over_seeds(found, lambda j, rows: float(j.clean["completion"][rows].mean()))
    pace = over_seeds(found, lambda j, rows: float(j.clean["speed"][rows].mean()))
    slower, around = hardened(found, lambda j, rows: float(j.clean["speed"][rows].mean()))
    clean = {f"clean return {m}": v for m, v in over_seeds(found, of("ret", "logged")).items()}
    exact, exactly = hardened(found, of("ret", "exact Gibbs"), rival=rival, ratio=False)
    return [
        Bar("3 game value", f"mean return under a fresh best response, ADV-0 less the best rival ({rival})",
            ">= 2.0, interval excludes 0", gain, sure, gain >= 2 and sure[0] > 0, returns),
        Bar("3 game value", f"mean return under the exact Gibbs law (τ = 4), ADV-0 less {rival}", "none set", exact,
            exactly, True, over_seeds(found, of("ret", "exact Gibbs"))),
        Bar("3 crashes", "crashes under a fresh best response, over the unhardened policy's", "<= 0.35", share, within,
            share <= 0.35, over_seeds(found, of("crash", FRESH))),
        Bar("3 cost", "clean route completion of ADV-0", ">= 0.95", done["adv0"], None, done["adv0"] >= 0.95,
            done | clean),
        Bar("3 cost", "clean mean speed of ADV-0 over the unhardened policy's", "within 0.97 to 1.03", slower, around,
            abs(slower - 1) <= 0.03, pace),
    ]  # fmt: skip


def cost(found: Found) -> list[Bar]:
    """Bars 3 and 7: nobody had more CPU time than another, and how much it was in all."""
    seconds = {m: mean([s.seconds[m] for s in found.values()]) for m in ("start", *METHODS)}
    rivals = [seconds[m] for m in METHODS if m != "adv0"]
    share = seconds["adv0"] / mean(rivals)
    spent = {f"{k}, all seeds": sum(s.spent[k] for s in found.values()) / 60 for k in next(iter(found.values())).spent}
    comparison = sum(spent.values()) * 3 / len(found)
    return [
        Bar("3 equal cost", "CPU time of ADV-0's training over its rivals' mean", "<= 1.05", share, None, share <= 1.05,
            {f"CPU s {m}": v for m, v in seconds.items()}),
        Bar("7 time",
            f"the comparison, 4 methods × 3 seeds with every attacker, CPU minutes ({len(found)} measured)", "<= 30",
            comparison, None, comparison <= 30, spent),
    ]  # fmt: skip


def held_out(found: Found) -> list[Bar]:
    """Bar 3b: attackers that no training met, over avoidable scenes and over all."""
    rows: list[Bar] = []
    for told, escapable, everywhere, most in (
        ("budgeted search: area under crashes against budget", averaged([avoidable(k) for k in CEM]),
         averaged([of("crash", k) for k in CEM]), 0.60),
        ("reactive pursuit: crashes", avoidable("pursuit"), of("crash", "pursuit"), 0.65),
    ):  # fmt: skip
        for where, figure in (("avoidable scenes", escapable), ("all scenes", everywhere)):
            share, sure = hardened(found, figure)
            rows.append(Bar("3b held out", f"{told} over the unhardened policy's, {where}", f"<= {most:.2f}", share,
                            sure, share <= most, over_seeds(found, figure)))  # fmt: skip
    if all(s.king for s in found.values()):
        final, before = ({m: mean([mean(s.king[m][i]) for s in found.values()]) for m in METHODS} for i in (1, 0))
        share, sure = _paired([(s.king["none"][1], s.king["adv0"][1]) for s in found.values()])
        beside = final | {f"before the attack {m}": v for m, v in before.items()}
        rows.append(Bar("3b held out", "KING's scenes as attacked: crashes over the unhardened policy's", "<= 0.70",
                        share, sure, share <= 0.7, beside))  # fmt: skip
    if all(s.ngsim for s in found.values()):
        both = [[s.ngsim[m] for s in found.values()] for m in ("none", "adv0")]
        share, sure = compared(both[0], both[1], of("crash", FRESH), ratio=True)
        beside = {f"{told} {m}": mean([of(what, FRESH)(j, every(j)) for j in side])
                  for what, told in (("crash", "crashes"), ("ret", "return"))
                  for m, side in zip(("none", "adv0"), both, strict=True)}  # fmt: skip
        rows.append(Bar("3b other roads", "NGSIM's Lankershim and Peachtree, trained on US-101: crashes under a fresh "
                        "best response over the unhardened policy's", "<= 0.53 (1.5 × bar 3)", share, sure,
                        share <= 0.53, beside))  # fmt: skip
    return rows


def causes(found: Found) -> list[Bar]:
    """Who causes the ends of clean and of attacked episodes; no bar, but no crash rate is told without it."""
    rows: list[Bar] = []
    for attacker in ("logged", FRESH):
        beside: dict[str, float] = {}
        for m in METHODS:
            parts = torch.stack([s.judged[m].cause[attacker].double().mean(0) for s in found.values()]).mean(0)
            for name, share in zip(("attacker", "third party", "rear-ended", "off the road"), parts[1:], strict=True):
                beside[f"{m} {name}"] = float(share)
        early = sum(v for k, v in beside.items() if k.startswith("adv0"))
        rows.append(Bar("causes", f"early ends by cause, attacker: {attacker}; ADV-0 in all", "none set", early, None,
                        True, beside))  # fmt: skip
    return rows


def equilibrium(found: Found) -> list[Bar]:
    """Bar 4: does exploitability fall, and is there anything left to gain against the frozen attacker?"""
    first, last = (mean([s.exploit[i] for s in found.values()]) for i in (0, -1))
    more = [s.further for s in found.values()]
    beside = {f"epoch {i + 1}": mean(x) for i, x in enumerate(zip(*(s.exploit for s in found.values()), strict=True))}
    return [
        Bar("4 exploitability", "return that a fresh best response takes from the present one, last epoch less first",
            "< 0", last - first, None, last < first, beside),
        Bar("4 exploitability", "gain of 20 further defender iterations against the frozen attacker, return", "<= 1.0",
            mean(more), _spread(more), mean(more) <= 1),
    ]  # fmt: skip


def certificates(found: Found, scenes: Scenes) -> list[Bar]:
    """Bar 5: the bound never fails inside its ball, and hardening raises it."""
    reference = prior(scenes)
    tried = broken = 0
    for s in found.values():
        for j in s.judged.values():
            laws = {"best response": j.law} | {f"Gibbs {t:g}": gibbs(reference, -j.table, t) for t in (1, 4, 16, 64)}
            count = violations(reference, j.table, laws, (0.1, 0.5, 1.0, 2.0))
            tried, broken = tried + count["tried"], broken + count["broken"]

    def certified(j: Judged, rows: Tensor) -> float:
        return bound(reference[rows], j.table[rows], RADIUS).value

    gain, within = hardened(found, certified, ratio=False)
    floor = over_seeds(found, certified)
    sure = {
        f"95 % {m}": v for m, v in over_seeds(found, lambda j, _: bound(reference, j.table, RADIUS).certified).items()
    }
    return [
        Bar("5 certificate", "laws inside a ball that fall below its bound", "0", broken, None, broken == 0,
            {"laws tried": tried}),
        Bar("5 certificate", f"bound at KL radius {RADIUS}, ADV-0 less the unhardened policy's", ">= 0.5", gain,
            within, gain >= 0.5, floor | sure),
    ]  # fmt: skip


def planner(found: Found) -> list[Bar]:
    """Bar 6: the same harness around the planner."""
    rows: list[Bar] = []
    for attack in next(iter(found.values())).planner["none"]:
        pairs = [(s.planner["none"][attack], s.planner["adv0"][attack]) for s in found.values()]
        left, (low, high) = _paired(pairs)
        beside = {"plain": mean([mean(a) for a, _ in pairs]), "tuned": mean([mean(b) for _, b in pairs])}
        rows.append(Bar("6 planner", f"fall of the tuned planner's crashes, {attack}", ">= 0.20", 1 - left,
                        (1 - high, 1 - low), left <= 0.8, beside))  # fmt: skip
    return rows


def _paired(seeds: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[float, tuple[float, float]]:
    """The second rate over the first, of the same scenes in every seed, and its bootstrap interval over both."""
    both = np.asarray(seeds, dtype=float)  # (seeds, 2, scenes)
    random, (count, _, n) = np.random.default_rng(0), both.shape

    def told(picked: NDArray[np.float64]) -> float:
        first, second = picked.mean((0, 2))
        return float(second / max(first, 1e-9))

    value = told(both)
    draws = [told(both[random.integers(0, count, count)][:, :, random.integers(0, n, n)]) for _ in range(DRAWS)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return value, (min(float(low), value), max(float(high), value))


def _kl(p: torch.Tensor, q: torch.Tensor) -> float:
    return float((p.exp() * (p - q.clamp_min(-60))).sum(1).mean())


def _spread(figures: Sequence[float]) -> tuple[float, float] | None:
    """Bootstrap over seeds; None for a single one."""
    if len(figures) < 2:
        return None
    return bootstrap(np.asarray(figures), generator=np.random.default_rng(0), draws=1000).interval
