"""What users do with a finished run: `sparring driving evaluate` and `sparring driving render`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.errors import BadInput

if TYPE_CHECKING:
    from sparring.engine.run import Run
    from sparring.systems.driving.scenes import Scenes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Train a driver against traffic that looks for its weaknesses, attack it, and watch what happens.

`sparring run driving --out RUN` trains a baseline and a hardened policy and attacks both; these commands take its
folder. Recorded scenes are CommonRoad scenarios (**.xml**), or **.npz** files of plain arrays: NAME/traj (agents,
steps, [x, y, heading, speed] every 0.1 s) with NAME/lw (length, width), or KING's NAME/init and NAME/final (moments,
vehicles, [x, y, yaw, vx, vy]).
""",
)

Folder = Annotated[Path, typer.Argument(help="A run folder made by `sparring run driving`.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def evaluate(
    folder: Folder,
    scenes: Annotated[
        Path | None, typer.Option(help="Recorded scenes (.xml or .npz); default: the run's own test scenes.")
    ] = None,
    search: Annotated[int, typer.Option(help="Episodes per round of the search; 0 leaves it out.", min=0)] = 8,
    seed: Annotated[int, typer.Option(help="The seed of the search.", min=0)] = 0,
    simulator: Annotated[
        str | None, typer.Option(help="Drive the ego in another simulator's body: highway-env or metadrive.")
    ] = None,
    count: Annotated[int, typer.Option(help="Scenes driven in another simulator, evenly spread.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """Drive both policies of a run through scenes of your own, on the log and under attack.

    Crashes are those with the attacker; without an attack, and in KING's scenes, those with anybody. Read them with the
    return and the completion: who stands still has few crashes.
    """
    from sparring.systems.driving.experiment import load

    run, found = _run_and_scenes(folder, scenes)
    if search == 1:
        raise BadInput("--search 1: the search needs at least 2 episodes a round; 0 leaves it out")
    rows: list[dict[str, Any]] = []
    for name, file in (("baseline", "baseline"), ("hardened", "model")):
        driver = load(folder, file)
        for attack, of in found.items():
            if simulator is None:
                rows += _attacked(driver, of, name, attack, search, seed)
            else:
                rows += _moved(driver, of, name, attack, simulator, count)
    if as_json:
        typer.echo(json.dumps({"run": str(run.folder), "scenes": str(scenes or "test"), "rows": rows}, indent=2))
        return
    _table(rows)


@app.command()
def render(
    folder: Folder,
    scene: Annotated[int | None, typer.Option(help="Scene; default: where hardening gained most.", min=0)] = None,
    move: Annotated[int | None, typer.Option(help="The attacker's candidate, 0 to 31; 0 is the log.", min=0)] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="Recorded scenes (.xml or .npz); default: the run's own test scenes.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The GIF; default FOLDER/figures/scene.gif.")] = None,
) -> None:
    """A GIF of one scene from above: baseline and hardened, under plain traffic and under attack."""
    import torch

    from sparring.systems.driving.episodes import play_moves
    from sparring.systems.driving.experiment import load
    from sparring.systems.driving.render import films, gif
    from sparring.systems.driving.response import allowed

    target = out or folder / "figures" / "scene.gif"
    if target.suffix != ".gif":
        raise BadInput(f"--out {target}: the name must end in .gif")
    _, found = _run_and_scenes(folder, scenes)
    test = next(reversed(found.values()))
    if scene is not None and scene >= len(test):
        raise BadInput(f"--scene {scene}: there are scenes 0 to {len(test) - 1}")
    if move is not None and move >= test.candidates:
        raise BadInput(f"--move {move}: a scene has candidates 0 to {test.candidates - 1}")
    defenders = {"baseline": load(folder, "baseline"), "hardened": load(folder)}
    rows = torch.arange(len(test)) if scene is None else torch.tensor([scene])
    moves = torch.arange(test.candidates) if move is None else torch.tensor([move])
    pairs = moves.expand(len(rows), -1)
    base, hard = (play_moves(d, test, rows, pairs).ret.reshape(pairs.shape) for d in defenders.values())
    best = int(torch.where(allowed(test)[rows][:, moves], hard - base, -100.0).argmax())
    chosen, played = int(rows[best // len(moves)]), int(moves[best % len(moves)])
    target.parent.mkdir(parents=True, exist_ok=True)
    gif(films(defenders, test, chosen, played), test, chosen, target)
    typer.echo(f"{target}  scene {chosen}, candidate {played}")


def _run_and_scenes(folder: Path, path: Path | None) -> tuple[Run, dict[str, Scenes]]:
    """The run, and named scenes: its own test scenes, or what a file holds."""
    import torch

    from sparring.engine import config as configs
    from sparring.engine.run import Run
    from sparring.systems.driving.config import Config
    from sparring.systems.driving.experiment import scenes_of
    from sparring.systems.driving.logs import arrays, king, ngsim

    run = Run.open(folder)
    if path is None:
        return run, {"test": scenes_of("test", configs.resolve(Config, None, folder / "config.yaml").test, run)}
    if path.suffix == ".xml":
        from sparring.systems.driving.commonroad import commonroad

        return run, {path.name: commonroad(path, torch.Generator().manual_seed(0))}
    if any(name.endswith("/final") for name in arrays(path)):
        before, after = king(path)
        return run, {"as they began": before, "as attacked": after}
    return run, {path.name: ngsim(path, ("",), torch.Generator().manual_seed(0))}


def _attacked(driver: Any, scenes: Scenes, model: str, of: str, episodes: int, seed: int) -> list[dict[str, Any]]:
    """One defender's rows on one set of scenes."""
    import torch

    from sparring.systems.driving.arena import replayed
    from sparring.systems.driving.attacks import BUDGETS, Search, pursue, search
    from sparring.systems.driving.episodes import play
    from sparring.systems.driving.response import against_all, allowed

    every = torch.arange(len(scenes))
    clean = play(driver, scenes, every)
    touched = replayed(driver, scenes).float()
    row: dict[str, Any] = {"model": model, "scenes": of, "n": len(scenes)}
    rows = [row | {"attack": "none", "crashes": float(touched.mean()), "return": float(clean.ret.mean()),
                   "completion": float(clean.completion.mean())}]  # fmt: skip
    if scenes.candidates > 1:
        played = against_all(driver, scenes)
        worst = torch.where(allowed(scenes), played.ret, torch.inf).argmin(1, keepdim=True)
        hit, worth = played.crashed.float().gather(1, worst), played.ret.gather(1, worst)
        rows.append(row | {"attack": "worst candidate", "crashes": float(hit.mean()), "return": float(worth.mean())})
        if episodes:
            rule = Search(episodes, 3, max(1, episodes // 3))
            found = search(driver, scenes, rule, torch.Generator().manual_seed(seed))
            rows += [
                row
                | {"attack": f"search, {accel:g} m/s²", "crashes": float(c.float().mean()), "return": float(r.mean())}
                for (accel, _), c, r in zip(BUDGETS, found.crashed, found.ret, strict=True)
            ]
        chase = pursue(driver, scenes)
        rows.append(row | {"attack": "pursuit", "crashes": float(chase.crashed.float().mean()),
                           "return": float(chase.ret.mean())})  # fmt: skip
    return rows


def _moved(driver: Any, scenes: Scenes, model: str, of: str, simulator: str, count: int) -> list[dict[str, Any]]:
    """One defender's rows with its body in another simulator: the attacks are those that were worst in ours."""
    import torch

    from sparring.systems.driving.attacks import Pursuit
    from sparring.systems.driving.elsewhere import body, play_elsewhere
    from sparring.systems.driving.response import against_all, allowed

    few = scenes.take(torch.linspace(0, len(scenes) - 1, min(count, len(scenes))).long())
    every = torch.arange(len(few))
    worst = torch.where(allowed(few), against_all(driver, few).ret, torch.inf).argmin(1)
    path = few.moves[every, worst]
    rows: list[dict[str, Any]] = []
    with body(simulator) as vehicle:
        for attack, out in (
            ("none", play_elsewhere(driver, few, every, vehicle)),
            ("worst candidate in ours", play_elsewhere(driver, few, every, vehicle, path)),
            ("pursuit", play_elsewhere(driver, few, every, vehicle, attack=Pursuit())),
        ):
            hit = out.failed if attack == "none" else out.crashed
            rows.append({"model": model, "scenes": f"{of} in {simulator}", "n": len(few), "attack": attack,
                         "crashes": float(hit.float().mean()), "return": float(out.ret.mean()),
                         "completion": float(out.completion.mean())})  # fmt: skip
    return rows


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("scenes", "attack", "model", "n", "crashes", "return", "completion")
    for r in sorted(rows, key=lambda r: (r["scenes"], r["attack"] != "none", r["attack"])):
        share = f"{r['completion']:.3f}" if "completion" in r else ""
        table.add_row(
            r["scenes"], r["attack"], r["model"], str(r["n"]), f"{r['crashes']:.3f}", f"{r['return']:.2f}", share
        )
    Console().print(table)
