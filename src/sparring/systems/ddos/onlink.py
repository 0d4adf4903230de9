"""The run's trials on the link: a flood of thousands of bots, the worst shape that a botnet finds, a flash crowd."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparring.engine.run import Run
from sparring.network.generator.attacks import Attack, Shape
from sparring.network.generator.scene import Scene, stage
from sparring.network.headers import ipv4
from sparring.network.windows import windowed
from sparring.systems.ddos.adversary import Botnet
from sparring.systems.ddos.config import Config
from sparring.systems.ddos.link import Link, carry
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import Guard, Memory
from sparring.systems.ddos.raid import Raid, Raiders, worst_raid
from sparring.systems.ddos.trial import CLASSIC, FLOOD, VICTIM, Trial, capacity_of, mixed, try_out, users

LIMITS = {"50 packets/s a source": CLASSIC}


def on_link(config: Config, run: Run, guard: Guard) -> tuple[Trial, ...]:
    """Three trials on the same users: plain flood, worst raid found against the whole defence, flash crowd."""
    seconds, seed = config.link_seconds, run.seed_for("link") % 2**31
    quiet = users(seconds, seed)
    link, span = Link(capacity_of(quiet, seconds)), (seconds / 4, float(seconds))
    raiders = Raiders(Botnet(FLOOD * link.capacity, config.bots, span[0], span[1] - span[0], VICTIM), quiet)

    def packets(raid: Raid) -> Trial:
        flood, ours = raiders.packets(raid, seed + 1), Mitigator(guard, link.capacity)
        return try_out(raid.told(), quiet, flood, link, span, ours, limits=LIMITS)

    def goodput(raid: Raid) -> float:
        headers, bad = mixed(quiet, raiders.packets(raid, seed + 1))
        return carry(headers, bad, link, Mitigator(guard, link.capacity)).goodput(*span)

    trials = [packets(raiders.plain())]
    if config.shapes:
        worst, _, history = worst_raid(raiders, goodput, config.shapes, np.random.default_rng(seed))
        for i, value in enumerate(history):
            run.log({"goodput": value}, name="link/search", step=i)
        trials.append(packets(worst))
    surge = users(seconds, seed, crowd=True)
    nobody = surge.take(slice(0, 0))
    third = (seconds / 3, 2 * seconds / 3)
    ours = Mitigator(guard, link.capacity)
    trials.append(try_out("flash crowd, no attack", surge, nobody, link, third, ours, limits=LIMITS))
    return tuple(trials)


def delays(guard: Guard, kinds: Sequence[str], seed: int) -> dict[str, float | None]:
    """Seconds from the first attack packet to the end of the first window in which the victim is in alarm, by kind.

    Each kind alone, ten seconds after a fresh start of everything that is remembered; None where no alarm came.
    """
    out: dict[str, float | None] = {}
    for i, kind in enumerate(kinds):
        rate = 10.0 if "http" in kind else 600.0
        attack = Attack(kind, 10.0, 10.0, rate, 400, shape=Shape(mix=0.3), victim=VICTIM)
        scene = stage(Scene(30.0, rate=25.0, attacks=(attack,)), np.random.default_rng((seed, i)))
        begun = float(scene.headers.time[scene.attack > 0][0]) / 1e6
        verdicts = guard.judge(windowed(scene.headers, round(guard.seconds * 1e6)), Memory())
        mine = (verdicts.volumes.address == ipv4(np.array([VICTIM]))[0]).all(1) & verdicts.alarm
        ends = verdicts.volumes.begin[mine] / 1e6 + guard.seconds
        later = ends[ends > begun]
        out[kind] = float(later[0] - begun) if len(later) else None
    return out
