"""From judged defenders to what people read: rows, checks, tables, limits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Check, Curve, Row, Series, Table, Verdict
from sparring.systems.driving.arena import ATTACKERS, Judged
from sparring.systems.driving.attacks import BUDGETS
from sparring.systems.driving.certificate import bound
from sparring.systems.driving.escape import REACTION
from sparring.systems.driving.realism import realism
from sparring.systems.driving.response import prior
from sparring.systems.driving.scenes import FAMILIES, HELD_OUT, Scenes
from sparring.systems.driving.simulator import ENDINGS
from sparring.typed import numbers

TITLE = "ADV-0: a driving policy and adversarial traffic in closed loop"
PAPERS = (
    "Nie et al., ADV-0: Closed-Loop Min-Max Adversarial Training for Long-Tail Robustness in Autonomous Driving, "
    "arXiv 2603.15221 (from its abstract; the rest is reconstructed)",
    "Zhang et al., CAT: Closed-loop Adversarial Training for Safe End-to-End Driving, CoRL 2023",
    "Rafailov et al., Direct Preference Optimization, NeurIPS 2023",
    "Hanselmann et al., KING, ECCV 2022",
)
RADII = (0.1, 0.5, 1.0, 2.0)
CEM = tuple(f"CEM {accel:g}" for accel, _ in BUDGETS)
SEEN: dict[str, bool] = {"prior": True, "fresh best response": True, "exact Gibbs": True, "worst of 32": True}


def rows(judged: Mapping[str, Judged], seed: int) -> tuple[Row, ...]:
    """Crash rate with the attacker and mean return, clean and under every attacker."""
    out: list[Row] = []
    for model, found in judged.items():
        for metric in ("return", "completion", "mean speed"):
            key = {"return": "ret", "completion": "completion", "mean speed": "speed"}[metric]
            out.append(_row(model, metric, found.clean[key], seed))
        out.append(_row(model, "attacker crash rate", found.crash["logged"], seed, higher=False))
        for attacker in (*ATTACKERS[1:], *CEM, "pursuit"):
            seen = SEEN.get(attacker, False)
            out.append(_row(model, "attacker crash rate", found.crash[attacker], seed, attacker, seen, higher=False))
            out.append(_row(model, "return", found.ret[attacker], seed, attacker, seen))
    return tuple(out)


def checks(judged: Mapping[str, Judged]) -> tuple[Check, ...]:
    """Did the attackers bite, in the order that theory demands; and is nobody safe by standing still?"""
    found: list[Check] = []
    base = judged["baseline"]
    natural, fresh = base.mean("crash", "prior"), base.mean("crash", "fresh best response")
    found.append(
        Check(
            model="baseline", name="the best response bites", passed=fresh >= 1.2 * natural,
            detail=f"attacker crashes {natural:.3f} under the prior, {fresh:.3f} under the fresh best response",
        )
    )  # fmt: skip
    for model, one in judged.items():
        worst, own = one.mean("ret", "worst of 32"), one.mean("ret", "fresh best response")
        found.append(
            Check(
                model=model, name="no learnt attacker beats the exact worst", passed=worst <= own + 1e-6,
                detail=f"mean return {own:.2f} under the learnt attacker, {worst:.2f} under the exact worst candidate",
            )
        )  # fmt: skip
        share = float(one.clean["completion"].mean())
        found.append(
            Check(
                model=model, name="drives on", passed=share >= 0.9,
                detail=f"clean route completion {share:.3f}: who stands still has few crashes and no way made",
            )
        )  # fmt: skip
    return tuple(found)


def verdicts(judged_checks: tuple[Check, ...]) -> tuple[Verdict, ...]:
    """Unreliable where a check failed; else an upper bound on robustness."""
    models = dict.fromkeys(c.model for c in judged_checks)
    out: list[Verdict] = []
    for model in models:
        failed = tuple(c.name for c in judged_checks if c.model == model and not c.passed)
        out.append(Verdict(model=model, status="unreliable" if failed else "upper bound", flags=failed))
    return tuple(out)


def curves(judged: Mapping[str, Judged], scenes: Scenes) -> tuple[Curve, ...]:
    """Crashes over the search's budget, and the certified return over the KL radius."""
    n = len(scenes)
    bands = {
        model: [statistics.wilson(round(found.mean("crash", key) * n), n) for key in CEM]
        for model, found in judged.items()
    }
    crashes = tuple(
        Series(
            label=model, x=tuple(a for a, _ in BUDGETS), y=tuple(found.mean("crash", key) for key in CEM),
            low=tuple(b[0] for b in bands[model]), high=tuple(b[1] for b in bands[model]),
        )
        for model, found in judged.items()
    )  # fmt: skip
    floor = prior(scenes)
    proofs = tuple(
        Series(label=model, x=RADII, y=tuple(bound(floor, found.table, r).value for r in RADII))
        for model, found in judged.items()
    )
    return (
        Curve(title="Held-out search: crashes over its budget", x_label="added acceleration, m/s²",
              y_label="attacker crash rate", series=crashes),
        Curve(title="Lower bound of the return under every traffic law in the ball", x_label="KL radius, nats",
              y_label="mean return", series=proofs,
              note="Exact on these test scenes and candidates; for the population subtract the finite-sample term."),
    )  # fmt: skip


def tables(judged: Mapping[str, Judged], scenes: Scenes) -> tuple[Table, ...]:
    """Per family, by cause, certificates, realism of the attackers."""
    family: list[tuple[str, ...]] = []
    for i, name in enumerate(FAMILIES):
        at = scenes.family == i
        if not bool(at.any()):
            continue
        for model, found in judged.items():
            cells = [float(found.ret[a][at].mean()) for a in ("logged", "fresh best response")]
            crash = [float(found.crash[a][at].mean()) for a in ("fresh best response", "CEM 1", "pursuit")]
            told = name + (" (never trained on)" if name == HELD_OUT else "")
            family.append((told, model, str(int(at.sum())), *(f"{c:.2f}" for c in cells), *(f"{c:.3f}" for c in crash)))
    causes = [
        (attacker, model, *(f"{v:.3f}" for v in numbers(found.cause[attacker].double().mean(0))))
        for attacker in ("logged", "fresh best response", "worst of 32", "pursuit")
        for model, found in judged.items()
    ]
    avoided = [
        (attacker, model, f"{float(found.escape[attacker].double().mean()):.3f}",
         f"{found.mean('crash', attacker):.3f}", f"{found.avoidable(attacker):.3f}")
        for attacker in (*CEM, "pursuit")
        for model, found in judged.items()
    ]  # fmt: skip
    proofs = [
        (model, f"{r:g}", f"{b.value:.2f}", f"{b.certified:.2f}", f"{b.temperature:g}")
        for model, found in judged.items()
        for r in RADII
        for b in (bound(prior(scenes), found.table, r),)
    ]
    laws = {"prior": prior(scenes)} | {f"best response to {m}": j.law for m, j in judged.items()}
    real = [(name, *(f"{v:.3f}" for v in realism(scenes, law).values())) for name, law in laws.items()]
    return (
        Table(
            title="By family", rows=tuple(family),
            columns=("family", "model", "scenes", "return, logged", "return, best response", "crashes, best response",
                     "crashes, CEM at 1", "crashes, pursuit"),
        ),
        Table(
            title="How episodes end", columns=("attacker", "model", *ENDINGS), rows=tuple(causes),
            note="By cause: who is hit from behind by replayed traffic did not cause it.",
        ),
        Table(
            title="Crashes that could have been avoided", rows=tuple(avoided),
            columns=("attacker", "model", "avoidable scenes", "crashes, all scenes", "crashes, avoidable ones"),
            note=f"A scene counts where a plan begun {REACTION} s after the attack showed escapes it.",
        ),
        Table(
            title="Certificates", columns=("model", "KL radius", "bound, these scenes", "95 % confidence", "τ"),
            rows=tuple(proofs), note="Every traffic law over the candidates within the radius; nothing outside them.",
        ),
        Table(title="Realism of the attackers", columns=("law", *realism(scenes, prior(scenes))), rows=tuple(real)),
    )  # fmt: skip


def notes(scenes: Scenes) -> tuple[str, ...]:
    """Limits that a reader of the figures needs."""
    share = float(scenes.avoidable.double().mean())
    return (
        "An independent implementation from the paper's abstract: no figure here is the paper's.",
        "The game is against one vehicle that departs from its log; all others replay theirs and brake.",
        f"A privileged search finds an escape from {share:.1%} of the candidates; the others are never played.",
        "The attacker may look at the ego's clean pass through the same scene, in training and evaluation alike.",
        "A returned crash rate is a lower bound of the worst: a stronger attacker may find more.",
        "Certificates hold within the candidates and the KL radius, and are no statement of safety on a road.",
    )


def _row(
    model: str, metric: str, values: Tensor, seed: int, attacker: str | None = None, seen: bool | None = None,
    *, higher: bool = True,
) -> Row:  # fmt: skip
    import numpy as np

    sample = values.to(torch.float64).numpy()
    found = statistics.bootstrap(sample, generator=np.random.default_rng(0), draws=1000)
    return Row(
        model=model, metric=metric, condition="clean" if attacker is None else "adversary", adversary=attacker,
        seen=seen, access=None if attacker is None else "adaptive", value=found.value, interval=found.interval,
        n=found.n, seeds=(seed,), higher_is_better=higher,
    )  # fmt: skip
