# pyright: basic
"""Shots over processes: two of them reach what one reaches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = [sys.executable, "-m", "sparring", "seismic"]
GRID = ["--spacing", "40", "--peak", "4"]


def run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [*PROGRAM, *words], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_two_processes_reach_what_one_reaches(tmp_path: Path) -> None:
    run(tmp_path, "model", "faulted", "-o", "true.npy", "--depth", "20", "--width", "32", "--spacing", "40")
    run(tmp_path, "model", "gradient", "-o", "start.npy", "--depth", "20", "--width", "32")
    run(tmp_path, "simulate", "true.npy", *GRID, "--shots", "4", "--samples", "160")
    words = (
        "invert",
        "shots.sgy",
        "--start",
        "start.npy",
        *GRID,
        "--epochs",
        "2",
        "--batch",
        "4",
        "--misfit",
        "potential",
    )
    run(tmp_path, *words, "-o", "one", "--misfit", "potential")
    run(tmp_path, *words, "--devices", "2", "-o", "two", "--misfit", "potential")
    start, lone, both = (np.load(tmp_path / name) for name in ("start.npy", "one/velocity.npy", "two/velocity.npy"))
    assert np.linalg.norm(both - lone) < 1e-2 * np.linalg.norm(lone - start)
