# pyright: basic
"""Velocity models in the field's formats, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from sparring.errors import BadInput
from sparring.systems.seismic.files import read_array, read_earth, read_wavelet, write_array

MODEL = 1500 + 10 * torch.arange(12)[:, None] + torch.arange(30).float()


@pytest.mark.parametrize("ending", ["npy", "mat", "bin", "sgy", "segy"])
def test_a_model_comes_back_from_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"v.{ending}"
    write_array(path, MODEL, spacing=20.0)
    earth, said = read_earth(path, 20.0, rows=12 if ending == "bin" else None)
    assert torch.equal(earth.velocity, MODEL)
    assert (earth.spacing, earth.name, said) == (20.0, "v", [])


def test_others_can_read_what_we_write(tmp_path: Path) -> None:
    write_array(tmp_path / "v.mat", MODEL, spacing=20.0)
    held = loadmat(tmp_path / "v.mat")
    assert np.array_equal(held["v"], MODEL.numpy())
    assert held["spacing"].item() == 20
    write_array(tmp_path / "v.bin", MODEL)
    column = np.fromfile(tmp_path / "v.bin", dtype="<f4", count=12)
    assert np.array_equal(column, MODEL[:, 0].numpy())
    assert '"rows": 12' in (tmp_path / "v.json").read_text()


def test_the_file_beside_raw_numbers_tells_their_shape(tmp_path: Path) -> None:
    write_array(tmp_path / "v.bin", MODEL)
    assert torch.equal(read_earth(tmp_path / "v.bin", 20.0)[0].velocity, MODEL)
    for text in ("{", '{"rows": 0}', '{"rows": true}', '{"columns": 3}', "[]"):
        (tmp_path / "v.json").write_text(text)
        with pytest.raises(BadInput, match=r"v\.json: tells no number of rows"):
            read_earth(tmp_path / "v.bin", 20.0)
    assert torch.equal(read_earth(tmp_path / "v.bin", 20.0, rows=12)[0].velocity, MODEL)


def test_a_mat_file_may_hold_more_if_one_matrix_is_called_v(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"Vp": MODEL.numpy(), "rho": np.ones((12, 30))})
    assert np.array_equal(read_array(tmp_path / "a.mat"), MODEL.numpy())
    savemat(tmp_path / "b.mat", {"x": np.ones((3, 3)), "y": np.ones((3, 3))})
    with pytest.raises(BadInput, match="holds x, y; keep one matrix or call it v"):
        read_array(tmp_path / "b.mat")


def test_files_that_are_no_models_are_refused_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "cube.npy", np.ones((3, 4, 5)))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    (tmp_path / "odd.bin").write_bytes(b"12345")
    np.ones(50, "<f4").tofile(tmp_path / "rows.bin")
    (tmp_path / "m.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    for name, rows, words in (
        ("text.npy", None, "not a plain .npy array"),
        ("objects.npy", None, "not a plain .npy array"),
        ("words.npy", None, "holds no real numbers"),
        ("cube.npy", None, "3 axes; a velocity model has two"),
        ("odd.bin", 5, "5 bytes are no float32 numbers"),
        ("rows.bin", None, "give the depth samples with --rows"),
        ("rows.bin", 7, "50 numbers are no columns of 7"),
        ("m.mat", None, "not readable as MATLAB"),
        ("none.npy", None, "no such file"),
        ("model.tif", None, "ends in .tif; give one of .npy"),
    ):
        with pytest.raises(BadInput, match=words):
            read_earth(tmp_path / name, 20.0, rows=rows)
    with pytest.raises(BadInput, match=r"ends in \.tif"):
        write_array(tmp_path / "x.tif", MODEL)


def test_models_outside_the_bounds_and_in_kilometres_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", MODEL.numpy() / 1000)
    np.save(tmp_path / "v.npy", MODEL.numpy())
    with pytest.raises(BadInput, match=r"km.npy: the fastest cell has 1.639: kilometres per second\? multiply by 1000"):
        read_earth(tmp_path / "km.npy", 20.0)
    with pytest.raises(BadInput, match="row 0, column 0 is 1500 m/s, outside 1550 to 6000"):
        read_earth(tmp_path / "v.npy", 20.0, low=1550, high=6000)


def test_a_wavelet_is_one_row_of_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(5.0))
    savemat(tmp_path / "w.mat", {"w": np.arange(5.0)})
    assert read_wavelet(tmp_path / "w.npy").tolist() == [0, 1, 2, 3, 4]
    assert read_wavelet(tmp_path / "w.mat").tolist() == [0, 1, 2, 3, 4]
    np.save(tmp_path / "two.npy", np.ones((2, 5)))
    with pytest.raises(BadInput, match=r"shape \(2, 5\); a wavelet is one row"):
        read_wavelet(tmp_path / "two.npy")
