"""The audio bars: gradient reversal and its rivals where generator and quality are tied, and where they are not.

    SPARRING_DATA=FOLDER python benchmarks/audio.py [--quick] [--seeds 10]

Every method gets five values of its one number; the value is chosen on in-domain validation clips, re-weighted until
score bin and generator are independent. The tests (same, balanced, flipped) are looked at once. All seeds of a training
run as one batched computation. CPU time is counted, not wall-clock. The human-rated clips are needed for bar 5.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from audio_bars import Found, bars
from form import write

from sparring.engine.run import Run
from sparring.systems.audio import human, pool
from sparring.systems.audio.compare import Arena, Outcome, best
from sparring.systems.audio.data import Shift
from sparring.systems.audio.features import RATE, statistics
from sparring.systems.audio.fit import Size
from sparring.systems.audio.methods import METHODS
from sparring.systems.audio.tell import probe_figures

VARIANTS = tuple(name for name in METHODS if name.startswith("GRL"))
UNSEEN = ("ERM", "re-weighted ERM", *VARIANTS, "CORAL", "GroupDRO", "IRM", "V-REx", "domain intercept")
PROBED = ("ERM", "GRL", "CORAL")


def table(arena: Arena, tries: int) -> tuple[dict[str, Outcome], dict[str, list[Outcome]]]:
    """Every method tuned: the chosen outcomes, and all that were tried."""
    chosen: dict[str, Outcome] = {}
    tried: dict[str, list[Outcome]] = {}
    for name, (_, values) in METHODS.items():
        start = time.process_time()
        chosen[name], tried[name] = arena.tune(name, values[:tries])
        tell(chosen[name], time.process_time() - start)
    return chosen, tried


def tell(outcome: Outcome, seconds: float) -> None:
    figures = "  ".join(f"{t} {outcome.mean(t):.3f}" for t in outcome.tests)
    line = f"{outcome.method:34} {outcome.value:<7g} valid {outcome.valid:.3f}  {figures}"
    print(f"{line}  bias {outcome.mean('balanced', 'bias'):.3f}  {seconds:.0f} CPU-s", flush=True)


def again(arena: Arena, names: Sequence[str], chosen: dict[str, Outcome]) -> dict[str, Outcome]:
    """Methods on other draws, with the values chosen on the main ones."""
    found: dict[str, Outcome] = {}
    for name in names:
        start = time.process_time()
        found[name] = arena.play(name, chosen[name].value)[0]
        tell(found[name], time.process_time() - start)
    return found


def probes(arena: Arena, chosen: dict[str, Outcome], variant: str, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Fresh probes on the frozen representations, the MLP on the first three seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys((*PROBED, variant)):
        fitted = arena.play(name, chosen[name].value)[1]
        for i in range(seeds):
            part = arena.trials[i].tests["balanced"]
            z = fitted.model.represent(part.x)[:, i].numpy()
            for kind, value in probe_figures(z, part, mlp=i < 3).items():
                found.setdefault(name, {}).setdefault(kind, []).append(value)
    return found


def people(chosen: dict[str, Outcome], size: Size, run: Run, members: int) -> dict[str, dict[str, list[float]]]:
    """Cross-data-set SRCC on the human-rated clips: held-out set to method to one value a member."""
    rated = human.load()
    out: dict[str, dict[str, list[float]]] = {}
    for away in rated.sets:
        for name in METHODS:
            found = human.held_out(rated, away, name, chosen[name].value, size, run, members)
            out.setdefault(away, {})[name] = found["SRCC"]
    return out


def speed(fitted_size: Size) -> float:
    """Seconds of sound per CPU-second, features and network, of ten-second windows."""
    from sparring.systems.audio.fit import Ratings, network

    wave = torch.randn(10 * RATE, generator=torch.Generator().manual_seed(0)).numpy() * 0.1
    blank = Ratings(torch.randn(5, 4, 449), torch.zeros(5, 4, 1), torch.zeros(5, 4), 1)
    model = network(blank, fitted_size, generator=torch.Generator()).double().eval()
    statistics(wave)
    start = time.process_time()
    with torch.no_grad():
        for _ in range(10):
            model(torch.from_numpy(statistics(wave)).double().unsqueeze(0))
    return 100 / (time.process_time() - start)


def measure(seeds: Sequence[int], tries: int, size: Size, folder: Path) -> Found:
    run = Run(folder, 0, quiet=True, log_steps=0, checkpoint_seconds=1e9)
    clips, _ = pool.shipped()
    shift = Shift()
    start = time.process_time()
    arena = Arena.open(clips, shift, seeds, size, run)
    chosen, tried = table(arena, tries)
    variant = best(chosen[name] for name in VARIANTS)
    controls = {}
    for name in ("GRL", variant.method):
        label = f"{name} on random domains"
        controls[label] = arena.play(name, chosen[name].value, arena.random_domains(), label)[0]
        tell(controls[label], 0)
    spent = time.process_time() - start
    label = f"{variant.method} on k-means domains"
    further = {label: arena.play(variant.method, variant.value, arena.clustered(), label)[0]}
    further["domain means"] = arena.domain_means()
    free = Arena.open(clips, replace(shift, strength=0.0), seeds, size, run, "oracle")
    further["ERM on unselected clips (oracle)"] = free.play("ERM", chosen["ERM"].value)[0]
    for outcome in further.values():
        tell(outcome, 0)
    clean = Arena.open(clips, replace(shift, raters=0), seeds, size, run, "clean")
    unseen = Arena.open(clips, replace(shift, held_out=2), seeds, size, run, "unseen")
    print("clean labels", flush=True)
    on_clean = again(clean, ("ERM", "re-weighted ERM", *VARIANTS), chosen)
    print("unseen generators", flush=True)
    on_unseen = again(unseen, UNSEEN, chosen)
    control = "random domains"
    on_unseen[control] = unseen.play("GRL", chosen["GRL"].value, unseen.random_domains(), control)[0]
    tell(on_unseen[control], 0)
    return Found(
        chosen, tried, variant, controls, further, on_clean, on_unseen,
        probes=probes(arena, chosen, variant.method, len(seeds)), people=people(chosen, size, run, len(seeds)),
        seconds=spent, speed=speed(size), seeds=len(seeds),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, one try, little training: does all run?")
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = Size(passes=5) if chosen.quick else Size()
    seeds, tries = (range(2), 1) if chosen.quick else (range(chosen.seeds), 5)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(tuple(seeds), tries, size, Path(folder))
    command = "SPARRING_DATA=FOLDER python benchmarks/audio.py" + (" --quick" if chosen.quick else "")
    path = write("audio", command, DATA, tuple(seeds), bars(found), quick=chosen.quick)
    tries_file = path.parent / "tables" / path.name
    tries_file.parent.mkdir(exist_ok=True)
    tries_file.write_text(json.dumps(found.everything(), indent=1) + "\n", "utf-8")
    print(path, tries_file)


DATA = (
    "spurqa: 2,400 clips of 8 offline speech engines, 60 sentences, 10 kinds of damage, labels PESQ-WB against the "
    "engine's own clean clip, two simulated listeners (SD .8 each) per training clip, none in tests; human clips: "
    "codec_mushra, p835_fb, p835_nb"
)


if __name__ == "__main__":
    main()
