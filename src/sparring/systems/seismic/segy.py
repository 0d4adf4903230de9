"""SEG-Y in and out, by segyio: gathers with their geometry, and models as one trace per column."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparring.errors import BadInput
from sparring.files import write_bytes
from sparring.systems.seismic.survey import Survey

_CENTIMETRES = -100
"""The coordinate scalar that we write: coordinates are hundredths of a metre."""
_MOST = 32_767
"""The largest number that a 16-bit field of revision 1 holds."""

Header = Mapping[Any, int]


def read_columns(path: Path) -> NDArray[np.float32]:
    """A model file's traces as columns, `(depth, x)`. Raises `BadInput` for a file that is no SEG-Y."""
    return opened(path, lambda f: np.asarray(f.trace.raw[:], dtype=np.float32)).T


def write_gathers(path: Path, survey: Survey, data: Tensor) -> None:
    """Shot gathers with full headers: record, channel, coordinates in centimetres, offset, depth, interval, units.

    A receiver's depth is written as a negative elevation, for which SEG-Y has a field; dead traces (all zero) get the
    identification code 2. Raises `BadInput` where the numbers do not fit the format.
    """
    shots, receivers, samples = survey.shape
    keys = library().TraceField
    source = survey.sources.double().numpy()
    groups = survey.receivers.double().numpy()
    rows = data.detach().float().reshape(-1, samples).numpy()

    def header(k: int) -> Header:
        shot, channel = divmod(k, receivers)
        (sx, sz), (gx, gz) = source[shot], groups[shot, channel]
        return {
            keys.FieldRecord: shot + 1,
            keys.TraceNumber: channel + 1,
            keys.EnergySourcePoint: shot + 1,
            keys.TraceIdentificationCode: 1 if rows[k].any() else 2,
            keys.offset: round(gx - sx),
            keys.SourceDepth: round(100 * sz),
            keys.ReceiverGroupElevation: round(-100 * gz),
            keys.ElevationScalar: _CENTIMETRES,
            keys.SourceGroupScalar: _CENTIMETRES,
            keys.SourceX: round(100 * sx),
            keys.GroupX: round(100 * gx),
            keys.CoordinateUnits: 1,
        }

    _write(path, rows, survey.dt * 1e6, header, f"SPARRING SEISMIC: {shots} SHOTS, {receivers} RECEIVERS EACH")


def write_model(path: Path, velocity: NDArray[Any], spacing: float, origin: tuple[float, float] = (0.0, 0.0)) -> None:
    """A model `(depth, x)` in m/s as one trace per column; the interval field holds the spacing in millimetres.

    `origin` is the (x, depth) of its upper left corner in metres, as in `Earth`; the text header tells the depth.
    Cells of more than 32.767 m do not fit that field, which then stays 0; the text header always tells the spacing.
    """
    keys = library().TraceField

    def header(k: int) -> Header:
        return {
            keys.CDP: k + 1,
            keys.CDP_X: round(100 * (origin[0] + (k + 0.5) * spacing)),
            keys.SourceGroupScalar: _CENTIMETRES,
        }

    text = f"SPARRING SEISMIC: VELOCITY IN M/S, CELLS OF {spacing:g} M FROM {origin[1]:g} M DOWN"
    interval = 1000 * spacing if 1000 * spacing <= _MOST else 0.0
    _write(path, np.ascontiguousarray(velocity.T), interval, header, text)


def opened(path: Path, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of the open file. Raises `BadInput` for a file that is missing or no SEG-Y."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: the file is empty; give SEG-Y")
    try:
        with library().open(str(path), ignore_geometry=True, strict=False) as f:
            return read(f)
    except BadInput:
        raise
    except (RuntimeError, OSError, ValueError, IndexError) as error:
        why = str(error).splitlines()[0]
        raise BadInput(
            f"{path}: not a readable SEG-Y file, or cut ({why}); give a whole one, revision 0 or 1"
        ) from None


def library() -> Any:
    """segyio. Raises `BadInput` if it is not installed."""
    try:
        import segyio
    except ImportError:
        raise BadInput("SEG-Y needs segyio; install it with `pip install 'sparring[seismic]'`") from None
    return segyio


def _write(path: Path, rows: NDArray[Any], interval: float, header: Callable[[int], Header], text: str) -> None:
    segyio = library()
    samples = rows.shape[1]
    if samples > _MOST or round(interval) > _MOST:
        raise BadInput(
            f"{path}: SEG-Y revision 1 holds {_MOST:,} samples of at most {_MOST:,} microseconds; here {samples:,} of "
            f"{interval:,.0f}; resample, or write .npy"
        )
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = 5, np.arange(samples), len(rows)  # 5: IEEE float32
    field, binary = segyio.TraceField, segyio.BinField
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "out.sgy"
        with segyio.create(str(scratch), spec) as f:
            f.text[0] = segyio.tools.create_text_header({1: text, 39: "SEG Y REV1", 40: "END TEXTUAL HEADER"})
            # The traces field has 16 bits: readers count traces by the file's size.
            f.bin.update({binary.Interval: round(interval), binary.Samples: samples, binary.Format: 5,
                          binary.Traces: min(len(rows), _MOST), binary.MeasurementSystem: 1,
                          binary.SEGYRevision: 1, binary.TraceFlag: 1})  # fmt: skip
            for k, row in enumerate(rows):
                f.header[k] = {
                    field.TRACE_SEQUENCE_LINE: k + 1,
                    field.TRACE_SEQUENCE_FILE: k + 1,
                    field.TRACE_SAMPLE_COUNT: samples,
                    field.TRACE_SAMPLE_INTERVAL: round(interval),
                    **header(k),
                }
                f.trace[k] = np.ascontiguousarray(row, dtype=np.float32)
        write_bytes(path, scratch.read_bytes())
