"""The seismic bars that need no long inversion: gradients, border, resume, memory, processes, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from form import Bar

from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.survey import Survey, line, ricker
from sparring.systems.seismic.waves import Waves
from sparring.typed import norm

HERE = Path(__file__).parent
PROGRAM = [sys.executable, "-m", "sparring", "seismic"]
GRID = ["--spacing", "40", "--peak", "4"]


def gradient() -> list[Bar]:
    """The gradient along ten directions against a fourth-order difference in double precision; and a dot-product test.

    In float64 the adjoint and the differences agree to ten digits whatever the step. What float32 loses is rounding:
    the forward waves are right to 7e-7 of the data, but the residual is a fiftieth of the data. A direction that is
    nearly at right angles to the gradient (its cosine stands beside) shows that rounding against a slope near 0.
    """
    draws = torch.Generator().manual_seed(0)
    base = 2000 + 200 * torch.rand((20, 32), generator=draws, dtype=torch.float64)
    earth = Earth(base, 40.0)
    waves = Waves(earth, line(earth, 3, wavelet=ricker(4.0, 0.004, 160), dt=0.004, peak=4.0), fastest=2600)
    shots = torch.arange(3)
    target = waves(torch.full_like(base, 2100), shots).detach()

    def loss(v: torch.Tensor) -> torch.Tensor:
        return (waves(v, shots) - target.to(v)).square().sum()

    single, double = (_slope(loss, base.to(kind)) for kind in (torch.float32, torch.float64))
    rows: list[tuple[float, float, float, float]] = []
    for _ in range(10):
        direction = torch.randn((1, 22, 34), generator=draws, dtype=torch.float64)
        direction = torch.nn.functional.avg_pool2d(direction, 3, 1)[0]
        with torch.no_grad():
            at = [float(loss(base + k * 0.1 * direction)) for k in (-2, -1, 1, 2)]
        slope = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / 1.2
        told, exact = float((single * direction).sum()), float((double * direction).sum())
        rows.append((slope, told, exact, exact / float(norm(double) * norm(direction))))
    slopes, told, exact, cosine = np.array(rows).T
    off, fine = np.abs(told / slopes - 1), float(np.abs(exact / slopes - 1).max())
    k, vector = int(off.argmax()), float(np.linalg.norm(told - slopes) / np.linalg.norm(slopes))
    beside = {"all ten as one vector": vector, "median": float(np.median(off)), "cosine of the worst with the gradient":
              float(cosine[k]), "usual cosine": float(np.median(np.abs(cosine)))}  # fmt: skip
    words, dot = "relative error, worst of ten directions", dot_product(waves, base, draws)
    return [
        Bar("1", f"gradient against finite differences, float32: {words}", "< 1e-3", float(off[k]), None,
            bool(off[k] < 1e-3), beside),
        Bar("1", f"gradient against finite differences, float64: {words}", "< 1e-6", fine, None, fine < 1e-6),
        Bar("1", "dot-product test of the adjoint, float32: relative error, worst of ten", "< 1e-3", dot, None,
            dot < 1e-3),
    ]  # fmt: skip


def _slope(loss: Callable[[torch.Tensor], torch.Tensor], v: torch.Tensor) -> torch.Tensor:
    v = v.clone().requires_grad_(True)
    return torch.autograd.grad(loss(v), v)[0].double()


def dot_product(waves: Waves, base: torch.Tensor, draws: torch.Generator) -> float:
    """<J x, J x> by differences of the waves in float64 against <x, J' J x> by the float32 adjoint, worst of ten x."""
    shots, worst = torch.arange(3), 0.0
    for _ in range(10):
        x = torch.randn(base.shape, generator=draws, dtype=torch.float64)
        with torch.no_grad():
            y = (waves(base + 0.1 * x, shots) - waves(base - 0.1 * x, shots)) / 0.2
        v = base.float().requires_grad_(True)
        (back,) = torch.autograd.grad((waves(v, shots) * y.float()).sum(), v)
        worst = max(worst, abs(float((back.double() * x).sum() / y.square().sum()) - 1))
    return worst


def border() -> Bar:
    """Energy that the absorbing border sends back, against a model too large for it to matter."""
    one, speed = torch.tensor([0]), 2000.0
    small, large = (Earth(torch.full(shape, speed), 40.0) for shape in ((40, 60), (160, 180)))
    wavelet = ricker(4.0, 0.004, 300)
    at, heard = torch.tensor([[30.5, 20.5]]) * 40, torch.tensor([[[10.5, 20.5], [30.5, 5.5], [50.5, 30.5]]]) * 40
    near = Waves(small, Survey(at, heard, wavelet, 0.004, 4.0), fastest=speed)(small.velocity, one)
    far = Waves(large, Survey(at + 2400, heard + 2400, wavelet, 0.004, 4.0), fastest=speed)(large.velocity, one)
    decibel = float(20 * torch.log10(norm(near - far) / norm(far)))
    return Bar("1", "reflection of the border, dB", "< -40", decibel, None, decibel < -40)


def _scene(folder: Path) -> None:
    for words in (
        ["model", "faulted", "-o", "true.npy", "--depth", "32", "--width", "48", "--spacing", "40", "--seed", "3"],
        ["model", "gradient", "-o", "start.npy", "--depth", "32", "--width", "48"],
        ["simulate", "true.npy", *GRID, "--samples", "400"],
    ):
        subprocess.run([*PROGRAM, *words], cwd=folder, check=True, capture_output=True)


def resume() -> Bar:
    """An inversion with a critic killed (SIGKILL) at a random moment and started again, against one left alone."""
    words = ["invert", "shots.sgy", "--start", "start.npy", *GRID, "--epochs", "12", "--critic", "0.3", "--water", "2"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _scene(folder)
        subprocess.run([*PROGRAM, *words, "-o", "whole"], cwd=folder, check=True, capture_output=True)
        cut = subprocess.Popen([*PROGRAM, *words, "-o", "cut"], cwd=folder, stderr=subprocess.PIPE, text=True)
        assert cut.stderr is not None
        for text in cut.stderr:
            if "epoch 5/" in text:
                time.sleep(float(np.random.default_rng().uniform(0, 0.5)))
                cut.send_signal(signal.SIGKILL)
                break
        cut.wait()
        subprocess.run([*PROGRAM, *words, "-o", "cut"], cwd=folder, check=True, capture_output=True)
        same = (folder / "cut/velocity.npy").read_bytes() == (folder / "whole/velocity.npy").read_bytes()
    return Bar("1", "killed and resumed on one process: cells of the velocity that differ", "0", float(not same), None,
               same)  # fmt: skip


MEASURE = """
import json, sys, tempfile
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from sparring.engine.run import Run
from sparring.systems.seismic.data import PROFILES, case, fine_model
from sparring.systems.seismic.estimate import estimate, peak
from sparring.systems.seismic.inversion import play
from sparring.systems.seismic.plan import Plan
profile = replace(PROFILES[sys.argv[1]], accuracy=4)
given = case(fine_model("faulted", profile), profile, "linear")
plan = Plan(epochs=1, batch=profile.shots)
told = estimate(given.problem, plan).memory
with tempfile.TemporaryDirectory() as folder:
    Run(Path(folder), 0, quiet=True).train(play(given.problem, plan, torch.Generator().manual_seed(0)), "x")
print(json.dumps([told, peak()]))
"""


def memory(profiles: Sequence[str]) -> Bar:
    """The peak of a process against what it said before it began, all shots in one batch."""
    off: dict[str, float] = {}
    for name in profiles:
        done = subprocess.run([sys.executable, "-c", MEASURE, name], capture_output=True, text=True, check=True)
        told, took = json.loads(done.stdout)
        off[f"{name}, MiB"] = took / 2**20
        off[name] = took / told - 1
    worst = max((abs(v) for k, v in off.items() if "MiB" not in k), default=0.0)
    return Bar("issue", "peak memory against the estimate printed before: largest difference", "<= 0.15", worst, None,
               worst <= 0.15, off)  # fmt: skip


def ranks() -> list[Bar]:
    """Gradients of 1, 2 and 3 processes, and what two processes gain on two idle cores."""
    found = {n: _ranks(n) for n in (1, 2, 3)}

    def off(key: str, n: int) -> float:
        one, many = (np.array(found[k][key]) for k in (1, n))
        return float(np.linalg.norm(many - one) / np.linalg.norm(one))

    worst = max(off("double", 2), off("double", 3))
    single = {f"single precision, {n}": off("single", n) for n in (2, 3)}
    times = {f"{n}, {kind}": float(found[n][key]) for n in (1, 2) for kind, key in (("s", "seconds"), ("CPU s", "cpu"))}
    gain = times["1, s"] / times["2, s"]
    times["by CPU seconds of the busier rank"] = times["1, CPU s"] / times["2, CPU s"]
    return [
        Bar("6", "gradients of 2 and 3 processes against one, double precision: relative difference", "<= 1e-6", worst,
            None, worst <= 1e-6, single),
        Bar("6", "two processes against one: speed", ">= 1.7", gain, None, gain >= 1.7, times),
    ]  # fmt: skip


def _ranks(processes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
                 str(HERE / "seismic_ranks.py"), str(processes), str(out)]  # fmt: skip
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return json.loads(out.read_text("utf-8"))


def lost() -> Bar:
    """Two processes, one killed: the other ends with a clear error, and the same command continues."""
    words = ["invert", "shots.sgy", "--start", "start.npy", *GRID, "--epochs", "12", "--batch", "2", "--devices", "2",
             "-o", "run"]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _scene(folder)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                       "MASTER_PORT": "29537"}  # fmt: skip
        both = [
            subprocess.Popen([*PROGRAM, *words], cwd=folder, stderr=subprocess.PIPE, text=True,
                             env={**environment, "RANK": str(k), "LOCAL_RANK": str(k)})
            for k in (0, 1)
        ]  # fmt: skip
        assert both[0].stderr is not None
        said = ""
        for text in both[0].stderr:
            said += text
            if "epoch 4/" in text:
                both[1].send_signal(signal.SIGKILL)
        clear = both[0].wait() != 0 and "lost another one" in said
        both[1].wait()
        again = subprocess.run([*PROGRAM, *words], cwd=folder, capture_output=True, check=False)
        good = clear and again.returncode == 0 and (folder / "run/velocity.npy").exists()
    return Bar("6", "a killed process: clear error, and the run can be resumed (1: yes)", "1", float(good), None, good)


def bad_input() -> Bar:
    """The tests of bad input, counted: every one must pass."""
    words = [sys.executable, "-m", "pytest", "-q", "tests/systems/seismic", "-k",
             "refused or bad_input or bad_surveys or too_few or no_segy or not_fit or swapped or not_finite",
             "-p", "no:cacheprovider"]  # fmt: skip
    done = subprocess.run(words, cwd=HERE.parent, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    dots = sum(line.split("[")[0].count(".") for line in done.stdout.splitlines() if "%]" in line)
    return Bar("7", "bad inputs that are refused or repaired with their message (tests passed)", "all", float(dots),
               None, done.returncode == 0, {"failed": float("failed" in last)})  # fmt: skip
