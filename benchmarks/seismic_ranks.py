"""One rank of the seismic system's multi-process measurement; `seismic_checks.ranks` starts it under torchrun.

The gradients are compared in double precision, where only a fault could tell them apart, and in single, where the order
of sums shows in the seventh digit; the times are those of single precision: on the wall, and of the rank that computes
most, without its waiting.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sparring.engine.runtime import Hardware, Precision, Runtime
from sparring.systems.seismic.data import Profile, case, fine_model
from sparring.systems.seismic.inversion import Problem, play
from sparring.systems.seismic.plan import Plan
from sparring.typed import numbers

STEPS = 6


def gradient(problem: Problem, processes: int, precision: Precision) -> tuple[Tensor, float, float]:
    """The gradient of the first step by all shots, `(nz, nx)`; seconds, and CPU-seconds of the busiest rank."""
    task = play(problem, Plan(batch=6), torch.Generator().manual_seed(0))
    runtime = Runtime(Hardware(device="cpu", devices=processes, precision=precision))
    module = runtime.module(task.game.defender)
    batch = next(iter(task.data(torch.Generator().manual_seed(0))))
    speed = next(p for p in module.parameters() if p.requires_grad)

    def step() -> None:
        speed.grad = None
        shots, real = runtime.shard(batch)
        runtime.backward(task.game.payoff(module(shots), real).mean())

    step()
    runtime.barrier()
    started, busy = time.perf_counter(), time.process_time()
    for _ in range(STEPS if precision == "32-true" else 0):
        step()
    busy = float(runtime.gather(torch.tensor([(time.process_time() - busy) / STEPS])).max())
    runtime.barrier()
    took = (time.perf_counter() - started) / STEPS
    assert speed.grad is not None
    return speed.grad.double(), took, busy


def main() -> None:
    processes, out = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    profile = Profile((50, 78), 40.0, 6, 400, 0.004, 4.0, accuracy=4)
    problem = case(fine_model("faulted", profile), profile, "linear").problem
    single, seconds, busy = gradient(problem, processes, "32-true")
    double = replace(problem, start=problem.start.double(), observed=problem.observed.double())
    precise, _, _ = gradient(double, processes, "64-true")
    found = {
        "seconds": seconds,
        "cpu": busy,
        "single": numbers(single.flatten()),
        "double": numbers(precise.flatten()),
    }
    if int(torch.distributed.get_rank() if torch.distributed.is_initialized() else 0) == 0:
        out.write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
