"""The benchmark's pool of clips on disk: features and labels of every clip, and who spoke what with which damage.

The pool that the package ships (`spurqa.npz`) was made by `sparring audio build-benchmark`; all voices are synthetic.
The 449 features of a clip lie mostly in one plane: a file keeps their principal components in whole steps (1/6 of a
feature's deviation), an eighth of the bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.files import write_bytes
from sparring.systems.audio.features import WIDTH

SHIPPED = "spurqa.npz"
FORMAT = 2
STEP = 1 / 6
"""What a file rounds each principal component to, in deviations of one feature; .05 of a deviation in each feature."""
_FINER = 16  # the components' directions are rounded to finer steps, as their errors add up over components
_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lp": 1}]  # numbers of two bytes
_LARGEST = 1 << 30  # bytes that a file may unpack to
_NUMBERS = ("codes", "basis", "centre", "spread", "marks", "quality", "generator", "utterance", "family", "severity")


@dataclass(frozen=True)
class Pool:
    """`n` clips. `features` `(n, 449)`; `quality` `(n,)` PESQ-WB against the generator's own clean clip, 1 to 4.64;
    `generator`, `utterance`, `family` `(n,)` indices into the names; `severity` `(n,)` in [0, 1].

    `marks` `(n, 2)` are two fixed projections of the features before any rounding (`marked`), by which a clip that is
    built again is compared. `made_with` names the versions of engines and libraries.
    """

    features: NDArray[np.float32]
    quality: NDArray[np.float32]
    generator: NDArray[np.int64]
    utterance: NDArray[np.int64]
    family: NDArray[np.int64]
    severity: NDArray[np.float32]
    marks: NDArray[np.float32]
    generators: tuple[str, ...]
    sentences: tuple[str, ...]
    families: tuple[str, ...]
    made_with: Mapping[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.quality)

    def save(self, path: Path) -> None:
        """Write as npz. Features are rounded (see `STEP`), everything else is exact."""
        centre, spread = _scale(self.features)
        codes, basis = _rounded((self.features - centre) / spread)
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
            codes=_packed(codes),
            basis=_packed(basis),
            centre=centre,
            spread=spread,
            marks=self.marks,
            quality=self.quality,
            generator=self.generator.astype(np.uint8),
            utterance=self.utterance.astype(np.uint8),
            family=self.family.astype(np.uint8),
            severity=self.severity,
        )
        write_bytes(path, stream.getvalue())


def marked(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Two fixed random projections of each clip's features, `(n, 2)`.

    Of two clips, the mean square difference of the marks estimates that of the features (Johnson and Lindenstrauss).
    """
    signs = np.random.RandomState(0).choice((-1.0, 1.0), (WIDTH, 2))
    return (features.astype(np.float64) @ signs / np.sqrt(WIDTH)).astype(np.float32)


def _scale(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spread = features.std(0, dtype=np.float64)
    return features.mean(0, dtype=np.float64), np.where(spread > 0, spread, 1.0)


def _rounded(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    _, size, directions = np.linalg.svd(z, full_matrices=False)
    size = size / np.sqrt(len(z))
    kept = size > STEP / np.sqrt(12)  # below it a component is smaller than its own rounding
    basis = np.rint(directions[kept] * size[kept, None] / STEP * _FINER)
    # The clips' places on the rounded directions, so that no error of those remains within their span.
    places: NDArray[np.floating[Any]] = np.linalg.lstsq(_directions(basis).T, z.T, rcond=None)[0]
    return np.rint(places.T.astype(np.float64) / STEP), basis


def _unrounded(part: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    basis = _unpacked(part["basis"]).reshape(WIDTH, -1).T
    codes = _unpacked(part["codes"]).reshape(len(basis), len(part["quality"])).T
    z = STEP * codes @ _directions(basis)
    return (part["centre"] + z * part["spread"]).astype(np.float32)


def _directions(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    return basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1)


def _packed(numbers: NDArray[np.float64]) -> NDArray[np.uint8]:
    raw = numbers.T.astype("<i2").tobytes()
    return np.frombuffer(lzma.compress(raw, lzma.FORMAT_XZ, filters=_LZMA), np.uint8)


def _unpacked(data: NDArray[np.uint8]) -> NDArray[np.float64]:
    raw = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data.tobytes(), _LARGEST)
    return np.frombuffer(raw, "<i2").astype(np.float64)


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
            if about["format"] != FORMAT:
                raise ValueError("another format")
        return Pool(
            features=_unrounded(part),
            quality=part["quality"].astype(np.float32),
            generator=part["generator"].astype(np.int64),
            utterance=part["utterance"].astype(np.int64),
            family=part["family"].astype(np.int64),
            severity=part["severity"].astype(np.float32),
            marks=part["marks"].astype(np.float32).reshape(-1, 2),
            generators=tuple(about["generators"]),
            sentences=tuple(about["sentences"]),
            families=tuple(about["families"]),
            made_with=about["made_with"],
        )
    except (KeyError, ValueError, TypeError, OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile):
        raise BadInput(f"{name}: is no benchmark pool; make it with `sparring audio build-benchmark`") from None
