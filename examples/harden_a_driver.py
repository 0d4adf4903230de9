"""Train a driver on plain traffic, let traffic look for its weaknesses, train on, and compare both under attack."""

import tempfile
from pathlib import Path

import torch

from sparring.engine.run import Run
from sparring.systems.driving.attacks import pursue
from sparring.systems.driving.build import procedural
from sparring.systems.driving.response import against_all, allowed
from sparring.systems.driving.training import Duel, Size, harden, start

scenes = procedural(18, "training", torch.Generator().manual_seed(0))
unseen = procedural(7, "test", torch.Generator().manual_seed(1))
size = Size(episodes=64, start=4, rounds=4)

with tempfile.TemporaryDirectory() as folder:
    run = Run(Path(folder), seed=0, quiet=True)
    first = start(scenes, size, run).defender
    drivers = {name: harden(name, first, scenes, size, Duel(scenes=18), run).defender for name in ("none", "adv0")}

for name, driver in drivers.items():
    played = against_all(driver, unseen)
    worst = torch.where(allowed(unseen), played.ret, torch.inf).amin(1).mean()
    print(f"{name:5} return on the log {played.ret[:, 0].mean():.1f}, under the worst of 32 moves {worst:.1f}, "
          f"crashes under pursuit {pursue(driver, unseen).crashed.float().mean():.2f}")  # fmt: skip
