"""What users do with a finished run: `sparring driving render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.errors import BadInput

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Train a driver against traffic that looks for its weaknesses, attack it, and watch what happens.

A run (`sparring run driving`) trains a baseline and a hardened policy and attacks both.
""",
)

Folder = Annotated[Path, typer.Argument(help="A run folder made by `sparring run driving`.")]


@app.command()
def render(
    folder: Folder,
    scene: Annotated[int | None, typer.Option(help="Test scene; default: where hardening gained most.", min=0)] = None,
    move: Annotated[int | None, typer.Option(help="The attacker's candidate, 0 to 31; 0 is the log.", min=0)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The GIF; default FOLDER/figures/scene.gif.")] = None,
) -> None:
    """A GIF of one scene from above: baseline and hardened, under plain traffic and under attack."""
    import torch

    from sparring.engine import config as configs
    from sparring.engine.run import Run
    from sparring.systems.driving.config import Config
    from sparring.systems.driving.episodes import play_moves
    from sparring.systems.driving.experiment import load, scenes_of
    from sparring.systems.driving.render import films, gif

    target = out or folder / "figures" / "scene.gif"
    if target.suffix != ".gif":
        raise BadInput(f"--out {target}: the name must end in .gif")
    opened = Run.open(folder)
    config = configs.resolve(Config, None, folder / "config.yaml")
    test = scenes_of("test", config.test, opened)
    if scene is not None and scene >= len(test):
        raise BadInput(f"--scene {scene}: the run has test scenes 0 to {len(test) - 1}")
    if move is not None and move >= test.candidates:
        raise BadInput(f"--move {move}: a scene has candidates 0 to {test.candidates - 1}")
    defenders = {"baseline": load(folder, "baseline"), "hardened": load(folder)}
    rows = torch.arange(len(test)) if scene is None else torch.tensor([scene])
    moves = torch.arange(test.candidates) if move is None else torch.tensor([move])
    pairs = moves.expand(len(rows), -1)
    base, hard = (play_moves(d, test, rows, pairs).ret.reshape(pairs.shape) for d in defenders.values())
    admitted = (test.feasible & test.avoidable)[rows][:, moves]
    best = int(torch.where(admitted, hard - base, -100.0).argmax())
    chosen, played = int(rows[best // len(moves)]), int(moves[best % len(moves)])
    target.parent.mkdir(parents=True, exist_ok=True)
    gif(films(defenders, test, chosen, played), test, chosen, target)
    typer.echo(f"{target}  scene {chosen}, candidate {played}")
