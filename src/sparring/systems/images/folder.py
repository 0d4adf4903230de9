"""Your own pictures: a folder of any sizes and modes, subfolders as classes, broken files named and left out."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data
from sparring.systems.images.data import Pictures
from sparring.typed import from_numpy

if TYPE_CHECKING:
    from PIL.Image import Image

LONE = "picture"
"""The one word of pictures without class folders."""
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Found:
    """The pictures of a folder; `skipped` are the files left out, `enlarged` how many were smaller than asked."""

    pictures: Pictures
    skipped: tuple[Skipped, ...]
    enlarged: int

    @property
    def note(self) -> str:
        """What a reader of figures must know about how the pictures were made, in one line."""
        parts = [f"{len(self.skipped)} files left out"] if self.skipped else []
        parts += [f"{self.enlarged} enlarged"] if self.enlarged else []
        return "; ".join(parts)


def read(folder: Path, *, size: int = 32, quiet: bool = False) -> Found:
    """All pictures below `folder`, cut to the middle square and scaled to `size` x `size`.

    Each subfolder of `folder` is a class, its name the prompt; without any, all pictures share the prompt "picture".
    Turned as EXIF says; transparency is laid on white; CMYK, palettes, 16 bits become 8-bit grey or RGB (grey if all
    are). Left out and named: files that do not open, files beside class folders, exact copies of another (or training
    pictures would be in the test).

    Raises `BadInput`: no such folder, no picture in it, a size below 8, Pillow is missing.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: is no folder; give one with pictures, or with a subfolder of pictures a class")
    if not 8 <= size <= 256:
        raise BadInput(f"size {size}: give a side from 8 to 256 pixels; models here are small, 16 or 32 is usual")
    files = list(_files(folder))
    if not files:
        raise BadInput(f"{folder}: holds no picture; known endings are .png, .jpg, .webp, .gif, .bmp, .tif and more")
    classes = sorted({c for _, c in files if c is not None})
    images: list[Image] = []
    labels: list[int] = []
    skipped: list[Skipped] = []
    first: dict[bytes, Path] = {}
    enlarged = 0
    from sparring.engine.progress import progress

    with progress("pictures", len(files), quiet=quiet) as bar:
        for path, name in files:
            bar.advance()
            if classes and name is None:
                skipped.append(Skipped(path, "lies beside the class folders; move it into one"))
                continue
            try:
                image, small = opened(path, size)
            except BadInput as error:
                skipped.append(Skipped(path, str(error)))
                continue
            key = hashlib.sha256(image.convert("RGB").tobytes()).digest()
            if key in first:
                skipped.append(Skipped(path, f"the same picture as {first[key].relative_to(folder)} at this size"))
                continue
            first[key] = path
            images.append(image)
            labels.append(classes.index(name) + 1 if name is not None else 1)
            enlarged += small
    if not images:
        raise BadInput(f"{folder}: none of {len(files)} files can be used; the first: {skipped[0]}")
    mode = "L" if all(image.mode == "L" for image in images) else "RGB"
    stacked = np.stack([np.asarray(image.convert(mode)).reshape(size, size, -1) for image in images])
    pixels = from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)))
    digest = hashlib.sha256(pixels.numpy().tobytes() + bytes(str(labels), "ascii")).hexdigest()
    # With a slash no folder is taken for a set of the same name.
    record = Data(name=f"{folder.resolve().name}/", source="user", rows=len(images), sha256=digest, role="training")
    words = ("", *(classes or [LONE]))
    pictures = Pictures(record.name, pixels, torch.tensor(labels).unsqueeze(1), words, record)
    return Found(pictures, tuple(skipped), enlarged)


def opened(path: Path, size: int) -> tuple[Image, bool]:
    """One file as an 8-bit L or RGB image of `size` x `size`, and whether it had to be enlarged.

    Raises `BadInput` with the reason alone where the file does not open whole.
    """
    _, library, ops = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged EXIF and the like; what matters raises
            warnings.simplefilter("error", library.DecompressionBombWarning)
            with library.open(path) as raw:
                raw.load()
                image = eight_bits(ops.exif_transpose(raw))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split()).replace(f"'{path}'", "it")
        raise BadInput(f"does not open ({reason[:120] or type(error).__name__})") from error
    except (library.DecompressionBombWarning, library.DecompressionBombError) as error:
        raise BadInput("has more than 89 million pixels; make it smaller") from error
    if min(image.size) < 1:
        raise BadInput("is empty")
    return ops.fit(image, (size, size), library.Resampling.LANCZOS), min(image.size) < size


def eight_bits(image: Image) -> Image:
    """An image of any mode as L (grey modes) or RGB; transparency is laid on white.

    16 bits are divided by 257; 32-bit and floating modes are spread from their least to their greatest value, unless
    an integer image fits into 16 bits.
    """
    _, library, _ = _pillow()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        if image.mode != "F" and values.min() >= 0 and values.max() <= 65535:
            scaled: NDArray[Any] = values / 257
        else:
            span = max(values.max() - values.min(), 1e-12)
            scaled = (values - values.min()) / span * 255
        return library.fromarray(np.rint(scaled).astype(np.uint8))
    clear = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if not clear:
        return image.convert("L" if image.mode in _GREY else "RGB")
    layered = image.convert("RGBA")
    white = library.new("RGBA", layered.size, (255, 255, 255, 255))
    white.alpha_composite(layered)
    return white.convert("L" if image.mode in _GREY else "RGB")


def _files(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Pictures by their endings, sorted, each with the name of its class folder (None at the top)."""
    endings = _endings()
    for at, inner, names in os.walk(folder):
        inner[:] = sorted(d for d in inner if not d.startswith("."))
        parts = Path(at).relative_to(folder).parts
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in endings:
                yield Path(at) / name, parts[0] if parts else None


def _endings() -> set[str]:
    _, library, _ = _pillow()
    known: dict[str, str] = library.registered_extensions()
    readable: dict[str, Any] = library.OPEN
    # What Pillow knows beside pictures is of no use here: PDF, PostScript, MPEG and video headers, HDF5.
    others = {".pdf", ".ps", ".eps", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".wmf", ".emf", ".fits", ".fit"}
    return {ending for ending, kind in known.items() if kind in readable} - others


def _pillow() -> tuple[Any, Any, Any]:
    try:
        import PIL
        from PIL import Image, ImageOps
    except ImportError:
        raise BadInput('reading pictures needs Pillow; install it with `pip install "sparring[images]"`') from None
    return PIL, Image, ImageOps
