import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Data
from sparring.systems.images import data
from sparring.systems.images.data import Pictures


def pictures(n: int = 20) -> Pictures:
    record = Data(name="toy", source="user", rows=n, sha256="0", role="training")
    images = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1).expand(n, 1, 2, 2).clone()
    return Pictures("toy", images, torch.ones(n, 1, dtype=torch.long), ("", "thing"), record)


def test_pictures_hold_to_their_form() -> None:
    good = pictures()
    assert good.classes
    assert len(good.take(torch.tensor([3, 1]))) == good.take(torch.tensor([3, 1])).provenance.rows == 2
    for change in (
        {"images": good.images.float()},
        {"prompts": torch.full((20, 1), 2)},
        {"prompts": torch.ones(19, 1, dtype=torch.long)},
        {"words": ("thing", "")},
    ):
        with pytest.raises(ValueError, match=r"images|prompts|words"):
            Pictures(**{**vars(good), **change})


def test_a_division_gives_every_picture_one_role() -> None:
    parts = data.divided(pictures(), 0)
    values = [p.images[:, 0, 0, 0] for p in (parts.train, parts.validation, parts.test)]
    assert sorted(torch.cat(values).tolist()) == list(range(20))
    assert [len(v) for v in values] == [14, 2, 4]
    assert parts.test.provenance.role == "test"
    with pytest.raises(BadInput, match="at least 10"):
        data.divided(pictures(9), 0)


def test_scenes_of_two_seeds_share_their_test() -> None:
    sizes = {"train": 60, "validation": 20, "test": 20, "held_out": 20}
    one, two = data.drawn_scenes(0, **sizes), data.drawn_scenes(1, **sizes)
    assert torch.equal(one.test.images, two.test.images)
    assert not torch.equal(one.train.images, two.train.images)
    assert one.held_out is not None
    assert one.held_out.prompts.shape == (20, 6)


def test_digits_are_there_without_data() -> None:
    found = data.load("digits", limit=100)
    assert len(found.train) == 100
    assert found.train.images.shape[1:] == (1, 8, 8)
    assert len(found.train.images.unique()) == 17
    assert int(found.train.images.max()) == 255


def test_a_missing_set_is_named_and_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "DEBIAN", tmp_path / "none")
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=r"fmnist16: no fmnist16.npz .*apt-get install dataset-fashion-mnist"):
        data.load("fmnist16")
    with pytest.raises(BadInput, match=r"no such folder, and no set of pictures; sets: scenes"):
        data.load("nothing")


def idx(path: Path, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + b"".join(int(s).to_bytes(4, "big") for s in values.shape)
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


def test_debians_files_are_read_and_halved(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        idx(tmp_path / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (n, 28, 28)))
        idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(n) % 10)
    found = data.fmnist16(data=tmp_path)
    assert [len(p) for p in (found.train, found.validation, found.test)] == [18, 2, 10]
    assert found.test.images.shape == (10, 1, 16, 16)
    assert [found.test.words[int(i)] for i in found.test.prompts[:2, 0]] == ["t-shirt", "trouser"]
    whole = (tmp_path / "t10k-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(BadInput, match="no whole IDX file"):
        data.fmnist16(data=tmp_path)


def test_halving_keeps_means() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 0, 0], image[0, 2:4, 2:4] = 200, 10
    small = data.halved(image)
    assert small.shape == (1, 16, 16)
    assert small[0, 1, 1] == 50
    assert small[0, 2, 2] == 10


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fmnist16.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"fmnist16.npz: damaged"):
        data.fmnist16(data=path)
    np.savez(path, images=np.zeros(3))
    with pytest.raises(BadInput, match="has no array 'train_images'"):
        data.fmnist16(data=path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "shape", "p"),
    [("fmnist16", (1, 16, 16), 1), ("glyphs16", (1, 16, 16), 1), ("emoji32", (3, 32, 32), 4)],
)
def test_the_real_sets(name: str, shape: tuple[int, ...], p: int) -> None:
    here = Path(os.environ.get("SPARRING_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (here / "images").is_dir():
        pytest.skip(f"no real data at {here}: set SPARRING_DATA")
    found = data.load(name, data=here)
    assert found.train.images.shape[1:] == shape
    assert found.train.prompts.shape[1] == p
    assert found.train.provenance.source == "real"
    assert len(found.train) > len(found.test) > 0
