"""Train a small teacher on handwritten digits, distil it to one step, and draw both: what `sparring images` does."""

import tempfile
from pathlib import Path

import torch
from PIL import Image

from sparring.engine.run import Run
from sparring.systems.images import data, stages
from sparring.systems.images.config import Config, Distil, Net, Teach, Tokens
from sparring.systems.images.samplers import Sampler, one_step, sample
from sparring.systems.images.sheets import tiles

config = Config(
    tokens=Tokens(kind="patches", codes=64, factor=2),
    net=Net(width=48, layers=2, heads=4),
    teach=Teach(steps=250, batch=64, warmup=20),
    distil=Distil(steps=60, batch=48, rate=1e-3, opponent_rate=3e-3, guidance=1.0, warmup=10, rounds=1),
)
splits = data.digits()
prompts = torch.arange(40).remainder(10).unsqueeze(1) + 1  # 0 is "no condition"
with tempfile.TemporaryDirectory() as folder:
    run = Run(Path(folder), seed=0)  # everything in a run folder resumes after a kill
    grids = stages.tokenized(config, run, splits)
    teacher = stages.taught(config, run, grids)
    student = stages.distilled(config.distil, run, grids, teacher).student

grid, generator = grids.tokenizer.grid, torch.Generator().manual_seed(0)
rows = {
    "teacher, 1 step": sample(teacher, prompts, Sampler(1), grid, generator),
    "teacher, 16 steps": sample(teacher, prompts, Sampler(16, temperature=0.9), grid, generator),
    "student, 1 step": one_step(student, prompts, 0.7, generator),
}
sheets = [tiles(stages.decoded(grids.tokenizer, tokens), across=20).squeeze(2) for tokens in rows.values()]
Image.fromarray(torch.cat(sheets).repeat_interleave(4, 0).repeat_interleave(4, 1).numpy()).save("digits.png")
print("digits.png, from above:", ", ".join(rows))
