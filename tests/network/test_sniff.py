"""The format of a file, from the file itself."""

import gzip
import os

import pytest

from sparring.errors import BadInput
from sparring.network.sniff import CAPTURE, FORMATS, named, sniff

from .rows import NSL_LINES


def header(name):
    return ",".join(named(name).schema.names)


@pytest.mark.parametrize("name", ["unsw-nb15", "cicflowmeter"])
def test_headers(tmp_path, name):
    path = tmp_path / "flows.csv"
    path.write_text("id," + header(name) + ",Label\n")
    assert sniff(path) == name
    path.write_text("\ufeff" + header(name).upper().replace(",", " ; ") + "\r\n")
    assert sniff(path) == name
    path.write_text(",".join(header(name).split(",")[:-5]) + "\n")  # the reader names what is missing
    assert sniff(path) == name


def test_nsl_kdd_has_no_header(tmp_path):
    path = tmp_path / "flows.gz"
    path.write_bytes(gzip.compress(NSL_LINES[0].encode()))
    assert sniff(path) == "nsl-kdd"


@pytest.mark.parametrize("magic", ["d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "0a0d0d0a"])
def test_captures(tmp_path, magic):
    path = tmp_path / "traffic"
    path.write_bytes(bytes.fromhex(magic) + b"\0" * 20)
    assert sniff(path) == CAPTURE
    path.write_bytes(gzip.compress(bytes.fromhex(magic) + b"\0" * 20))
    assert sniff(path) == CAPTURE
    assert sniff(tmp_path / "absent.pcapng.gz") == CAPTURE


@pytest.mark.parametrize("text", ["a,b,c\n1,2,3\n", "hello\n", "1,2,3\n"])
def test_anything_else_is_refused(tmp_path, text):
    path = tmp_path / "flows.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match="--format"):
        sniff(path)


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="pipe"):
        sniff(tmp_path / "pipe")


def test_names():
    assert {name: named(name).schema.name for name in FORMATS} == {name: name for name in FORMATS}
    with pytest.raises(BadInput, match="nsl-kdd"):
        named("nsl")


@pytest.mark.shared
def test_real_files(shared):
    assert sniff(shared / "nsl-kdd" / "KDDTest+.txt.gz") == "nsl-kdd"
    assert sniff(shared / "unsw-nb15" / "UNSW_NB15_82332.csv.gz") == "unsw-nb15"
    assert sniff(shared / "cic-ddos2019" / "cicddos2019_500_per_class.csv.gz") == "cicflowmeter"
