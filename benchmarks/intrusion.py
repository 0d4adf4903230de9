"""The intrusion detector's bars, on NSL-KDD (KDDTrain+ to KDDTest+) and UNSW-NB15 (without duplicates, 70 to 30).

    SPARRING_DATA=FOLDER python benchmarks/intrusion.py [--quick] [--seeds 3] [--workers 2] [--scratch FOLDER]

Jobs (data set, seed, question) run in a pool of single-threaded processes; what they trained and found stays in the
scratch folder, and a killed benchmark goes on from there. Thresholds come from held-out training rows unless a metric
says "oracle": those are set on the test file's normal rows, to compare detectors at equal false alarms; no one could
have set them beforehand. `--quick` trains and attacks far less and shows that everything runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import intrusion_jobs as jobs
import numpy as np
import peers
import torch
from form import write
from intrusion_art import job_art
from intrusion_bars import Found, bars
from intrusion_jobs import QUICK, Sizes

from sparring.files import write_text
from sparring.systems.intrusion.defence import DEFENCES

ROOT = Path(__file__).resolve().parent.parent
ACTIONS = ("pad", "stretch", "dummies", "ttl", "window", "sequence")
TRAINING: dict[str, Callable[..., Any]] = {"train": jobs.job_train}
QUESTIONS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "box": (("nsl-kdd", "unsw-nb15"), jobs.job_box),
    "beside": (("nsl-kdd",), jobs.job_box_beside),
    "groups": (("nsl-kdd",), jobs.job_groups),
    "actions": (("unsw-nb15",), jobs.job_actions),
    "ablation": (("nsl-kdd", "unsw-nb15"), jobs.job_ablation),
    "left-out": (ACTIONS, jobs.job_left_out),
    "art": (("unsw-nb15",), job_art),
}
"""Question to what it is asked of and the job; all but "left-out" read the detectors of "train"."""


def ask(question: str, of: str, seed: int, sizes: Sizes, scratch: Path) -> str:
    """One job, once per scratch folder; returns its key."""
    key = f"{question}/{of}/{seed}"
    path = _kept(key, scratch)
    if not path.exists():
        torch.set_num_threads(1)
        start = time.perf_counter()
        job = TRAINING.get(question) or QUESTIONS[question][1]
        found = job(of, seed, sizes, scratch)
        write_text(path, json.dumps(found))
        print(f"  {key}: {time.perf_counter() - start:.0f} s", flush=True)
    return key


def play(seeds: Sequence[int], sizes: Sizes, scratch: Path, workers: int) -> Found:
    """Train, then answer every question; `question/of/seed` to figures."""
    training = [("train", data, seed) for seed in seeds for data in ("unsw-nb15", "nsl-kdd")]
    free = [("left-out", action, seed) for seed in seeds for action in ACTIONS]
    rest = [
        (q, of, s) for q, (ofs, _) in QUESTIONS.items() for of in ofs for s in seeds if q not in ("left-out", "art")
    ]
    rest.append(("art", "unsw-nb15", seeds[0]))
    context, keys = multiprocessing.get_context("spawn"), []
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for group in (training, rest + free):
            waiting = [pool.submit(ask, *job, sizes, scratch) for job in group]
            keys += [done.result() for done in as_completed(waiting)]
    return {k: json.loads(_kept(k, scratch).read_text("utf-8")) for k in keys}


def _kept(key: str, scratch: Path) -> Path:
    """Where a job's figures are kept; another default plan of layers asks anew."""
    plans = hashlib.sha256(repr(DEFENCES).encode()).hexdigest()[:8]
    return scratch / f"found-{plans}" / f"{key.replace('/', '-')}.json"


def speed(sizes: Sizes, scratch: Path, seed: int) -> dict[str, float]:
    """Flows a second that the default detectors score on one core, the best of three passes over the test rows."""
    torch.set_num_threads(1)
    found = {}
    for data in ("nsl-kdd", "unsw-nb15"):
        detector = jobs.detectors(data, seed, sizes, scratch)["default"]
        x = jobs.traffic(data, seed, sizes, scratch).test.x
        best = float("inf")
        with torch.no_grad():
            for _ in range(3):
                start = time.perf_counter()
                detector(x)
                best = min(best, time.perf_counter() - start)
        found[data] = len(x) / best
    return found


def quick_run() -> float:
    """Wall-clock seconds of `sparring run intrusion` with its quick preset on the embedded traffic."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("sparring")),
            "run",
            "intrusion",
            "--out",
            str(Path(folder) / "run"),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="far smaller sizes and one seed: does everything run?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=None, help="where unfinished work is kept")
    chosen = parser.parse_args(arguments)
    sizes, seeds = (QUICK, (0,)) if chosen.quick else (Sizes(), tuple(range(chosen.seeds)))
    scratch = chosen.scratch or ROOT / "runs" / "benchmarks" / ("intrusion-quick" if chosen.quick else "intrusion")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # for the pool's processes
    torch.set_num_threads(1)
    peers.install()
    found = play(seeds, sizes, scratch, chosen.workers)
    rates, seconds = speed(sizes, scratch, seeds[0]), quick_run()
    rows = bars(found, seeds, rates, seconds, np.random.default_rng(0))
    command = "SPARRING_DATA=FOLDER python benchmarks/intrusion.py" + (" --quick" if chosen.quick else "")
    print(write("intrusion", command, told(sizes), seeds, rows, quick=chosen.quick))


def told(sizes: Sizes) -> str:
    """The data in words."""
    nsl, unsw = (f"{n:,} random training rows" if n else "all training rows" for _, n in sizes.rows)
    return (
        f"NSL-KDD KDDTrain+ to all of KDDTest+ ({nsl} per seed); UNSW-NB15, 82,332-row file, 53,946 rows without "
        f"duplicates, split 70 to 30 by seed ({unsw} but a fifth for thresholds). Thresholds from training rows let "
        f"{jobs.BUDGET['nsl-kdd']:.0%} and {jobs.BUDGET['unsw-nb15']:.0%} of held-out normals alarm"
    )


if __name__ == "__main__":
    main()
