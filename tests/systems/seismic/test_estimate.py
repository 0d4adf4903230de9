# pyright: basic
"""What a run needs, said before: measured against what it took, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.systems.seismic.scenes import tiny

from sparring.errors import BadInput
from sparring.systems.seismic import estimate as module
from sparring.systems.seismic.estimate import Estimate, check_memory, estimate, peak, resident, wavefields
from sparring.systems.seismic.plan import Plan

MEASURE = """
import json, sys, tempfile
from pathlib import Path
import torch
torch.set_num_threads(1)
from sparring.engine.run import Run
from sparring.systems.seismic.data import Profile, case, fine_model
from sparring.systems.seismic.estimate import estimate, peak
from sparring.systems.seismic.inversion import play
from sparring.systems.seismic.plan import Plan
rows, shots, samples = map(int, sys.argv[1:])
profile = Profile((rows, 2 * rows), 40.0, shots, samples, 0.004, 4.0, accuracy=4)
given = case(fine_model("faulted", profile), profile, "linear")
plan = Plan(epochs=1, batch=shots)
told = estimate(given.problem, plan).memory
with tempfile.TemporaryDirectory() as folder:
    Run(Path(folder), 0, quiet=True).train(play(given.problem, plan, torch.Generator().manual_seed(0)), "x")
print(json.dumps([told, peak()]))
"""


@pytest.mark.parametrize("size", [(32, 4, 300), (48, 6, 800)])
def test_the_peak_is_within_fifteen_per_cent_of_what_was_said(size: tuple[int, int, int]) -> None:
    words = [sys.executable, "-c", MEASURE, *map(str, size)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    told, took = json.loads(done.stdout)
    assert told == pytest.approx(took, rel=0.15)


def test_the_estimate_grows_with_the_batch_and_counts_the_solves() -> None:
    problem = tiny().problem
    one, three = (estimate(problem, Plan(batch=k, epochs=5)) for k in (1, 3))
    assert wavefields(problem, 3) > 2.5 * wavefields(problem, 1)
    assert one.solves == three.solves == 2 * 3 * 6
    assert problem.waves.solves.total == 0
    assert one.seconds > 0
    assert min(peak(), resident()) > 1e7


def test_a_run_that_does_not_fit_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "available", lambda: 2.0**30)
    check_memory(Estimate(0.9 * 2**30, 1, 1))
    with pytest.raises(BadInput, match=r"needs about 3.0 GiB, 1.0 GiB are available; take fewer shots"):
        check_memory(Estimate(3 * 2**30, 1, 1))


def test_times_are_told_in_a_unit_that_fits() -> None:
    told = [Estimate(2**20, s, 1000).text for s in (5, 600, 90_000)]
    assert told[0] == "about 1 MiB at the peak, 5 s, 1,000 wave solves"
    assert "10 min" in told[1]
    assert "25.0 h" in told[2]
