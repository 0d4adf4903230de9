"""What counts as a domain: a column of the ratings, a level of the path, clusters of the features, or chance.

No definition is best for every axis, so several can be tried; the random one is the control that must change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparring.errors import BadInput
from sparring.typed import from_numpy


@dataclass(frozen=True)
class Domains:
    """The domain of every clip, `index` `(n,)` into `names`."""

    index: Tensor
    names: tuple[str, ...]


def assign(
    rule: str,
    *,
    columns: Mapping[str, Sequence[str]],
    paths: Sequence[Path],
    features: Tensor,
    generator: torch.Generator,
) -> Domains:
    """Domains by a rule: a column's name, `path:N` (the N-th folder above the file), `kmeans:K` or `random:K`.

    `features` are statistics `(n, f)`, pooled over time. Raises `BadInput` for a rule that does not fit, or that puts
    all clips into one domain.
    """
    kind, _, number = rule.partition(":")
    if rule in columns:
        found = named(columns[rule])
    elif kind == "path":
        found = named([_folder(path, _count(rule, number, 1)) for path in paths])
    elif kind == "kmeans":
        found = clusters(features, _count(rule, number, 2), generator=generator)
    elif kind == "random":
        found = at_random(len(paths), _count(rule, number, 2), generator=generator)
    else:
        known = ", ".join(columns) or "none"
        raise BadInput(f"--domain {rule}: give a column ({known}), path:N, kmeans:K or random:K")
    if len(found.names) < 2:
        raise BadInput(f"--domain {rule}: all clips fall into one domain; choose another rule")
    return found


def named(labels: Sequence[str]) -> Domains:
    """Domains by name, in alphabetical order."""
    names = sorted(set(labels))
    place = {name: i for i, name in enumerate(names)}
    return Domains(torch.tensor([place[label] for label in labels]), tuple(names))


def clusters(features: Tensor, count: int, *, generator: torch.Generator, rounds: int = 10) -> Domains:
    """k-means of standardised features `(n, f)` that were pooled over time, by scikit-learn.

    (The released code pools over channels instead, which leaves a profile of loudness over time.)
    """
    if len(features) < count:
        raise BadInput(f"--domain kmeans:{count}: only {len(features)} clips; choose fewer clusters")
    from sklearn.cluster import KMeans

    scaled = (features - features.mean(0)) / features.std(0).clamp_min(1e-6)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    index = KMeans(count, n_init=rounds, random_state=seed).fit_predict(scaled.numpy())
    return Domains(from_numpy(index).long(), tuple(f"cluster {k}" for k in range(count)))


def at_random(clips: int, count: int, *, generator: torch.Generator) -> Domains:
    """Equal shares by chance: the control."""
    index = torch.randperm(clips, generator=generator) % count
    return Domains(index, tuple(f"random {k}" for k in range(count)))


def _folder(path: Path, level: int) -> str:
    if len(path.parts) <= level:
        raise BadInput(f"--domain path:{level}: {path} has no folder {level} above the file")
    return path.parts[-1 - level]


def _count(rule: str, number: str, least: int) -> int:
    if not number.isdigit() or int(number) < least:
        raise BadInput(f"--domain {rule}: give a number of at least {least} after the colon")
    return int(number)
