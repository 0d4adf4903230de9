"""Two processes play the same game as one: gradients are averaged for networks and for proposers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import importlib.util, json, sys, warnings
import torch
from dataclasses import replace
from torch import nn
from sparring.engine.runtime import Hardware, Runtime
from sparring.engine.state import TrainState
from sparring.opponents import R1, R2
from sparring.strategies import Alternating

warnings.simplefilter("ignore")
spec = importlib.util.spec_from_file_location("games", sys.argv[1])
games = importlib.util.module_from_spec(spec)
spec.loader.exec_module(games)
torch.set_num_threads(1)
runtime = Runtime(Hardware(device="cpu", devices=int(sys.argv[2])))
found = {}
for kind in ("reversal", "alternating", "selfplay"):
    task = games.make(kind)
    task.game.defender[1] = nn.Identity()  # dropout differs between processes
    if kind == "alternating":
        task = replace(task, strategy=Alternating(penalties=(R1(), R2()), opponent_steps=2))
    state = TrainState(task, runtime, 3)
    for batch in list(task.data(torch.Generator()))[:4]:
        state.advance(task.strategy.step(state.game, runtime.shard(batch), state))
    bare = [state.unwrap(module) for module in (state.game.defender, state.game.adversary)]
    weights = torch.cat([p.detach().double().flatten() for module in bare for p in module.parameters()])
    found[kind] = runtime.gather(weights).tolist()
if runtime.rank == 0:
    with open(sys.argv[3], "w") as stream:
        json.dump(found, stream)
"""


def run(folder: Path, processes: int) -> dict[str, list[list[float]]]:
    script, out = folder / "play.py", folder / f"{processes}.json"
    script.write_text(SCRIPT)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    games = Path(__file__).with_name("test_interrupted.py")
    command = [*launch, str(script), str(games), str(processes), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
def test_two_processes_play_the_same_game_as_one(tmp_path: Path) -> None:
    alone, together = run(tmp_path, 1), run(tmp_path, 2)
    for kind in ("reversal", "alternating"):
        for weights in together[kind]:
            assert weights == pytest.approx(alone[kind][0], abs=1e-5)
    # Moves are drawn by each process for its own samples, so only the processes agree with one another.
    assert together["selfplay"][0] == together["selfplay"][1]
