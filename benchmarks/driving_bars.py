"""The driving system's bars from judged defenders: every figure beside the three other trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from driving_cells import Seed
from form import Bar

from sparring.evaluation.statistics import bootstrap, paired_difference
from sparring.proposals import gibbs
from sparring.systems.driving.adversary import Learning
from sparring.systems.driving.arena import Judged, area
from sparring.systems.driving.attacks import BUDGETS
from sparring.systems.driving.certificate import bound, violations
from sparring.systems.driving.response import allowed, prior
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.training import METHODS
from sparring.typed import step

RADIUS = 0.5
FRESH = "fresh best response"
CEM = tuple(f"CEM {accel:g}" for accel, _ in BUDGETS)
Found = Mapping[int, Seed]


def mean(values: Sequence[float]) -> float:
    """The mean over seeds."""
    return float(np.mean(values))


def over_seeds(found: Found, figure: Callable[[Judged], float]) -> dict[str, float]:
    """A figure of every training, mean over seeds."""
    return {m: mean([figure(s.judged[m]) for s in found.values()]) for m in METHODS}


def ratio(found: Found, figure: Callable[[Judged], float]) -> float:
    """ADV-0's figure over the unhardened policy's, both means over seeds."""
    all_of = over_seeds(found, figure)
    return all_of["adv0"] / max(all_of["none"], 1e-9)


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
    returns = over_seeds(found, lambda j: j.mean("ret", FRESH))
    rival = max(("none", "rule", "cat"), key=returns.__getitem__)
    ours, theirs = (np.concatenate([s.judged[m].ret[FRESH].double().numpy() for s in found.values()])
                    for m in ("adv0", rival))  # fmt: skip
    gain = paired_difference(theirs, ours, generator=np.random.default_rng(0))
    crashes = over_seeds(found, lambda j: j.mean("crash", FRESH))
    done = over_seeds(found, lambda j: float(j.clean["completion"].mean()))
    pace = over_seeds(found, lambda j: float(j.clean["speed"].mean()))
    kept = abs(pace["adv0"] / pace["none"] - 1)
    seconds = {f"CPU s {m}": mean([s.seconds[m] for s in found.values()]) for m in METHODS}
    share = crashes["adv0"] / crashes["none"]
    clean = {f"clean return {m}": v for m, v in over_seeds(found, lambda j: j.mean("ret", "logged")).items()}
    return [
        Bar("3 game value", f"mean return under a fresh best response, ADV-0 less the best rival ({rival})",
            ">= 2.0, interval excludes 0", gain.value, gain.interval, gain.value >= 2 and gain.interval[0] > 0,
            returns | seconds),
        Bar("3 game value", "mean return under the exact Gibbs law (τ = 4), ADV-0", "none set",
            (gibbs_of := over_seeds(found, lambda j: j.mean("ret", "exact Gibbs")))["adv0"], None, True, gibbs_of),
        Bar("3 crashes", "crashes under a fresh best response, over the unhardened policy's", "<= 0.35", share, None,
            share <= 0.35, crashes),
        Bar("3 cost", "clean route completion of ADV-0", ">= 0.95", done["adv0"], None, done["adv0"] >= 0.95,
            done | clean),
        Bar("3 cost", "clean mean speed of ADV-0, relative difference to the unhardened policy", "<= 0.03", kept, None,
            kept <= 0.03, pace),
    ]  # fmt: skip


def held_out(found: Found) -> list[Bar]:
    """Bar 3b: attackers that no training met, over avoidable scenes and over all."""
    rows: list[Bar] = []

    def avoidable_area(j: Judged) -> float:
        return mean([j.avoidable(k) for k in CEM])

    def chased(j: Judged) -> float:
        return j.avoidable("pursuit")

    def chased_anywhere(j: Judged) -> float:
        return j.mean("crash", "pursuit")

    for told, figure, everywhere, most in (
        ("budgeted search: area under crashes against budget", avoidable_area, area, 0.60),
        ("reactive pursuit: crashes", chased, chased_anywhere, 0.65),
    ):
        share = ratio(found, figure)
        beside = over_seeds(found, figure) | {f"all scenes {m}": v for m, v in over_seeds(found, everywhere).items()}
        rows.append(Bar("3b held out", f"{told} over the unhardened policy's, avoidable scenes", f"<= {most:.2f}",
                        share, None, share <= most, beside))  # fmt: skip
    if all(s.king for s in found.values()):
        final = {m: mean([s.king[m][1] for s in found.values()]) for m in METHODS}
        before = {f"before the attack {m}": mean([s.king[m][0] for s in found.values()]) for m in METHODS}
        share = final["adv0"] / max(final["none"], 1e-9)
        rows.append(Bar("3b held out", "KING's scenes as attacked: crashes over the unhardened policy's", "<= 0.70",
                        share, None, share <= 0.7, final | before))  # fmt: skip
    if all(s.ngsim for s in found.values()):
        crash = {m: mean([s.ngsim[m].mean("crash", FRESH) for s in found.values()]) for m in ("none", "adv0")}
        worth = {f"return {m}": mean([s.ngsim[m].mean("ret", FRESH) for s in found.values()]) for m in ("none", "adv0")}
        share = crash["adv0"] / max(crash["none"], 1e-9)
        rows.append(Bar("3b other roads", "NGSIM's Lankershim and Peachtree, trained on US-101: crashes under a fresh "
                        "best response over the unhardened policy's", "<= 0.53 (1.5 × bar 3)", share, None,
                        share <= 0.53, crash | worth))  # fmt: skip
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
    floor = over_seeds(found, lambda j: bound(reference, j.table, RADIUS).value)
    gains = [bound(reference, s.judged["adv0"].table, RADIUS).value - bound(reference, s.judged["none"].table,
             RADIUS).value for s in found.values()]  # fmt: skip
    sure = {f"95 % {m}": v for m, v in over_seeds(found, lambda j: bound(reference, j.table, RADIUS).certified).items()}
    return [
        Bar("5 certificate", "laws inside a ball that fall below its bound", "0", broken, None, broken == 0,
            {"laws tried": tried}),
        Bar("5 certificate", f"bound at KL radius {RADIUS}, ADV-0 less the unhardened policy's", ">= 0.5", mean(gains),
            _spread(gains), mean(gains) >= 0.5, floor | sure),
    ]  # fmt: skip


def planner(found: Found) -> list[Bar]:
    """Bar 6: the same harness around the planner."""
    held = next(iter(found.values())).planner["none"]
    falls: dict[str, float] = {}
    beside: dict[str, float] = {}
    for attack in held:
        plain, tuned = (mean([s.planner[m][attack] for s in found.values()]) for m in ("none", "adv0"))
        falls[attack] = 1 - tuned / max(plain, 1e-9)
        beside |= {f"{attack} plain": plain, f"{attack} tuned": tuned}
    least = min(falls.values())
    return [Bar("6 planner", "fall of its crashes under each held-out attacker, the least of them", ">= 0.20", least,
                None, least >= 0.2, beside | {f"fall {k}": v for k, v in falls.items()})]  # fmt: skip


def _kl(p: torch.Tensor, q: torch.Tensor) -> float:
    return float((p.exp() * (p - q.clamp_min(-60))).sum(1).mean())


def _spread(figures: Sequence[float]) -> tuple[float, float] | None:
    """Bootstrap over seeds; None for a single one."""
    if len(figures) < 2:
        return None
    return bootstrap(np.asarray(figures), generator=np.random.default_rng(0), draws=1000).interval
