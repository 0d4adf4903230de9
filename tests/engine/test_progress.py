"""Progress: lines elsewhere, a bar on a terminal, nothing when quiet."""

import pytest

from sparring.engine.progress import progress


def test_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("baseline", 10) as bar:
        bar.advance(4)
        bar.note("epoch 1/2", {"loss": 0.123456, "robust": 0.5})
    assert bar.done == 4
    assert capsys.readouterr().err == "baseline epoch 1/2  loss 0.1235  robust 0.5\n"


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("baseline", 10, quiet=True) as bar:
        bar.note("epoch 1/2", {"loss": 1.0})
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("baseline", 10, done=3) as bar:
        bar.advance()
        bar.note("epoch 1/2", {"loss": 1.0})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "baseline epoch 1/2  loss 1" in captured.err
    assert bar.done == 4
