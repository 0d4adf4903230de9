"""Velocity models on disk: .npy, .mat, raw .bin and SEG-Y, read and written with their units checked."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import BadInput
from sparring.files import write_bytes
from sparring.systems.seismic.earth import Earth, check_earth
from sparring.typed import from_numpy

KINDS = (".npy", ".mat", ".bin", ".sgy", ".segy")


def read_earth(path: Path, spacing: float, *, origin: tuple[float, float] = (0.0, 0.0), rows: int | None = None,
               low: float | None = None, high: float | None = None) -> tuple[Earth, list[str]]:  # fmt: skip
    """A velocity model `(depth, x)` in m/s and warnings about it.

    `.bin` is float32 in the machine's little-endian order, one column after the other (depth runs fastest), so it
    needs `rows`, or the `.json` beside it that `write_array` leaves; in `.mat` the only two-dimensional array is taken,
    or the one called v, vp or velocity; a SEG-Y file has one trace per column. Raises `BadInput` that names the file,
    the cell and the mend.
    """
    array = read_array(path, rows)
    if array.ndim != 2:
        raise BadInput(f"{path}: {array.ndim} axes; a velocity model has two (depth, x)")
    earth = Earth(from_numpy(np.ascontiguousarray(array, dtype=np.float32)), spacing, origin, path.stem)
    limits = {key: value for key, value in (("low", low), ("high", high)) if value is not None}
    return earth, check_earth(earth, str(path), **limits)


def read_array(path: Path, rows: int | None = None) -> NDArray[Any]:
    """The numbers of a file of any of the kinds. Raises `BadInput`."""
    if path.suffix.lower() not in KINDS:
        raise BadInput(f"{path}: ends in {path.suffix or 'nothing'}; give one of {', '.join(KINDS)}")
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    match path.suffix.lower():
        case ".npy":
            return _npy(path)
        case ".mat":
            return _mat(path)
        case ".bin":
            return _bin(path, rows)
        case _:
            from sparring.systems.seismic.segy import read_columns

            return read_columns(path)


def write_array(path: Path, values: Tensor, *, spacing: float = 1.0, origin: tuple[float, float] = (0.0, 0.0)) -> None:
    """Write `(depth, x)` as the file's name says; a `.bin` gets a `.json` beside it that tells its shape.

    `spacing` and `origin` in metres go where the format has a field for them: SEG-Y, and of `.mat` the spacing.
    """
    array = values.detach().cpu().float().numpy()
    match path.suffix.lower():
        case ".npy":
            stream = io.BytesIO()
            np.save(stream, array, allow_pickle=False)
            write_bytes(path, stream.getvalue())
        case ".mat":
            write_bytes(path, _mat_bytes(array, spacing))
        case ".bin":
            write_bytes(path, array.T.astype("<f4").tobytes())
            side = {"rows": array.shape[0], "columns": array.shape[1], "order": "depth fastest", "dtype": "<f4"}
            write_bytes(path.with_suffix(".json"), (json.dumps(side, indent=2) + "\n").encode())
        case ".sgy" | ".segy":
            from sparring.systems.seismic.segy import write_model

            write_model(path, array, spacing, origin)
        case _:
            raise BadInput(f"{path}: ends in {path.suffix or 'nothing'}; give one of {', '.join(KINDS)}")


def read_wavelet(path: Path) -> Tensor:
    """A wavelet `(samples,)` from .npy, or .mat. Raises `BadInput` for a file that is no row of numbers."""
    array = read_array(path)
    if max(array.shape, default=0) != array.size:
        raise BadInput(f"{path}: has shape {array.shape}; a wavelet is one row of numbers, one a sample")
    return torch.tensor(array.reshape(-1), dtype=torch.float32)


def _npy(path: Path) -> NDArray[Any]:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(
            f"{path}: not a plain .npy array ({str(error).splitlines()[0]}); save it with numpy.save"
        ) from None
    return _numbers(cast(object, found), path)


def _mat(path: Path) -> NDArray[Any]:
    from scipy.io import loadmat

    try:
        held: dict[str, Any] = loadmat(path)
    except (ValueError, OSError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path}: not readable as MATLAB v4 to v7 ({reason}); save with -v7") from None
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in held.items():
        if isinstance(value, np.ndarray):
            matrix = cast(NDArray[Any], value)
            if matrix.dtype.kind in "fiu" and matrix.size > 1:
                arrays[key] = matrix
    named = [k for k in arrays if k.lower() in ("v", "vp", "velocity")]
    if len(arrays) != 1 and len(named) != 1:
        raise BadInput(f"{path}: holds {', '.join(arrays) or 'no matrix'}; keep one matrix or call it v")
    return _numbers(arrays[named[0] if named else next(iter(arrays))], path)


def _mat_bytes(array: NDArray[Any], spacing: float) -> bytes:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"v": array, "spacing": spacing}, do_compression=True)
    return stream.getvalue()


def _bin(path: Path, rows: int | None) -> NDArray[Any]:
    values = np.frombuffer(path.read_bytes(), dtype="<f4") if path.stat().st_size % 4 == 0 else None
    if values is None or len(values) == 0:
        raise BadInput(f"{path}: {path.stat().st_size} bytes are no float32 numbers; save as little-endian float32")
    rows = _told_rows(path.with_suffix(".json")) if rows is None else rows
    if rows is None:
        raise BadInput(f"{path}: raw numbers do not tell their shape; give the depth samples with --rows")
    if len(values) % rows:
        raise BadInput(f"{path}: {len(values)} numbers are no columns of {rows}; correct --rows")
    return values.reshape(-1, rows).T.copy()


def _told_rows(side: Path) -> int | None:
    """The depth samples that the file beside a `.bin` tells; None where there is no such file."""
    if not side.is_file():
        return None
    try:
        rows = json.loads(side.read_bytes())["rows"]
    except (ValueError, KeyError, TypeError):
        rows = None
    if type(rows) is not int or rows < 1:  # true is an int, too
        raise BadInput(f"{side}: tells no number of rows; correct it, or give the depth samples with --rows")
    return rows


def _numbers(found: object, path: Path) -> NDArray[Any]:
    if not isinstance(found, np.ndarray) or cast(NDArray[Any], found).dtype.kind not in "fiu":
        raise BadInput(f"{path}: holds no real numbers; save a float32 array")
    return cast(NDArray[Any], found)
