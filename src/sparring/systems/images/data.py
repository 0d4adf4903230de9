"""Where the pictures come from: scenes drawn here, scikit-learn's digits, and the real sets of the data folder."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data import checksum, locate
from sparring.engine.streams import generator_for
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data
from sparring.systems.images import scenes
from sparring.typed import from_numpy

GARMENTS = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
"""Fashion-MNIST's classes in the order of its labels."""
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its files."""
_EMOJI_WORDS, _EMOJI_LENGTH = 256, 4


@dataclass(frozen=True)
class Pictures:
    """Pictures and what they show.

    `images` `(n, c, h, w)` uint8; `prompts` `(n, p)` ids into `words`, where 0 is "no condition" and padding and
    `words[0]` is "". A class is a prompt of one word (p = 1), a scene a prompt of several. `provenance` is the record
    for the scorecard.
    """

    name: str
    images: Tensor
    prompts: Tensor
    words: tuple[str, ...]
    provenance: Data

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(f"images are (n, c, h, w) uint8, not {tuple(self.images.shape)} {self.images.dtype}")
        if self.prompts.ndim != 2 or len(self.prompts) != len(self.images) or self.prompts.dtype != torch.int64:
            raise ValueError("prompts are (n, p) int64, one row a picture")
        if not self.words or self.words[0] or (len(self) and int(self.prompts.max()) >= len(self.words)):
            raise ValueError('words begin with "" and name every id in prompts')

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> bool:
        """Whether a prompt is one word: a class."""
        return self.prompts.shape[1] == 1

    def take(self, rows: Tensor) -> Pictures:
        """The pictures at these rows, in their order."""
        return replace(
            self,
            images=self.images[rows],
            prompts=self.prompts[rows],
            provenance=self.provenance.model_copy(update={"rows": len(rows)}),
        )


@dataclass(frozen=True)
class Splits:
    """The roles. Settings are chosen on `validation`, figures come from `test`.

    `held_out` are prompts whose combination never occurs in training (scenes alone have it).
    """

    train: Pictures
    validation: Pictures
    test: Pictures
    held_out: Pictures | None = None


def load(name: str, *, seed: int = 0, limit: int | None = None, data: Path | None = None, size: int = 32) -> Splits:
    """The pictures of that name: scenes, digits, fmnist16, glyphs16, emoji32, or a folder of images.

    `limit` bounds the training pictures; `data` is a data folder or the set's own file; `size` the side to which
    pictures of a folder are scaled. Raises `BadInput` where a set is missing or damaged: nothing is ever replaced by
    other pictures.
    """
    if name in _SETS:
        found = _SETS[name](seed, data)
    elif Path(name).is_dir():
        from sparring.systems.images import folder

        mine = folder.read(Path(name), size=size)
        note = mine.pictures.provenance.model_copy(update={"note": mine.note})
        found = divided(replace(mine.pictures, provenance=note), seed)
    else:
        raise BadInput(f"data {name!r}: no such folder, and no set of pictures; sets: {', '.join(_SETS)}")
    if limit is not None and limit < len(found.train):
        rows = torch.randperm(len(found.train), generator=generator_for(seed, "limit"))[:limit]
        found = replace(found, train=found.train.take(rows))
    return found


def divided(pictures: Pictures, seed: int, *, validation: float = 0.1, test: float = 0.2) -> Splits:
    """Split at random into training, validation and test; every part gets at least one picture.

    Raises `BadInput` below 10 pictures.
    """
    n = len(pictures)
    if n < 10:
        raise BadInput(f"{pictures.name}: {n} pictures; at least 10 are needed for training, validation and test")
    order = torch.randperm(n, generator=generator_for(seed, "split"))
    a, b = max(round(n * validation), 1), max(round(n * test), 1)
    return _roles(pictures, order[a + b :], order[:a], order[a : a + b])


def drawn_scenes(
    seed: int = 0, *, train: int = 20_000, validation: int = 2_000, test: int = 10_000, held_out: int = 5_000
) -> Splits:
    """Scenes of one seed; the test and the held-out combinations are the same for all seeds."""

    def part(count: int, role: str, new: bool = False) -> Pictures:
        fixed = role in ("test", "held out")
        found = scenes.draw(count, new=new, generator=generator_for(0 if fixed else seed, f"scenes {role}"))
        digest = hashlib.sha256(found.images.numpy().tobytes()).hexdigest()
        record = Data(name="scenes", source="embedded", rows=count, sha256=digest, role=role,
                      note="drawn by the package from a seed")  # fmt: skip
        return Pictures("scenes", found.images, found.prompts, scenes.WORDS, record)

    return Splits(
        part(train, "training"), part(validation, "validation"), part(test, "test"), part(held_out, "held out", True)
    )


def digits(seed: int = 0) -> Splits:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 with 17 grey levels: for smoke tests, any model can copy them."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = from_numpy((np.asarray(x).reshape(-1, 1, 8, 8) * 15.9375).astype(np.uint8))
    digest = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    record = Data(name="digits", source="embedded", rows=len(images), sha256=digest, role="training", note="real")
    prompts = from_numpy(np.asarray(y).astype(np.int64)).unsqueeze(1) + 1
    return divided(Pictures("digits", images, prompts, ("", *map(str, range(10))), record), seed)


def fmnist16(seed: int = 0, data: Path | None = None) -> Splits:
    """Fashion-MNIST at 16 x 16: 60,000 to train and choose by (6,000 of them), 10,000 to test.

    The npz of the data folder, or the four IDX files of Debian's package `dataset-fashion-mnist` (also as `data`),
    which are padded to 32 x 32 and averaged over 2 x 2 pixels: the same bits.
    """
    try:
        path = locate("fmnist16", None, data)
    except BadInput as error:
        folder = DEBIAN if data is None else data
        if not (folder / "train-images-idx3-ubyte.gz").is_file():
            raise BadInput(f"{error}, or `apt-get install dataset-fashion-mnist`") from None
        path = folder
    if path.is_dir():
        parts = [_idx(path / f"{p}-{w}-ubyte.gz") for p in ("train", "t10k") for w in ("images-idx3", "labels-idx1")]
        parts[0], parts[2] = halved(parts[0]), halved(parts[2])
        digest = checksum(path / "train-images-idx3-ubyte.gz")
    else:
        parts = _arrays(path, ("train_images", "train_labels", "test_images", "test_labels"))
        digest = checksum(path)

    def labelled(x: NDArray[np.uint8], y: NDArray[np.uint8], role: str) -> Pictures:
        if x.ndim != 3 or len(x) != len(y) or (len(y) and int(y.max()) >= len(GARMENTS)):
            raise BadInput(f"{path}: {role} pictures are (n, h, w) with a label below 10 each; get the set again")
        record = Data(name="fmnist16", source="real", rows=len(x), sha256=digest, role=role)
        prompts = from_numpy(y.astype(np.int64)).unsqueeze(1) + 1
        return Pictures("fmnist16", from_numpy(x).unsqueeze(1), prompts, ("", *GARMENTS), record)

    known = labelled(parts[0], parts[1], "training")
    order = torch.randperm(len(known), generator=generator_for(seed, "split"))
    cut = len(known) // 10
    chosen = _roles(known, order[cut:], order[:cut], order[:0])
    return replace(chosen, test=labelled(parts[2], parts[3], "test"))


def glyphs16(seed: int = 0, data: Path | None = None) -> Splits:
    """62 letters and digits in 1,332 fonts at 16 x 16; whole font packages are in one role (10 % / 20 % / rest)."""
    path = locate("glyphs16", None, data)
    images, chars, packages = _arrays(path, ("images", "chars", "packages"))
    fonts, signs = images.shape[:2]
    record = Data(name="glyphs16", source="real", rows=fonts * signs, sha256=checksum(path), role="training")
    words = ("", *(str(c) for c in chars))
    prompts = (torch.arange(signs) + 1).repeat(fonts).unsqueeze(1)
    whole = from_numpy(images).reshape(fonts * signs, 1, *images.shape[2:])
    names, family = np.unique(packages, return_inverse=True)
    rank = torch.randperm(len(names), generator=generator_for(seed, "split"))[from_numpy(family)]
    rank = rank.repeat_interleave(signs)
    a, b = round(0.1 * len(names)), round(0.3 * len(names))
    valid, test = torch.where(rank < a)[0], torch.where((rank >= a) & (rank < b))[0]
    return _roles(Pictures("glyphs16", whole, prompts, words, record), torch.where(rank >= b)[0], valid, test)


def emoji32(seed: int = 0, data: Path | None = None) -> Splits:
    """3,771 emoji at 32 x 32 RGB; a prompt is the first four of its name's words that are among the 255 commonest."""
    path = locate("emoji32", None, data)
    images, names = _arrays(path, ("images", "names"))
    texts = [[w.strip(",:()") for w in str(name).lower().split()] for name in names]
    counts = Counter(w for text in texts for w in set(text) if w)
    words = ("", *(w for w, _ in counts.most_common(_EMOJI_WORDS - 1)))
    ids = {w: i for i, w in enumerate(words) if i}
    prompts = torch.zeros(len(texts), _EMOJI_LENGTH, dtype=torch.long)
    for row, text in enumerate(texts):
        known = [ids[w] for w in text if w in ids][:_EMOJI_LENGTH]
        prompts[row, : len(known)] = torch.tensor(known, dtype=torch.long)
    record = Data(name="emoji32", source="real", rows=len(images), sha256=checksum(path), role="training")
    pictures = Pictures("emoji32", from_numpy(images).permute(0, 3, 1, 2).contiguous(), prompts, words, record)
    return divided(pictures, seed)


def halved(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """28 x 28 pictures `(n, 28, 28)` at 16 x 16: a margin of two pixels, then means of 2 x 2, halves to even."""
    wide = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.uint16)
    total = wide.reshape(len(wide), 16, 2, 16, 2).sum((2, 4))
    return np.rint(total / 4).astype(np.uint8)


_SETS: dict[str, Callable[[int, Path | None], Splits]] = {
    "scenes": lambda seed, data: drawn_scenes(seed),
    "digits": lambda seed, data: digits(seed),
    "fmnist16": fmnist16,
    "glyphs16": glyphs16,
    "emoji32": emoji32,
}
NAMES = tuple(_SETS)
"""The sets that `load` knows."""


def _roles(pictures: Pictures, train: Tensor, validation: Tensor, test: Tensor) -> Splits:
    def part(rows: Tensor, role: str) -> Pictures:
        found = pictures.take(rows)
        return replace(found, provenance=found.provenance.model_copy(update={"role": role}))

    return Splits(part(train, "training"), part(validation, "validation"), part(test, "test"))


def _arrays(path: Path, keys: tuple[str, ...]) -> list[NDArray[np.uint8]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [k for k in keys if k not in stored]
            if missing:
                raise BadInput(f"{path}: has no array {missing[0]!r}; get the set again")
            return [stored[k] for k in keys]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: damaged or no .npz ({error}); get the set again") from error


def _idx(path: Path) -> NDArray[np.uint8]:
    """One IDX file of bytes: magic number 0x0801 or 0x0803, sizes, then the values."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read ({error}); get Fashion-MNIST again") from error
    axes = content[3] if len(content) >= 4 else 0
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    if content[:3] != b"\0\0\x08" or axes not in (1, 3) or int(np.prod(sizes)) != len(content) - 4 - 4 * axes:
        raise BadInput(f"{path}: is no whole IDX file of bytes; get Fashion-MNIST again")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sizes).copy()
