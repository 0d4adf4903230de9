"""Invert shot gathers over a generated model twice: by W1 alone, and by W1 with a critic beside it."""

import tempfile
from pathlib import Path
from typing import cast

import torch

from sparring.engine.run import Run
from sparring.systems.seismic.data import Profile, case, fine_model
from sparring.systems.seismic.inversion import Inversion, play
from sparring.systems.seismic.metrics import relative_error
from sparring.systems.seismic.plan import CriticPlan, Plan

torch.set_num_threads(1)
profile = Profile(shape=(24, 40), spacing=40.0, shots=4, samples=300, dt=0.004, peak=4.0, accuracy=4)
given = case(fine_model("faulted", profile, seed=3), profile, start="linear")
print(f"start: relative error {relative_error(given.problem.start, given.truth):.4f}")
print(f"even the true model leaves {given.floor:.1%} of the data, which come from a finer grid")

plans = {
    "W1": Plan("w1", stages=(3.0, 100.0), epochs=10, batch=2),
    "W1 + critic": Plan("w1", CriticPlan(weight=0.3, every=6, each=2), stages=(3.0, 100.0), epochs=10, batch=2),
}
for name, plan in plans.items():
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), seed=0, quiet=True)
        before = given.problem.waves.solves.total
        found = run.train(play(given.problem, plan, run.generator("init")), "inversion")
    solves = given.problem.waves.solves.total - before
    error = relative_error(cast(Inversion, found).velocity, given.truth)
    print(f"{name}: relative error {error:.4f} after {solves} wave solves")
