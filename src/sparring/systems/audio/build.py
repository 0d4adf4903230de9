"""The benchmark from nothing: sentences through speech engines, damage, PESQ labels, features."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.engine.progress import Progress
from sparring.errors import BadInput
from sparring.systems.audio.degrade import FAMILIES, degrade
from sparring.systems.audio.engines import ENGINES, Engine, chosen, spoken
from sparring.systems.audio.features import RATE, Wave, statistics
from sparring.systems.audio.pool import Pool, marked

TOLERANCE = 1e-4
"""Clips are the same if the root mean square difference of their features, in decades, is less."""


@dataclass(frozen=True)
class Row:
    """One damaged clip: who spoke which sentence, and the damage."""

    utterance: int
    family: int
    severity: float
    seed: int


def sentences() -> tuple[str, ...]:
    """The benchmark's sixty sentences."""
    text = resources.files("sparring.systems.audio").joinpath("sentences.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line)


def plan(engine: str, utterance: int, degradations: int) -> list[Row]:
    """The damages of one clean clip: families without repetition, severities stratified over [0, 1].

    They depend on the names alone, so that any part of the benchmark can be made on its own.
    """
    random = np.random.RandomState(_seed(f"{engine}/{utterance}"))
    families = random.permutation(len(FAMILIES))[:degradations]
    severities = (random.permutation(degradations) + random.random_sample(degradations)) / degradations
    return [
        Row(utterance, int(family), float(severity), _seed(f"{engine}/{utterance}/{k}"))
        for k, (family, severity) in enumerate(zip(families, severities, strict=True))
    ]


def build(
    engines: Sequence[str] = (),
    *,
    utterances: int = 60,
    degradations: int = 5,
    workers: int = 1,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> Pool:
    """Make the pool, or the part of it that the arguments name. `keep` is a folder for the damaged clips (wav).

    Raises `BadInput` that says what to install where an engine or a library is missing.
    """
    texts = sentences()
    if not 1 <= utterances <= len(texts) or not 1 <= degradations <= len(FAMILIES):
        raise BadInput(f"give 1 to {len(texts)} utterances and 1 to {len(FAMILIES)} degradations")
    voices = chosen(engines)
    _pesq()
    jobs = [(voice.name, u, degradations, keep) for voice in voices for u in range(utterances)]
    parts: list[_Part] = []
    for part in _made(jobs, workers):
        parts.append(part)
        if progress is not None:
            progress.advance()
    names = list(ENGINES)
    rows = [row for part in parts for row in part.rows]
    features = np.concatenate([part.features for part in parts])
    return Pool(
        features=features,
        marks=marked(features),
        quality=np.concatenate([part.quality for part in parts]),
        generator=np.concatenate([np.full(len(p.rows), names.index(p.engine)) for p in parts]).astype(np.int64),
        utterance=np.array([row.utterance for row in rows], np.int64),
        family=np.array([row.family for row in rows], np.int64),
        severity=np.array([row.severity for row in rows], np.float32),
        generators=tuple(names),
        sentences=texts,
        families=tuple(FAMILIES),
        made_with=versions(voices),
    )


def difference(made: Pool, reference: Pool) -> tuple[float, float]:
    """The largest root mean square difference of a clip's features, told by its marks, and the largest of a label.

    The clips of `made` must all be among those of the reference; raises `BadInput` otherwise.
    """
    places = {key: i for i, key in enumerate(_keys(reference))}
    try:
        at = [places[key] for key in _keys(made)]
    except KeyError:
        raise BadInput("the pools hold different clips; compare builds of the same settings") from None
    features = np.sqrt(np.square(made.marks - reference.marks[at]).mean(1))
    return float(features.max()), float(np.abs(made.quality - reference.quality[at]).max())


def versions(voices: Sequence[Engine]) -> dict[str, str]:
    """Versions of the libraries that shape the numbers, and of the engines' packages where they tell them."""
    found = {name: version(name) for name in ("numpy", "scipy", "soundfile", "soxr", "pesq")}
    return found | {voice.name: voice.version() for voice in voices}


@dataclass(frozen=True)
class _Part:
    engine: str
    rows: list[Row]
    features: NDArray[np.float32]
    quality: NDArray[np.float32]


def _made(jobs: Sequence[tuple[str, int, int, Path | None]], workers: int) -> Iterator[_Part]:
    if workers == 1:
        yield from map(_clips, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        yield from processes.map(_clips, jobs, chunksize=4)


def _clips(job: tuple[str, int, int, Path | None]) -> _Part:
    """All damaged clips of one sentence by one engine."""
    name, utterance, degradations, keep = job
    clean = spoken(ENGINES[name], sentences()[utterance])
    rows = plan(name, utterance, degradations)
    features: list[NDArray[np.float32]] = []
    quality: list[float] = []
    for k, row in enumerate(rows):
        damaged = degrade(clean, list(FAMILIES)[row.family], row.severity, np.random.RandomState(row.seed))
        features.append(statistics(damaged))
        quality.append(_label(clean, damaged))
        if keep is not None:
            _keep(damaged, keep / f"{name}_{utterance:02d}_{k}.wav")
    return _Part(name, rows, np.stack(features), np.array(quality, np.float32))


def _label(clean: Wave, damaged: Wave) -> float:
    """PESQ-WB (ITU-T P.862.2) of the damaged clip against the clean one."""
    return float(_pesq().pesq(RATE, clean, damaged, "wb"))


def _pesq() -> Any:
    try:
        return importlib.import_module("pesq")
    except ImportError:
        raise BadInput("labels need pesq; pip install 'sparring[audio]'") from None


def _keep(wave: Wave, path: Path) -> None:
    soundfile: Any = importlib.import_module("soundfile")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), wave, RATE)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")


def _keys(pool: Pool) -> list[tuple[str, str, str, float]]:
    return [
        (pool.generators[g], pool.sentences[u], pool.families[f], round(float(s), 5))
        for g, u, f, s in zip(pool.generator, pool.utterance, pool.family, pool.severity, strict=True)
    ]
