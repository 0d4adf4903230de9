"""One process and two: devices, shards, and the same training either way."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.engine.tasks import task
from torch import nn

from sparring.engine.run import Run
from sparring.engine.runtime import Hardware, Runtime, is_main
from sparring.errors import BadInput

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
from tests.engine.tasks import network, task
from dataclasses import replace
from sparring.engine.run import Run
from sparring.engine.runtime import Hardware
from sparring.strategies import TRADES, Standard
torch.set_num_threads(1)
made = task(epochs=2, size=24, strategy=Standard(), validate=None, select=None, schedulers=None)
plain = torch.nn.Sequential(*[m for m in network() if type(m).__name__ in ("Linear", "ReLU")])
made = replace(made, game=replace(made.game, defender=plain))
hardware = Hardware("cpu", devices=int(sys.argv[3]))
run = Run(Path(sys.argv[1]), 0, log_steps=1, quiet=True, hardware=hardware)
run.train(made, "x")
noisy = replace(made, strategy=TRADES(), game=replace(made.game, defender=network()))
run.train(noisy, "trades")
for name in ("awp", "free", "mart", "ema"):
    run.train(task(name, epochs=1), name)
"""


def test_a_lone_cpu_process() -> None:
    runtime = Runtime(Hardware(device="cpu"))
    assert (runtime.rank, runtime.processes, runtime.device) == (0, 1, torch.device("cpu"))
    module = nn.Linear(2, 1)
    wrapped = runtime.module(module)
    assert runtime.unwrap(wrapped) is module
    assert runtime.unwrap(module) is module
    batch = (torch.rand(3, 2), torch.zeros(3))
    assert torch.equal(runtime.shard(batch)[0], batch[0])
    assert runtime.any(True)
    assert not runtime.any(False)
    assert runtime.gather(torch.ones(2)).shape == (1, 2)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(BadInput, match="choose auto, ddp or fsdp"):
        Runtime(Hardware(strategy="deepspeed"))
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="--device cuda"):
            Runtime(Hardware(device="cuda"))


def test_the_main_process_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert is_main()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_main()
    monkeypatch.setenv("RANK", "0")
    assert is_main()


def test_mixed_precision_trains(tmp_path: Path) -> None:
    run = Run(tmp_path, 0, quiet=True, hardware=Hardware("cpu", precision="bf16-mixed"))
    module = run.train(task(epochs=1), "x")
    assert next(module.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("precision", "dtype"), [("64-true", torch.float64), ("bf16-true", torch.bfloat16)])
def test_true_precision_trains_in_its_own_type(tmp_path: Path, precision: Any, dtype: torch.dtype) -> None:
    run = Run(tmp_path, 0, quiet=True, hardware=Hardware("cpu", precision=precision))
    module = run.train(task(epochs=1), "x")
    assert next(module.parameters()).dtype == dtype
    assert module(torch.rand(2, 6)).dtype == dtype


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    kept = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_PORT": port}
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        command = [sys.executable, str(script), str(folder), str(Path(__file__).parents[2]), str(processes)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=200)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [r["step"] for r in lines if r["name"] == "trades"] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
        kept[processes] = folder / "checkpoints" / "x" / "kept.safetensors"
    one, two = load_file(kept[1]), load_file(kept[2])
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6)
