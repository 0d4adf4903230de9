# pyright: basic

"""The command line as a user meets it: what it prints, its exit codes, and what it leaves on disk."""

import importlib
import json
import subprocess
import sys

import pytest

from sparring import registry
from sparring.cli import main
from sparring.evaluation import scorecard as sc

COMMANDS = ["list", "show", "run", "evaluate", "certify", "report", "compare", "leaderboard", "data", "doctor"]


def sparring(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", "from sparring.cli import main; main()", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def refused(done, *words):
    """One line on standard error that holds the words, nothing on standard output, exit code 2."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_help_names_every_command_and_every_system_that_is_built():
    text = sparring("--help").stdout
    for command in [*COMMANDS, *(e.name for e in registry.entries() if e.ready)]:
        assert f" {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    done = sparring(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['sparring', '--help']\n"
        "from sparring.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'pydantic', 'lightning_fabric') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_list_as_json_says_what_is_ready():
    listed = json.loads(sparring("list", "--json").stdout)
    assert {e["name"] for e in listed if e["ready"]} >= {"intrusion"}


def test_show_explains_each_setting():
    text = sparring("show", "intrusion").stdout
    assert "false_alarms = 0.03" in text
    assert "arXiv 2603.10413" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "intrusoin"), ("intrusoin", "intrusion")),
        (("run", "intrusion", "--preset", "fast"), ("--preset fast", "quick")),
        (("run", "intrusion", "--set", "false_alarm=0.1"), ("false_alarm", "false_alarms")),
        (("run", "intrusion", "--set", "false_alarms=many"), ("false_alarms", "number")),
        (("run", "intrusion", "--set", "nonsense"), ("key=value",)),
        (("run", "intrusion", "--config", "gone.yaml"), ("gone.yaml",)),
        (("evaluate", "gone"), ("gone", "sparring run")),
        (("report", "gone"), ("gone",)),
        (("compare", "gone", "gone2"), ("gone",)),
        (("leaderboard", "gone"), ("gone",)),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words, expected, tmp_path):
    refused(sparring(*words, cwd=tmp_path), *expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 99}', "\x00\x01", ""])
def test_a_damaged_scorecard_is_named(text, tmp_path):
    (tmp_path / "scorecard.json").write_text(text)
    refused(sparring("report", tmp_path), "scorecard.json")
    assert [p.name for p in tmp_path.iterdir()] == ["scorecard.json"]


def unreliable_card():
    row = sc.Row(model="m", metric="recall", condition="clean", value=1, interval=(0.9, 1), n=30, seeds=(0,))
    verdict = sc.Verdict(model="m", status="unreliable", flags=("zero gradients",))
    return sc.Scorecard(
        system="intrusion", title="t", created="2026-01-01T00:00:00+00:00", command="c", config={}, environment={},
        data=(), seeds=(0,), rows=(row,), verdicts=(verdict,),
    )  # fmt: skip


def test_an_unreliable_scorecard_ends_with_exit_code_3(tmp_path):
    unreliable_card().save(tmp_path / "scorecard.json")
    done = sparring("report", tmp_path, "--json")
    assert done.returncode == 3
    assert (tmp_path / "report.html").exists()


def test_doctor_as_json():
    found = {f["name"]: f["state"] for f in json.loads(sparring("doctor", "--json").stdout)}
    assert found["torch"] == "good"


def test_an_interrupted_run_says_how_to_continue(monkeypatch, capsys):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("sparring.launch"), "launch", stop)
    monkeypatch.setattr("sys.argv", ["sparring", "run", "intrusion"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert "the same command continues" in capsys.readouterr().err
