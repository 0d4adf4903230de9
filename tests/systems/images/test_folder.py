from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.errors import BadInput
from sparring.systems.images import data, folder


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two classes with sizes and modes of all kinds, and files that cannot be used."""
    for name in ("cats", "big dogs", ".hidden"):
        (tmp_path / name).mkdir()
    modes: dict[str, Any] = {"RGB": noise(0, 40, 60, 3), "L": noise(1, 20, 20), "RGBA": noise(2, 33, 17, 4)}
    for mode, values in modes.items():
        Image.fromarray(values).save(tmp_path / "cats" / f"{mode}.png")
    Image.fromarray(noise(3, 64, 32, 3)).convert("CMYK").save(tmp_path / "big dogs" / "cmyk.jpg")
    Image.fromarray(noise(4, 8, 9, 3)).convert("P").save(tmp_path / "big dogs" / "palette.gif")
    Image.fromarray(noise(5, 30, 30).astype(np.uint16) * 257).save(tmp_path / "big dogs" / "sixteen.png")
    Image.fromarray(noise(6, 30, 30) > 127).save(tmp_path / "big dogs" / "bits.png")
    whole = (tmp_path / "cats" / "RGB.png").read_bytes()
    (tmp_path / "cats" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cats" / "words.jpg").write_text("not a picture")
    (tmp_path / "cats" / "copy.png").write_bytes(whole)
    (tmp_path / "cats" / "notes.txt").write_text("ignored")
    (tmp_path / ".hidden" / "a.png").write_bytes(whole)
    (tmp_path / "loose.png").write_bytes(whole)
    return tmp_path


def test_any_size_and_mode_is_read_and_what_is_not_is_named(mixed: Path) -> None:
    found = folder.read(mixed, size=16, quiet=True)
    assert found.pictures.images.shape == (7, 3, 16, 16)
    assert found.pictures.words == ("", "big dogs", "cats")
    assert found.pictures.prompts[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 2]
    assert found.enlarged == 1
    told = {s.path.name: s.reason for s in found.skipped}
    assert set(told) == {"cut.png", "words.jpg", "copy.png", "loose.png"}
    assert "does not open" in told["cut.png"]
    assert "does not open" in told["words.jpg"]
    assert "cats/RGB.png" in told["copy.png"]
    assert "beside the class folders" in told["loose.png"]
    assert found.note == "4 files left out; 1 enlarged"


def test_grey_folders_stay_grey_and_have_one_word(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(noise(i, 12, 12)).save(tmp_path / f"{i}.png")
    found = folder.read(tmp_path, size=8, quiet=True)
    assert found.pictures.images.shape == (3, 1, 8, 8)
    assert found.pictures.words == ("", "picture")
    assert found.pictures.classes


def test_transparency_is_laid_on_white_and_sixteen_bits_are_scaled() -> None:
    clear = Image.fromarray(np.array([[[0, 0, 0, 0], [255, 0, 0, 255]]], np.uint8))
    assert np.asarray(folder.eight_bits(clear)).tolist() == [[[255, 255, 255], [255, 0, 0]]]
    deep = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    assert np.asarray(folder.eight_bits(deep)).tolist() == [[0, 1, 255]]
    floating = Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32))
    assert np.asarray(folder.eight_bits(floating)).tolist() == [[0, 128, 255]]


def test_pictures_are_turned_as_exif_says(tmp_path: Path) -> None:
    values = np.zeros((16, 16, 3), np.uint8)
    values[:8] = 255  # the upper half is white; orientation 3 is half a turn
    image = Image.fromarray(values)
    exif = image.getexif()
    exif[0x0112] = 3
    image.save(tmp_path / "a.png", exif=exif)
    turned, small = folder.opened(tmp_path / "a.png", 16)
    assert not small
    assert np.asarray(turned)[0, 0, 0] == 0
    assert np.asarray(turned)[15, 0, 0] == 255


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    values = np.zeros((16, 48), np.uint8)
    values[:, 16:32] = 200
    Image.fromarray(values).save(tmp_path / "wide.png")
    image, _ = folder.opened(tmp_path / "wide.png", 16)
    assert np.asarray(image).min() > 150


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path, mixed: Path) -> None:
    with pytest.raises(BadInput, match="is no folder"):
        folder.read(tmp_path / "none")
    with pytest.raises(BadInput, match="from 8 to 256"):
        folder.read(mixed, size=4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no picture"):
        folder.read(tmp_path / "empty")
    (tmp_path / "empty" / "a.png").write_text("no")
    with pytest.raises(BadInput, match="none of 1 files can be used"):
        folder.read(tmp_path / "empty", quiet=True)


def test_a_folder_is_a_set_of_pictures(tmp_path: Path) -> None:
    for i in range(20):
        Image.fromarray(noise(i, 20, 20, 3)).save(tmp_path / f"{i:02}.png")
    splits = data.load(str(tmp_path), size=16)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [14, 2, 4]
    assert splits.train.provenance.source == "user"
    assert splits.train.name == f"{tmp_path.name}/"
    again = data.load(str(tmp_path), size=16)
    assert torch.equal(splits.test.images, again.test.images)
