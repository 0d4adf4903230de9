# pyright: basic
"""SEG-Y: round trips that other libraries read, and what the field does to its headers."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import segyio
import torch
from tests.systems.seismic.scenes import homogeneous, spread

from sparring.errors import BadInput
from sparring.systems.seismic.files import read_earth, write_array
from sparring.systems.seismic.gathers import FEET, read_gathers, read_traces
from sparring.systems.seismic.segy import write_gathers, write_model
from sparring.systems.seismic.survey import Survey, ricker

with warnings.catch_warnings():  # ObsPy looks its plugins up in a way that Python 3.11 warns of
    warnings.simplefilter("ignore")
    obspy = importlib.import_module("obspy")
    obspy_segy = importlib.import_module("obspy.io.segy.segy")._read_segy

F = segyio.TraceField
OBSPY = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def field_like(path: Path, *, shots: int = 3, receivers: int = 8) -> tuple[Survey, torch.Tensor]:
    """Gathers as our writer leaves them, to be spoilt by the tests."""
    survey = spread(homogeneous(shape=(20, receivers)), shots=shots, samples=120)
    draws = torch.Generator().manual_seed(0)
    data = torch.randn(survey.shape, generator=draws)
    write_gathers(path, survey, data)
    return survey, data


def spoil(path: Path, change) -> None:
    with segyio.open(str(path), "r+", ignore_geometry=True, strict=False) as f:
        change(f)


def headers(f: segyio.SegyFile, **fields) -> None:
    for k in range(f.tracecount):
        f.header[k].update({getattr(F, key): value(k) if callable(value) else value for key, value in fields.items()})


def test_gathers_come_back_from_their_file_to_the_same_bits(tmp_path: Path) -> None:
    survey, data = field_like(tmp_path / "a.sgy")
    found = read_gathers(tmp_path / "a.sgy", 4.0)
    assert torch.equal(found.data, data)
    assert found.survey.dt == survey.dt
    torch.testing.assert_close(found.survey.sources, survey.sources)
    torch.testing.assert_close(found.survey.receivers, survey.receivers)
    assert torch.equal(found.survey.wavelet, ricker(4.0, 0.004, 120))
    assert found.mended == ()


@OBSPY
def test_segyio_and_obspy_read_what_we_write(tmp_path: Path) -> None:
    survey, data = field_like(tmp_path / "a.sgy")
    rows = data.reshape(-1, 120).numpy()
    with segyio.open(str(tmp_path / "a.sgy"), ignore_geometry=True) as f:
        assert np.array_equal(f.trace.raw[:], rows)
        assert segyio.tools.dt(f) == 4000
        header = f.header[9]
        assert (header[F.FieldRecord], header[F.TraceNumber]) == (2, 2)
        assert header[F.GroupX] / -header[F.SourceGroupScalar] == pytest.approx(float(survey.receivers[1, 1, 0]))
    stream = obspy.read(str(tmp_path / "a.sgy"), format="SEGY")
    assert len(stream) == 24
    assert np.array_equal(np.stack([t.data for t in stream]), rows)
    assert stream[0].stats.delta == pytest.approx(0.004)
    raw = obspy_segy(str(tmp_path / "a.sgy"))
    assert raw.binary_file_header.data_sample_format_code == 5
    assert raw.traces[3].header.source_coordinate_x == round(100 * float(survey.sources[0, 0]))
    assert raw.traces[3].header.scalar_to_be_applied_to_all_coordinates == -100


@OBSPY
def test_a_file_that_obspy_wrote_is_read(tmp_path: Path) -> None:
    survey, data = field_like(tmp_path / "a.sgy")
    obspy.read(str(tmp_path / "a.sgy"), format="SEGY", unpack_trace_headers=True).write(
        str(tmp_path / "b.sgy"), format="SEGY", data_encoding=5
    )
    found = read_gathers(tmp_path / "b.sgy", 4.0)
    assert torch.equal(found.data, data)
    torch.testing.assert_close(found.survey.receivers, survey.receivers)


def test_coordinate_scalars_multiply_divide_or_are_missing(tmp_path: Path) -> None:
    for scalar, factor in ((10, 10.0), (-10, 0.1), (0, 1.0), (1, 1.0)):
        field_like(tmp_path / "a.sgy")
        fields = {"GroupX": lambda k: 500 * (k % 8), "SourceX": lambda k: 700 * (k // 8), "SourceDepth": 30}
        spoil(tmp_path / "a.sgy", lambda f, s=scalar, x=fields: headers(f, SourceGroupScalar=s, ElevationScalar=s, **x))
        found = read_traces(tmp_path / "a.sgy")
        assert found.receiver[3, 0] == pytest.approx(1500 * factor)
        assert found.source[9].tolist() == pytest.approx([700 * factor, 30 * factor])


def test_dead_broken_and_marked_traces_are_silenced_and_counted(tmp_path: Path) -> None:
    _, data = field_like(tmp_path / "a.sgy")

    def change(f: segyio.SegyFile) -> None:
        f.trace[1] = np.zeros(120, np.float32)
        f.trace[2] = np.full(120, np.nan, np.float32)
        f.header[5].update({F.TraceIdentificationCode: 2})

    spoil(tmp_path / "a.sgy", change)
    found = read_gathers(tmp_path / "a.sgy", 4.0)
    assert not found.data[0, [1, 2, 5]].any()
    assert torch.equal(found.data[1:], data[1:])
    assert "1 traces with NaN" in found.mended[0]
    assert "2 traces are dead" in found.mended[1]


def test_shots_with_fewer_receivers_are_filled_up_with_dead_traces_elsewhere(tmp_path: Path) -> None:
    survey, data = field_like(tmp_path / "a.sgy")
    with segyio.open(str(tmp_path / "a.sgy"), ignore_geometry=True) as f:
        spec = segyio.tools.metadata(f)
        spec.tracecount = 22  # without the last two traces of shot 3
        with segyio.create(str(tmp_path / "b.sgy"), spec) as g:
            g.bin = f.bin
            for k in range(22):
                g.header[k], g.trace[k] = f.header[k], f.trace[k]
    found = read_gathers(tmp_path / "b.sgy", 4.0)
    assert torch.equal(found.data[2, :6], data[2, :6])
    assert not found.data[2, 6:].any()
    assert len(torch.unique(found.survey.receivers[2], dim=0)) == 8
    assert "1 shots have fewer than 8 receivers" in found.mended[0]
    torch.testing.assert_close(found.survey.receivers[:2], survey.receivers[:2])


def test_missing_records_are_made_up_from_sources(tmp_path: Path) -> None:
    _, data = field_like(tmp_path / "a.sgy")
    spoil(tmp_path / "a.sgy", lambda f: headers(f, FieldRecord=0))
    found = read_gathers(tmp_path / "a.sgy", 4.0)
    assert torch.equal(found.data, data)
    assert "told apart by their source positions" in found.mended[0]


def test_feet_become_metres_and_an_askew_line_is_straightened(tmp_path: Path) -> None:
    survey, _ = field_like(tmp_path / "a.sgy")

    def feet(f: segyio.SegyFile) -> None:
        f.bin.update({segyio.BinField.MeasurementSystem: 2})

    spoil(tmp_path / "a.sgy", feet)
    found = read_gathers(tmp_path / "a.sgy", 4.0)
    torch.testing.assert_close(found.survey.receivers, FEET * survey.receivers)
    field_like(tmp_path / "b.sgy")
    spoil(tmp_path / "b.sgy", lambda f: headers(
        f, GroupX=lambda k: 300 * (k % 8), GroupY=lambda k: 400 * (k % 8), SourceX=lambda k: 300 * (k // 8),
        SourceY=lambda k: 400 * (k // 8), SourceGroupScalar=1,
    ))  # fmt: skip
    askew = read_gathers(tmp_path / "b.sgy", 4.0)
    assert askew.survey.receivers[0, :, 0].tolist() == pytest.approx([500.0 * k for k in range(8)])
    assert "along the line" in askew.mended[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"GroupX": 0, "SourceX": 0}, "every coordinate is 0; write SourceX"),
        ({"CoordinateUnits": 2}, "coordinate units 2 are angles"),
        ({"DelayRecordingTime": 100}, "begins 100 ms off the shot"),
        ({"SourceX": lambda k: k}, "field record 1 has 8 source positions"),
        ({"TRACE_SAMPLE_INTERVAL": lambda k: 4_000 if k else 2_000}, "sampled at 2000 to 4000 microseconds"),
    ],
)
def test_files_that_cannot_be_placed_are_refused_with_the_mend(tmp_path: Path, fields, words: str) -> None:
    field_like(tmp_path / "a.sgy")
    spoil(tmp_path / "a.sgy", lambda f: headers(f, **fields))
    with pytest.raises(BadInput, match=words):
        read_gathers(tmp_path / "a.sgy", 4.0)


def test_a_refusal_is_told_in_its_own_words_alone(tmp_path: Path) -> None:
    field_like(tmp_path / "a.sgy")
    spoil(tmp_path / "a.sgy", lambda f: headers(f, CoordinateUnits=2))
    with pytest.raises(BadInput) as refused:
        read_gathers(tmp_path / "a.sgy", 4.0)
    assert str(refused.value).count("a.sgy") == 1
    (tmp_path / "empty.sgy").touch()
    with pytest.raises(BadInput, match=r"empty\.sgy: the file is empty"):
        read_gathers(tmp_path / "empty.sgy", 4.0)


def test_a_header_that_contradicts_its_traces_is_told(tmp_path: Path) -> None:
    field_like(tmp_path / "a.sgy")
    spoil(tmp_path / "a.sgy", lambda f: headers(f, TRACE_SAMPLE_INTERVAL=2_000))
    found = read_gathers(tmp_path / "a.sgy", 4.0)
    assert found.survey.dt == 0.002
    assert "4000 microseconds a sample, its traces 2000" in found.mended[0]


def test_a_wild_trace_is_silenced_and_a_strong_one_is_not(tmp_path: Path) -> None:
    _, data = field_like(tmp_path / "a.sgy")

    def strong(f) -> None:
        f.trace[3] = 1e9 * f.trace[3]
        f.trace[5] = 100 * f.trace[5]

    spoil(tmp_path / "a.sgy", strong)
    found = read_gathers(tmp_path / "a.sgy", 4.0)
    assert not found.data[0, 3].any()
    torch.testing.assert_close(found.data[0, 5], 100 * data[0, 5])
    assert "middle one are silenced: 1" in found.mended[0]


def test_other_files_are_no_segy(tmp_path: Path) -> None:
    (tmp_path / "x.sgy").write_bytes(b"not seismic" * 500)
    with pytest.raises(BadInput, match="not a readable SEG-Y file"):
        read_gathers(tmp_path / "x.sgy", 4.0)
    with pytest.raises(BadInput, match="no such file"):
        read_gathers(tmp_path / "none.sgy", 4.0)
    field_like(tmp_path / "a.sgy")
    with pytest.raises(BadInput, match="120 samples, the wavelet has 50"):
        read_gathers(tmp_path / "a.sgy", 4.0, torch.ones(50))


def test_what_does_not_fit_the_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    survey = spread(homogeneous(shape=(20, 8)), shots=2, samples=40_000)
    with pytest.raises(BadInput, match="32,767 samples"):
        write_gathers(tmp_path / "a.sgy", survey, torch.zeros(survey.shape))
    assert not list(tmp_path.iterdir())


def test_models_travel_as_segy_too(tmp_path: Path) -> None:
    earth = homogeneous()
    varied = earth.velocity + 10 * torch.arange(20)[:, None] + torch.arange(32)
    write_model(tmp_path / "m.sgy", varied.numpy(), 25.0)
    found, said = read_earth(tmp_path / "m.sgy", 25.0)
    assert torch.equal(found.velocity, varied)
    assert said == []
    write_array(tmp_path / "n.sgy", varied, spacing=40.0)  # the interval field cannot hold 40 m
    assert torch.equal(read_earth(tmp_path / "n.sgy", 40.0)[0].velocity, varied)
    write_array(tmp_path / "o.sgy", varied, spacing=25.0, origin=(1_000.0, 50.0))
    with segyio.open(str(tmp_path / "o.sgy"), ignore_geometry=True) as f:
        assert f.header[0][segyio.TraceField.CDP_X] == 101_250  # centimetres, the middle of the first column
        assert b"FROM 50 M DOWN" in f.text[0]
