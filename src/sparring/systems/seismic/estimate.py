"""What a run will need, said before it begins: memory at its peak, and time."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from sparring.errors import BadInput
from sparring.systems.seismic.inversion import Problem
from sparring.systems.seismic.plan import Plan
from sparring.systems.seismic.waves import Solves, library


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak (the process as it stands, and what the wave fields add), seconds, wave solves."""

    memory: float
    seconds: float
    solves: int

    @property
    def text(self) -> str:
        """One line for the user."""
        return f"about {self.memory / 2**20:,.0f} MiB at the peak, {_time(self.seconds)}, {self.solves:,} wave solves"


def estimate(problem: Problem, plan: Plan, processes: int = 1) -> Estimate:
    """Memory by deepwave's own reckoning on top of this process; time from one shot there and back.

    With several processes the memory is one process's.
    """
    importlib.import_module("lightning_fabric")  # the loop loads it: it belongs to the process as it stands
    waves, survey = problem.waves, problem.waves.survey
    shots = max(1, plan.batch // processes)
    solves = 2 * survey.shots * (plan.epochs + 1)
    started, rehearsal = 0.0, replace(waves, solves=Solves())
    for _ in range(2):  # the first one also loads what the library needs
        started = time.monotonic()
        velocity = problem.start.clone().requires_grad_(True)
        torch.autograd.grad(rehearsal(velocity, torch.tensor([0])).square().sum(), velocity)
    each = (time.monotonic() - started) / 2
    return Estimate(resident() + wavefields(problem, shots), solves * each / processes, solves)


def wavefields(problem: Problem, shots: int) -> float:
    """Bytes that one gradient of so many shots adds: fields kept for the adjoint, gathers and their spectra."""
    waves, survey = problem.waves, problem.waves.survey
    found: Any = library().estimate_memory(
        "scalar",
        tuple(problem.start.shape),
        survey.samples,
        min(shots, waves.together),
        accuracy=waves.accuracy,
        pml_width=waves.border,
        model_gradient_sampling_interval=waves.interval,
        models_requiring_grad=["v"],
    )
    rounds = -(-shots // waves.together)  # autograd keeps the fields of every round until the backward pass
    gathers = 4.0 * shots * survey.shape[1] * survey.samples
    return rounds * float(found["total_bytes_lower_bound"]) + 12 * gathers


def check_memory(needed: Estimate) -> None:
    """Raises `BadInput` where the machine has less memory than the run needs."""
    have = available()
    if needed.memory > have:
        raise BadInput(
            f"the run needs about {needed.memory / 2**30:.1f} GiB, {have / 2**30:.1f} GiB are available; "
            "take fewer shots at a time (--batch)"
        )


def available() -> float:
    """Bytes of memory that this process may have in all, its own included."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        lines = dict(line.split(":") for line in stream)
    return 1024.0 * float(lines["MemAvailable"].split()[0]) + resident()


def resident() -> float:
    """Bytes that this process holds now."""
    return _status("VmRSS")


def peak() -> float:
    """The most bytes that this process has held so far (`ru_maxrss` would also count who started it)."""
    return _status("VmHWM")


def _status(field: str) -> float:
    with open("/proc/self/status", encoding="ascii") as stream:
        lines = dict(line.split(":", 1) for line in stream)
    return 1024.0 * float(lines[field].split()[0])


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
