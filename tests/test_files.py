import os

import pytest

from sparring.files import replacing, write_bytes, write_text


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "eins")
    write_text(path, "zwei ä")
    assert path.read_text("utf-8") == "zwei ä"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"

    def break_off():
        with replacing(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert os.listdir(tmp_path) == []
    with replacing(path) as stream:
        stream.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a.txt"]
