"""The benchmark's pool of clips on disk: features and labels of every clip, and who spoke what with which damage.

The pool that the package ships (`spurqa.npz`) was made by `sparring audio build-benchmark`; all voices are synthetic.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.files import write_bytes
from sparring.systems.audio.features import WIDTH

SHIPPED = "spurqa.npz"
FORMAT = 1
_LEVELS = 65_535
_NUMBERS = ("codes", "low", "high", "quality", "generator", "utterance", "family", "severity")


@dataclass(frozen=True)
class Pool:
    """`n` clips. `features` `(n, 449)`; `quality` `(n,)` PESQ-WB against the generator's own clean clip, 1 to 4.64;
    `generator`, `utterance`, `family` `(n,)` indices into the names; `severity` `(n,)` in [0, 1].

    `made_with` names the versions of engines and libraries.
    """

    features: NDArray[np.float32]
    quality: NDArray[np.float32]
    generator: NDArray[np.int64]
    utterance: NDArray[np.int64]
    family: NDArray[np.int64]
    severity: NDArray[np.float32]
    generators: tuple[str, ...]
    sentences: tuple[str, ...]
    families: tuple[str, ...]
    made_with: Mapping[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.quality)

    def save(self, path: Path) -> None:
        """Write as compressed npz. Each feature is kept in 65,536 steps between its extremes."""
        low, high = self.features.min(0), self.features.max(0)
        span = np.where(high > low, high - low, 1).astype(np.float64)
        codes = np.rint((self.features - low.astype(np.float64)) / span * _LEVELS).astype(np.uint16)
        about = {
            "format": FORMAT,
            "generators": self.generators,
            "sentences": self.sentences,
            "families": self.families,
            "made_with": dict(self.made_with),
        }
        stream = io.BytesIO()
        np.savez_compressed(
            stream,
            about=np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8),
            codes=codes,
            low=low,
            high=high,
            quality=self.quality,
            generator=self.generator.astype(np.uint8),
            utterance=self.utterance.astype(np.uint8),
            family=self.family.astype(np.uint8),
            severity=self.severity,
        )
        write_bytes(path, stream.getvalue())


def shipped() -> tuple[Pool, str]:
    """The pool in the package, and its file's SHA-256."""
    data = resources.files("sparring.systems.audio").joinpath(SHIPPED).read_bytes()
    return _parse(data, SHIPPED), hashlib.sha256(data).hexdigest()


def load(path: Path) -> tuple[Pool, str]:
    """A pool that `build-benchmark` wrote, and its file's SHA-256. Raises `BadInput` if it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); make it with `sparring audio build-benchmark`"
        ) from None
    return _parse(data, str(path)), hashlib.sha256(data).hexdigest()


def _parse(data: bytes, name: str) -> Pool:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            about = json.loads(archive["about"].tobytes())
            part = {key: archive[key] for key in _NUMBERS}
            if about["format"] != FORMAT or part["codes"].shape != (len(part["quality"]), WIDTH):
                raise ValueError("another format")
        low, span = part["low"].astype(np.float64), (part["high"] - part["low"]).astype(np.float64)
        return Pool(
            features=(low + part["codes"] / _LEVELS * span).astype(np.float32),
            quality=part["quality"].astype(np.float32),
            generator=part["generator"].astype(np.int64),
            utterance=part["utterance"].astype(np.int64),
            family=part["family"].astype(np.int64),
            severity=part["severity"].astype(np.float32),
            generators=tuple(about["generators"]),
            sentences=tuple(about["sentences"]),
            families=tuple(about["families"]),
            made_with=about["made_with"],
        )
    except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        raise BadInput(f"{name}: is no benchmark pool; make it with `sparring audio build-benchmark`") from None
