"""Gradient reversal on clips whose generator gives their quality away: one draw of the embedded benchmark."""

import tempfile
from pathlib import Path

import torch

from sparring.engine.run import Run
from sparring.systems.audio.compare import Arena
from sparring.systems.audio.data import Shift
from sparring.systems.audio.fit import Size
from sparring.systems.audio.pool import shipped

torch.set_num_threads(1)
clips, _ = shipped()
print(f"{len(clips):,} clips of {len(clips.generators)} synthetic voices, labelled by PESQ")

with tempfile.TemporaryDirectory() as folder:
    run = Run(Path(folder), seed=0, quiet=True)
    # Two seeds are trained side by side; each draws its own sentences, clips, listeners and shortcut.
    arena = Arena.open(clips, Shift(strength=0.65, raters=2), seeds=(0, 1), size=Size(passes=20), run=run)
    for method, number in (("ERM", 0.1), ("re-weighted ERM", 0.1), ("GRL conditional, weighted", 0.2)):
        outcome, _ = arena.play(method, number)
        figures = ", ".join(f"{test} {outcome.mean(test):.2f}" for test in ("same", "balanced", "flipped"))
        print(f"{method:26} SRCC where the shortcut is the {figures}")
