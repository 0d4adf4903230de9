# pyright: basic
"""Bar 3: the two real attack captures among real benign ones, window by window, and what the rules made of it block."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from ddos_traces import Captures, attack, cut, early_and_late, mirrored

from sparring.network.headers import Headers, joined
from sparring.systems.ddos.link import apply
from sparring.systems.ddos.mitigate import Mitigator
from sparring.systems.ddos.model import Guard, Memory

WITHIN = 3.0


def measured(guard: Guard, real: Captures, seed: int) -> dict[str, float]:
    """Attack windows in alarm within three seconds, windows of benign destinations in alarm."""
    rng, out = np.random.default_rng(seed), {}
    late = early_and_late(attack("WebDDoS"))[1]
    for name, bad in (("WebDDoS", late), ("SynFlood", attack("SynFlood"))):
        out |= _among(guard, name, bad, real.test, rng)
    out["benign alone: packets blocked"] = float(np.concatenate([blocked(guard, h) for h in real.test]).mean())
    for name, parts in (("alone", real.test), ("mirrored", [mirrored(h, rng) for h in real.test])):
        verdicts = [guard.judge(cut(h, guard.seconds), Memory()) for h in parts]
        alarm = np.concatenate([v.alarm for v in verdicts])
        out[f"benign {name}: windows in alarm"] = float(alarm.mean())
        out[f"benign {name}: windows"] = float(len(alarm))
        out[f"benign {name}: flows flagged"] = float(np.concatenate([v.flagged for v in verdicts]).mean())
        spans = [(len(np.unique(v.volumes.begin[v.alarm])), len(np.unique(v.volumes.begin))) for v in verdicts]
        out[f"benign {name}: seconds with any alarm"] = sum(a for a, _ in spans) / sum(b for _, b in spans)
    return out


def _among(guard: Guard, name: str, bad: Headers, benign: list[Headers], rng: np.random.Generator) -> dict[str, float]:
    """One attack capture in the middle of benign ones that begin at random times of it."""
    begin, length = int(bad.time[0]), max(int(bad.time[-1] - bad.time[0]), 1)
    moved = [replace(h, time=h.time - h.time[0] + begin + int(rng.integers(0, length))) for h in benign]
    first = [replace(h, time=h.time - h.time[0] + begin - 30_000_000) for h in benign[:5]]
    every = joined([bad, *moved, *first])
    order = np.argsort(every.time, kind="stable")
    h, theirs = every.take(order), (np.arange(len(order)) < len(bad))[order]
    v = guard.judge(cut(h, guard.seconds), Memory())
    ends = {a.tobytes() for a in np.unique(np.concatenate([bad.source, bad.target]), axis=0)}
    mine = np.array([a.tobytes() in ends for a in v.volumes.address])
    wait = waits(np.sort(v.volumes.begin[mine & v.alarm] / 1e6 + guard.seconds), bad, guard.seconds)
    return _stopped(guard, name, h, theirs) | {
        f"{name}: windows": float(len(wait)),
        f"{name}: windows in alarm within 3 s": float((wait <= WITHIN).mean()),
        f"{name}: windows in alarm themselves": float((wait <= guard.seconds).mean()),
        f"{name}: seconds to the first alarm": float(wait[0]),
        f"{name}: benign windows beside in alarm": float(v.alarm[~mine].mean()),
    }


def waits(ended: np.ndarray, bad: Headers, seconds: float) -> np.ndarray:
    """Seconds from the begin of each window with packets of the attack to the end of the next one in alarm; `ended` are
    those ends in order, infinity stands where none comes."""
    when = np.unique(bad.time // round(seconds * 1e6)) * seconds
    return np.append(ended, np.inf)[np.searchsorted(ended, when, side="right")] - when


def blocked(guard: Guard, h: Headers) -> np.ndarray:
    """Which packets the rules of every alarm block, from the window after it on, as `sparring ddos detect` makes them:
    for five minutes each, whether or not a link is full."""
    ours, rules, out = Mitigator(guard, expires=300.0), (), np.zeros(len(h), dtype=bool)
    window = h.time // round(guard.seconds * 1e6)
    edges = np.flatnonzero(np.concatenate([[True], window[1:] != window[:-1], [True]]))
    for a, b in pairwise(edges.tolist()):
        arrivals = h.take(slice(a, b))
        out[a:b] = apply(rules, arrivals)
        rules = ours.decide(arrivals, float(window[a]) * guard.seconds)
    return out


def _stopped(guard: Guard, name: str, h: Headers, theirs: np.ndarray) -> dict[str, float]:
    """What the rules block: of the requests to the victim after the first three seconds, and of all packets beside."""
    done = blocked(guard, h)
    served = np.where((h.target_port < h.source_port)[:, None], h.target, h.source)[theirs]
    ends, count = np.unique(served, axis=0, return_counts=True)
    late = theirs & (h.target == ends[count.argmax()]).all(1) & (h.time >= h.time[theirs][0] + WITHIN * 1e6)
    out = {f"{name}: packets blocked of those beside": float(done[~theirs].mean())}
    return out | ({f"{name}: attack packets blocked after 3 s": float(done[late].mean())} if late.any() else {})
