"""The audio bars: gradient reversal and its rivals where generator and quality are tied, and where they are not.

    SPARRING_DATA=FOLDER python benchmarks/audio.py [--quick] [--seeds 30]

Every family of methods (ERM, gradient reversal, CORAL, ...) gets eight tries, shared among its variants, plain and
re-weighted. Variant and number are chosen on in-domain validation clips of the draws 0 to 9, re-weighted until score
bin and generator are independent. What was chosen is trained again on thirty further draws, whose tests (same,
balanced, flipped) are looked at once. All draws of a training run as one batched computation. CPU time is counted, not
wall-clock. The human-rated clips are needed for bar 5.
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
from sparring.systems.audio.methods import FAMILIES, METHODS
from sparring.systems.audio.tell import probe_figures

TRIES = 8
"""For every family, shared evenly among its variants."""
TUNED_ON = 10
PROBED = ("ERM", "GRL", "CORAL")


def tune(arena: Arena, tries: int) -> tuple[dict[str, Outcome], dict[str, list[Outcome]]]:
    """Every variant of every family tuned: the chosen outcomes, and all that were tried."""
    chosen: dict[str, Outcome] = {}
    tried: dict[str, list[Outcome]] = {}
    for variants in FAMILIES.values():
        for name in variants:
            start = time.process_time()
            chosen[name], tried[name] = arena.tune(name, METHODS[name][1][: max(1, tries // len(variants))])
            tell(chosen[name], time.process_time() - start)
    return chosen, tried


def winners(tuned: dict[str, Outcome]) -> dict[str, Outcome]:
    """The best variant of every family by validation; and plain and re-weighted ERM and marginal GRL in any case."""
    names = {family: best(tuned[name] for name in variants).method for family, variants in FAMILIES.items()}
    return {name: tuned[name] for name in dict.fromkeys(("ERM", "re-weighted ERM", "GRL", *names.values()))}


def tell(outcome: Outcome, seconds: float) -> None:
    figures = "  ".join(f"{t} {outcome.mean(t):.3f}" for t in outcome.tests)
    line = f"{outcome.method:34} {outcome.value:<7g} valid {outcome.valid:.3f}  {figures}"
    print(f"{line}  bias {outcome.mean('balanced', 'bias'):.3f}  {seconds:.0f} CPU-s", flush=True)


def again(arena: Arena, chosen: dict[str, Outcome]) -> dict[str, Outcome]:
    """The chosen methods, with their numbers, on other draws."""
    found: dict[str, Outcome] = {}
    for name, outcome in chosen.items():
        start = time.process_time()
        found[name] = arena.play(name, outcome.value)[0]
        tell(found[name], time.process_time() - start)
    return found


def probes(arena: Arena, chosen: dict[str, Outcome], variant: str) -> dict[str, dict[str, list[float]]]:
    """Fresh probes on the frozen representations of ten draws, the MLP on the first three."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys((*(n for n in chosen if n.startswith(PROBED)), variant)):
        fitted = arena.play(name, chosen[name].value)[1]
        for i, trial in enumerate(arena.trials[:10]):
            part = trial.tests["balanced"]
            z = fitted.model.represent(part.x)[:, i].numpy()
            for kind, value in probe_figures(z, part, mlp=i < 3).items():
                found.setdefault(name, {}).setdefault(kind, []).append(value)
    return found


def people(chosen: dict[str, Outcome], size: Size, run: Run, members: int) -> dict[str, dict[str, list[float]]]:
    """Cross-data-set SRCC on the human-rated clips: held-out set to method to one value a member."""
    rated = human.load()
    out: dict[str, dict[str, list[float]]] = {}
    for away in rated.sets:
        for name, outcome in chosen.items():
            found = human.held_out(rated, away, name, outcome.value, size, run, members)
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


def measure(seeds: Sequence[int], tuned_on: Sequence[int], tries: int, size: Size, folder: Path) -> Found:
    run = Run(folder, 0, quiet=True, log_steps=0, checkpoint_seconds=1e9)
    clips, _ = pool.shipped()
    shift = Shift()
    start = time.process_time()
    print(f"tuning on draws {tuned_on[0]} to {tuned_on[-1]}", flush=True)
    tuned, tried = tune(Arena.open(clips, shift, tuned_on, size, run, "tuning"), tries)
    variant = best(tuned[name] for name in FAMILIES["GRL"])
    first = winners(tuned)
    print(f"the chosen ones on draws {seeds[0]} to {seeds[-1]}", flush=True)
    arena = Arena.open(clips, shift, seeds, size, run)
    chosen = again(arena, first)
    label = f"{variant.method}, λ = 0"
    zero = arena.play(variant.method, 0.0, label=label)[0]
    tell(zero, 0)
    controls: dict[str, Outcome] = {}
    for name in dict.fromkeys(("GRL", variant.method)):
        label = f"{name} on random domains"
        controls[label] = arena.play(name, chosen[name].value, arena.random_domains(), label)[0]
        tell(controls[label], 0)
    spent = time.process_time() - start
    print(f"the table: {spent:.0f} CPU-s", flush=True)
    few = seeds[:10]
    free = Arena.open(clips, replace(shift, strength=0.0), seeds, size, run, "free")
    first |= {name: tuned[name] for name in FAMILIES["GRL"]}
    return Found(
        tuned=tuned, tried=tried, chosen=chosen, variant=chosen[variant.method], zero=zero, controls=controls,
        further=further(arena, chosen, variant, free),
        clean=on_clean(Arena.open(clips, replace(shift, raters=0), few, size, run, "clean"), first),
        unseen=on_unseen(Arena.open(clips, replace(shift, held_out=2), few, size, run, "unseen"), first),
        probes=probes(arena, chosen, variant.method), people=people(first, size, run, len(few)),
        seconds=spent, speed=speed(size), seeds=len(seeds),
    )  # fmt: skip


def further(arena: Arena, chosen: dict[str, Outcome], variant: Outcome, free: Arena) -> dict[str, Outcome]:
    """k-means domains, the shortcut alone, and an oracle: ERM on as many clips without any selection."""
    label = f"{variant.method} on k-means domains"
    found = {label: arena.play(variant.method, variant.value, arena.clustered(), label)[0]}
    found["domain means"] = arena.domain_means()
    found["ERM on unselected clips (oracle)"] = free.play("ERM", chosen["ERM"].value)[0]
    for outcome in found.values():
        tell(outcome, 0)
    return found


def on_clean(arena: Arena, chosen: dict[str, Outcome]) -> dict[str, Outcome]:
    """ERM and gradient reversal where no listener errs."""
    print("clean labels", flush=True)
    return again(arena, {n: chosen[n] for n in (*FAMILIES["ERM"], *FAMILIES["GRL"])})


def on_unseen(arena: Arena, chosen: dict[str, Outcome]) -> dict[str, Outcome]:
    """All of them on two generators that no training clip came from, and marginal GRL on random domains."""
    print("unseen generators", flush=True)
    found = again(arena, chosen)
    control = "random domains"
    found[control] = arena.play("GRL", chosen["GRL"].value, arena.random_domains(), control)[0]
    tell(found[control], 0)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, one try, little training: does all run?")
    parser.add_argument("--seeds", type=int, default=30, help="draws that are tested, from the tenth on")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = Size(passes=5) if chosen.quick else Size()
    tuned_on, tries = (range(2), 1) if chosen.quick else (range(TUNED_ON), TRIES)
    seeds = range(TUNED_ON, TUNED_ON + (2 if chosen.quick else chosen.seeds))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(tuple(seeds), tuple(tuned_on), tries, size, Path(folder))
    command = "SPARRING_DATA=FOLDER python benchmarks/audio.py" + (" --quick" if chosen.quick else "")
    path = write("audio", command, DATA, tuple(seeds), bars(found), quick=chosen.quick)
    tries_file = path.parent / "tables" / path.name
    tries_file.parent.mkdir(exist_ok=True)
    tries_file.write_text(json.dumps(found.everything(), indent=1) + "\n", "utf-8")
    print(path, tries_file)


DATA = (
    "spurqa: 2,400 clips of 8 offline speech engines, 60 sentences, 10 kinds of damage, labels PESQ-WB against the "
    "engine's own clean clip, two simulated listeners (SD .8 each) per training clip, none in tests; numbers and "
    "variants chosen on the validation clips of draws 0 to 9, eight tries a family; human clips: codec_mushra, "
    "p835_fb, p835_nb"
)


if __name__ == "__main__":
    main()
