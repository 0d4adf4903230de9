"""From findings to what people read: rows, curves over time, tables of attacks and of the link, examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sparring.engine.run import Run
from sparring.evaluation import statistics
from sparring.evaluation.figures import evaluation_rows, query_curve
from sparring.evaluation.masking import Diagnosis
from sparring.evaluation.protocol import Evaluation
from sparring.evaluation.scorecard import Change, Curve, Example, Row, Series, Table
from sparring.network.actionthreat import ActionThreat
from sparring.systems.ddos.adversary import ALL_ACTIONS
from sparring.systems.ddos.arena import Arena
from sparring.systems.ddos.data import HELD_OUT, Traffic, cut
from sparring.systems.ddos.model import Guard, Verdicts
from sparring.systems.ddos.packets import PacketSpace
from sparring.systems.ddos.trial import Trial
from sparring.typed import integers

TITLE = "DDoS detection and mitigation that withstand an evading attacker"
PAPERS = (
    "Apostu, Gheorghe, Hiji, Cleju, Patrascu, Rusu, Ionescu, Irofti, Detecting and Mitigating DDoS Attacks with AI: A "
    "Survey, arXiv 2503.17867",
    "Abdelaty, Scott-Hayward, Doriguzzi-Corin, Siracusa, GADoT: GAN-based Adversarial Training for Robust DDoS Attack "
    "Detection, arXiv 2201.13102",
    "Page, Continuous Inspection Schemes, Biometrika 41, 1954",
)


@dataclass(frozen=True)
class Findings:
    """Everything measured of the guards, by their names; `trials` are of the hardened one."""

    traffic: Traffic
    guards: dict[str, Guard]
    games: dict[str, Evaluation]
    verdicts: dict[str, Verdicts]
    trials: tuple[Trial, ...]
    delays: dict[str, dict[str, float | None]]
    arena: Arena
    checks: dict[str, Diagnosis]


def told(found: Findings, run: Run) -> dict[str, Any]:
    """The scorecard's fields."""
    seeds = (run.seed,)
    rows: list[Row] = []
    for name in found.guards:
        rows += quiet_rows(found, name, seeds)
        rows += evaluation_rows(found.games[name], model=name, metric="recall", seeds=seeds)
    spent = {name: game.outcome(ALL_ACTIONS) for name, game in found.games.items()}
    return {
        "title": TITLE,
        "data": found.traffic.records,
        "seeds": seeds,
        "rows": tuple(rows),
        "checks": tuple(check for one in found.checks.values() for check in one.checks),
        "verdicts": tuple(one.verdict for one in found.checks.values()),
        "curves": (
            *link_curves(found.trials),
            detections(found),
            query_curve(spent, metric="recall", title="Recall against queries, all actions (before the round trip)"),
        ),
        "examples": examples(found),
        "tables": (link_table(found.trials), kinds_table(found), rules_table(found.trials)),
        "notes": notes(found),
        "papers": PAPERS,
    }


def quiet_rows(found: Findings, name: str, seeds: tuple[int, ...]) -> list[Row]:
    """False alarms on the test stretch: benign flows that are flagged, windows of unattacked destinations in alarm."""
    windows, v = cut(found.traffic.test.staged, found.guards[name].seconds), found.verdicts[name]
    free = np.bincount(v.volumes.of, windows.kind > 0, minlength=len(v.volumes)) == 0
    return [
        _rate(name, "false alarm rate", v.flagged[windows.kind == 0], seeds),
        _rate(name, "quiet destination windows in alarm", v.alarm[free], seeds),
    ]


def _rate(model: str, metric: str, alarms: NDArray[np.bool_], seeds: tuple[int, ...]) -> Row:
    found = statistics.proportion(alarms)
    return Row(
        model=model, metric=metric, condition="clean", value=found.value, interval=found.interval, n=len(alarms),
        seeds=seeds, higher_is_better=False,
    )  # fmt: skip


def link_curves(trials: Sequence[Trial]) -> tuple[Curve, ...]:
    """For the last attack on the link: what arrives, what is let through, and whose bits reach the far end."""
    trial = [t for t in trials if "none" in t.passages and t.passages["none"].windows and "crowd" not in t.title][-1]
    ours = trial.passages["ours"].windows
    times = tuple(w.begin for w in ours)
    arriving = Series(label="users, offered", x=times, y=tuple(w.bits[0] / 1e6 for w in ours))
    total = Series(label="users and attack, offered", x=times, y=tuple(w.offered / 1e6 for w in ours))
    carried = Series(label="carried with our rules", x=times, y=tuple(w.carried / 1e6 for w in ours))
    goodput = tuple(
        Series(label=name, x=tuple(w.begin for w in p.windows),
               y=tuple(w.bits[1] / max(w.bits[0], 1) for w in p.windows))
        for name, p in trial.passages.items()
    )  # fmt: skip
    note = f"{trial.title}; it begins at {trial.start:.0f} s on a link of {trial.link.capacity / 1e6:.2f} Mbit/s."
    return (
        Curve(title="Traffic over time", x_label="seconds", y_label="Mbit/s", series=(total, arriving, carried),
              note=note),
        Curve(title="Goodput of the users over time", x_label="seconds", y_label="share of their bits that arrive",
              series=goodput, note=note),
    )  # fmt: skip


def detections(found: Findings) -> Curve:
    """Flows a second on the test stretch: those of attacks, and those that the hardened guard flags."""
    guard, v = found.guards["hardened"], found.verdicts["hardened"]
    windows = cut(found.traffic.test.staged, guard.seconds)
    second = (windows.flows.begin / 1e6).astype(np.int64)
    length = int(second.max()) + 1

    def line(label: str, which: NDArray[np.bool_]) -> Series:
        count = np.bincount(second[which], minlength=length)
        return Series(label=label, x=tuple(float(t) for t in range(length)), y=tuple(count.astype(float).tolist()))

    attack = windows.kind > 0
    return Curve(
        title="Detections over time",
        x_label="seconds of the test stretch",
        y_label="flows",
        series=(
            line("attack flows", attack),
            line("attack flows flagged", attack & v.flagged),
            line("benign flows flagged", ~attack & v.flagged),
        ),
        note="Attacks follow each other in random order, at random rates, from random numbers of bots.",
    )


def link_table(trials: Sequence[Trial]) -> Table:
    """Goodput under every mitigation, and what mitigation costs the users."""
    rows: list[tuple[str, ...]] = []
    for t in trials:
        for name, p in t.passages.items():
            ours = name == "ours"
            rows.append(
                (
                    t.title,
                    name,
                    f"{t.goodput(name):.3f}",
                    f"{p.benign_blocked():.2%}",
                    (f"{t.first:.1f} s" if t.first is not None else "none") if ours else "",
                    (f"{t.delay:.1f} s" if t.delay is not None else "none") if ours else "",
                )
            )
    return Table(
        title="The link: users' goodput while the attack lasts",
        columns=("traffic", "mitigation", "goodput", "users' packets blocked", "first alarm", "rules in force"),
        rows=tuple(rows),
        note="A drop-tail queue of 0.1 s; capacity twice the users' mean load; the attack alone fills 116 % of it. "
        "The oracle drops exactly the attack. First alarm and rules: seconds after the attack's begin.",
    )


def kinds_table(found: Findings) -> Table:
    """Every kind of attack: flows flagged, conversations flagged after the strongest adversary, time to detect."""
    rows: list[tuple[str, ...]] = []
    names = np.array(["benign", *found.traffic.test.names])
    kinds = np.array(found.arena.kinds)
    for kind in dict.fromkeys(found.traffic.test.names):
        cells = [kind + (" (held out)" if kind in HELD_OUT else "")]
        for name, guard in found.guards.items():
            windows = cut(found.traffic.test.staged, guard.seconds)
            mine = names[windows.kind] == kind
            robust = found.games[name].worst().numpy()[kinds == kind]
            delay = found.delays[name][kind]
            cells += [
                f"{found.verdicts[name].flagged[mine].mean():.1%}",
                f"{robust.mean():.1%}" if len(robust) else "",
                "not in 20 s" if delay is None else f"{delay:.1f} s",
            ]
        rows.append(tuple(cells))
    columns = ["attack"]
    for name in found.guards:
        columns += [f"{name}: flows flagged", "after every adversary", "time to detect"]
    return Table(
        title="Attack by attack",
        columns=tuple(columns),
        rows=tuple(rows),
        note="Flows within one window; conversations after every adversary and the way through a capture file; time "
        "from the first packet to the end of the first window in alarm, each attack alone.",
    )


def rules_table(trials: Sequence[Trial]) -> Table:
    """The rules in force at the end of the last attack."""
    trial = [t for t in trials if t.rules] or [trials[0]]
    rows = tuple((r.action, ", ".join(r.targets), r.told(), r.reason) for r in trial[-1].rules[:12])
    return Table(
        title="Rules at the end",
        columns=("action", "toward", "packets", "why"),
        rows=rows,
        note=f"{trial[-1].title}. `sparring ddos detect --rules out.nft` writes such rules for nftables; nothing is "
        "ever applied.",
    )


def examples(found: Findings) -> tuple[Example, ...]:
    """Up to three conversations that beat the baseline, of different kinds, told by what the bot did."""
    outcome = found.games["baseline"].outcome(ALL_ACTIONS)
    space = cast(PacketSpace, cast(ActionThreat, outcome.adversary.threat).space)
    fell = integers((outcome.attacked & ~outcome.right).nonzero().squeeze(1))
    chosen: dict[str, int] = {}
    for index in fell:
        chosen.setdefault(found.arena.kinds[index], index)
    out: list[Example] = []
    for kind, index in list(chosen.items())[:3]:
        values = space.values(outcome.x_adv[index : index + 1, 1:].numpy())
        changes = tuple(
            Change(name=p.name, before=f"{p.low:g}", after=f"{float(values[p.name][0]):g}")
            for p in space.active
            if float(values[p.name][0]) != p.low
        )
        verdicts: list[tuple[str, str, str]] = []
        for name in found.guards:
            model = found.arena.played[name].on(space)
            before = outcome.x_adv[index : index + 1].clone()
            before[:, 1:] = 0
            after = outcome.x_adv[index : index + 1]
            verdicts.append((name, _verdict(float(model(before)[0])), _verdict(float(model(after)[0]))))
        out.append(
            Example(
                title=f"{kind}: what the bot changed in one conversation",
                adversary=ALL_ACTIONS,
                changes=changes,
                outcome=tuple(verdicts),
                note="Found against the baseline. Bytes, factors, packets, seconds; window -1 is the system's own.",
            )
        )
    return tuple(out)


def _verdict(logit: float) -> str:
    return f"{'attack' if logit > 0 else 'benign'} ({logit:+.2f})"


def notes(found: Findings) -> tuple[str, ...]:
    """Limits that a reader of the figures needs."""
    own = any(record.source == "user" for record in found.traffic.records)
    return (
        "All attacks and "
        + ("much of the" if own else "all")
        + " benign traffic are generated: the figures are of the generator's traffic. Train on a capture of your own "
        "quiet hours (`--set data=captures --data FILE`) before you trust a verdict.",
        "Adversary rows count what was flagged after the changed packets were written to a pcap file, read again and "
        "judged among everybody else's packets.",
        f"Held out of training: {', '.join(HELD_OUT)}; the action spread; the day of the test.",
        "Slow HTTP and small HTTP floods look like ordinary requests flow by flow; they show in the running evidence "
        "of a destination, if at all.",
        "Rules are printed for an operator and never applied.",
    )
