"""One rank of the seismic system's multi-process measurement; `seismic_checks.ranks` starts it under torchrun."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from sparring.engine.runtime import Hardware, Runtime
from sparring.systems.seismic.data import Profile, case, fine_model
from sparring.systems.seismic.inversion import play
from sparring.systems.seismic.plan import Plan
from sparring.typed import numbers

STEPS = 4


def main() -> None:
    processes, out = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    profile = Profile((50, 78), 40.0, 6, 400, 0.004, 4.0, accuracy=4)
    given = case(fine_model("faulted", profile), profile, "linear")
    task = play(given.problem, Plan(batch=6), torch.Generator().manual_seed(0))
    runtime = Runtime(Hardware(device="cpu", devices=processes))
    module = runtime.module(task.game.defender)
    batch = next(iter(task.data(torch.Generator().manual_seed(0))))
    speed = next(p for p in module.parameters() if p.requires_grad)

    def step() -> None:
        speed.grad = None
        shots, real = runtime.shard(batch)
        runtime.backward(task.game.payoff(module(shots), real).mean())

    step()
    runtime.barrier()
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    runtime.barrier()
    took = time.perf_counter() - started
    assert speed.grad is not None
    if runtime.rank == 0:
        gradient = numbers(speed.grad.double().flatten())
        out.write_text(json.dumps({"seconds": took / STEPS, "gradient": gradient}), "utf-8")


if __name__ == "__main__":
    main()
