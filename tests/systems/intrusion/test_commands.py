# pyright: basic
"""`sparring intrusion ...` as a user meets it: output, exit codes, and nothing left behind after an error."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import threading

import pytest

from sparring.cli import main
from sparring.engine.config import resolve
from sparring.errors import BadInput
from sparring.network import cicflowmeter_file, unsw_file
from sparring.systems.intrusion.config import Config
from sparring.systems.intrusion.detect import COLUMNS, detect
from sparring.systems.intrusion.store import load

from .captures import write_capture
from .small import nsl_text

PROGRAM = [sys.executable, "-c", "from sparring.cli import main; main()", "intrusion"]


@pytest.fixture
def cli(monkeypatch, capsys):
    """Call the command line in this process: `(exit code, standard output, standard error)`."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["sparring", "intrusion", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(("label", "word"), [("surprise", "unknown label 'surprise'"), ("", "unknown label ''")])
def test_training_refuses_unknown_labels_and_leaves_nothing(monkeypatch, capsys, tmp_path, label, word):
    names = cicflowmeter_file().schema.names
    lines = [",".join([*names, "Label"]), *[",".join(["6"] * len(names) + [kind]) for kind in ("BENIGN", "Syn", label)]]
    (tmp_path / "flows.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    words = ["run", "intrusion", "--set", "data=cicflowmeter", "--data", "flows.csv"]
    monkeypatch.setattr(sys, "argv", ["sparring", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert word in err
    assert "line 4" in err
    assert os.listdir() == ["flows.csv"]


@pytest.fixture
def refused(cli, tmp_path, trained):
    """Give a file to `detect --out`: the one line of the refusal, after checking that nothing was written."""

    def give(path, *words):
        before = sorted(os.listdir(tmp_path))
        code, out, err = cli("detect", path, "--model", trained, "--out", tmp_path / "alerts.jsonl", *words)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.startswith("error: ")
        assert sorted(os.listdir(tmp_path)) == before
        return err

    return give


def test_alerts_are_printed_and_written(cli, trained, nsl_file, tmp_path):
    out = tmp_path / "alerts.jsonl"
    code, text, err = cli("detect", nsl_file, "--model", trained, "--out", out, "--show", 3, "--explain", 5)
    assert (code, err) == (0, "")
    found = list(detect(load(trained), nsl_file, explained=5))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines == [alert.record() for alert in found]
    assert f"{len(found):,} alerts in 3,000 flows" in text
    assert f"... and {len(found) - 3:,} more" in text
    assert f"{found[0].causes[0].feature}=" in text


def test_csv_json_and_exit_code(cli, trained, nsl_file, tmp_path):
    out = tmp_path / "alerts.csv"
    words = ("detect", nsl_file, "--model", trained, "--explain", 2)
    code, text, _ = cli(*words, "--out", out, "--json", "--show", 2, "--exit-code", "--false-alarms", 0.01)
    facts = json.loads(text)
    assert code == 1
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert facts["alerts"] == len(rows)
    assert facts["flows"] == 3000
    assert [int(r["line"]) for r in rows[:2]] == [a["line"] for a in facts["first"]]
    assert all(float(r["false_alarm"]) <= 0.01 for r in rows)
    benign = tmp_path / "benign.txt"
    benign.write_text(nsl_text(1, 3).replace("neptune", "normal"))
    code, text, _ = cli("detect", benign, "--model", trained, "--false-alarms", 1e-9, "--exit-code", "--json")
    assert code == (1 if json.loads(text)["alerts"] else 0)


def test_the_default_model_is_the_newest_run(cli, trained, nsl_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("detect", nsl_file)
    assert code == 2
    assert "sparring run intrusion" in err
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "intrusion-quick-0").symlink_to(trained)
    code, text, _ = cli("detect", nsl_file, "--top", 0)
    assert code == 0
    assert "runs/intrusion-quick-0" in text


def test_explain_and_violations(cli, trained, nsl_file, tmp_path):
    line = next(detect(load(trained), nsl_file)).line
    code, text, _ = cli("explain", nsl_file, "--row", line, "--model", trained)
    assert code == 0
    assert "alarm: " in text
    assert "certified" in text
    code, text, _ = cli("explain", nsl_file, "--row", line, "--model", trained, "--json")
    assert json.loads(text)["alert"] is True
    code, _, err = cli("explain", nsl_file, "--row", 99999, "--model", trained)
    assert (code, err.count("\n")) == (2, 1)
    code, text, _ = cli("violations", nsl_file)
    assert code == 0
    assert "0 of 3,000 flows" in text
    code, text, _ = cli("violations", write_capture(tmp_path / "a.pcap", 5), "--json")
    assert json.loads(text)["flows"] == 5


LINES = nsl_text(30, 7).splitlines()


def edited(at, field, value):
    fields = LINES[at].split(",")
    fields[field] = value
    return "\n".join([*LINES[:at], ",".join(fields), *LINES[at + 1 :]]) + "\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (edited(4, 4, "many"), ("line 5", "src_bytes", "'many'")),
        (edited(4, 4, "NaN"), ("line 5", "src_bytes")),
        (edited(4, 4, ""), ("line 5", "src_bytes")),
        (edited(4, 4, "inf"), ("line 5", "src_bytes", "infinite")),
        ("\n".join([*LINES[:9], LINES[9].rsplit(",", 5)[0]]) + "\n", ("line 10", "fields")),
        ("\n".join(line.split(",", 6)[-1] for line in LINES), ("line 1",)),
        ("", ("empty",)),
        ("\n\n\n", ("line 1",)),
        ("dur,proto,service\n1,2,3\n", ("line 1", "--format")),
    ],
    ids=["type", "nan", "blank", "inf", "short line", "columns lost", "empty", "blank lines", "another table"],
)
def test_malformed_text(refused, tmp_path, content, words):
    path = tmp_path / "flows.txt"
    path.write_text(content)
    err = refused(path)
    for word in (str(path), *words):
        assert word in err


def test_malformed_bytes(refused, tmp_path, nsl_file):
    path = tmp_path / "flows.txt.gz"
    packed = gzip.compress(nsl_file.read_bytes())
    path.write_bytes(packed[: len(packed) // 2])
    assert "truncated" in refused(path)
    path.write_bytes(packed[:500] + b"\x00\xff" * 50 + packed[600:])
    refused(path)
    path.write_bytes(random.Random(0).randbytes(5000))
    refused(path)
    path = tmp_path / "flows.pcap"
    path.write_bytes(random.Random(0).randbytes(5000))
    assert "capture" in refused(path)
    refused(tmp_path / "absent.csv")
    refused(tmp_path)


def test_a_cut_gzip_capture_is_read_as_far_as_it_goes(cli, tmp_path):
    path = write_capture(tmp_path / "cut.pcap.gz", 200)
    path.write_bytes(path.read_bytes()[:-200])
    code, text, err = cli("violations", path)
    assert (code, err) == (0, "")
    assert str(path) in text


def test_a_column_that_is_missing_is_named(refused, tmp_path):
    path = tmp_path / "unsw.csv"
    path.write_text(",".join(n for n in unsw_file().schema.names if n != "sbytes") + "\n" + ",".join("1" * 41) + "\n")
    assert "trained on nsl-kdd" in refused(path)
    assert refused(path, "--format", "nsl-kdd").count("line 1")


def test_a_late_fault_leaves_the_old_alerts(cli, trained, tmp_path):
    path, out = tmp_path / "flows.txt", tmp_path / "alerts.csv"
    path.write_text(nsl_text(2000, 1) * 12 + "0,tcp,broken\n")  # more than one block
    out.write_text("old")
    code, _, err = cli("detect", path, "--model", trained, "--out", out, "--top", 0)
    assert code == 2
    assert "line 24001" in err
    assert out.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["alerts.csv", "flows.txt"]


def test_bad_options(cli, trained, nsl_file, tmp_path):
    for words in (
        ("--out", tmp_path / "alerts.xml"),
        ("--out", tmp_path / "no" / "alerts.csv"),
        ("--out", tmp_path),
        ("--false-alarms", 0),
        ("--format", "excel"),
        ("--model", tmp_path),
    ):
        code, out, err = cli("detect", nsl_file, *(("--model", trained) if "--model" not in words else ()), *words)
        assert (code, out, err.count("\n")) == (2, "", 1), err
    same = tmp_path / "flows.csv"
    same.write_text(nsl_text(5, 0))
    code, _, err = cli("detect", same, "--model", trained, "--out", same)
    assert code == 2
    assert same.read_text() == nsl_text(5, 0)


def test_a_line_of_ten_gigabytes_is_refused_at_its_beginning(trained, tmp_path):
    """Fed through a pipe by a writer that would give 10 GB: refused after a few megabytes, in little memory."""
    pipe, sent = tmp_path / "pipe", [0]
    os.mkfifo(pipe)

    def feed():
        chunk = b"7" * 2**20
        try:
            with pipe.open("wb", buffering=0) as stream:
                stream.write((LINES[0] + "\n").encode())
                while sent[0] < 10 * 2**30:
                    sent[0] += stream.write(chunk)
        except BrokenPipeError:
            pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    limit = 4 * 2**30  # of address space; torch alone maps more than one
    done = subprocess.run(
        [*PROGRAM, "detect", str(pipe), "--model", str(trained), "--format", "nsl-kdd", "--out", tmp_path / "a.csv"],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    feeder.join()
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "line 2 is longer than" in done.stderr
    assert sent[0] < 64 * 2**20
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_sparse_file_of_ten_gigabytes_is_refused(refused, tmp_path):
    path = tmp_path / "flows.txt"
    with path.open("wb") as stream:
        stream.truncate(10 * 2**30)
    assert "binary data" in refused(path)


def test_help_teaches(cli):
    _, text, _ = cli("detect", "--help")
    for word in ("--false-alarms", "--out", "CICFlowMeter", "pcap"):
        assert word in text


@pytest.mark.parametrize("setting", ["attacked=-5", "queries=0", "seeds=0", "false_alarms=2", "train_rows=-1"])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(BadInput, match=setting):
        resolve(Config, overrides=[setting])
