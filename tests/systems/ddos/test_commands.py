# pyright: basic
import gzip
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparring.cli import app
from sparring.errors import BadInput
from sparring.network import writer
from sparring.systems.ddos import commands

RUNNER = CliRunner()


@dataclass(frozen=True)
class Done:
    exit_code: int
    output: str
    stdout: str


def called(*arguments: object) -> Done:
    """What `sparring ddos ...` answers; input errors as its `main` tells them."""
    done = RUNNER.invoke(app, ["ddos", *map(str, arguments)], env={"COLUMNS": "300"})
    if isinstance(done.exception, BadInput):
        return Done(2, str(done.exception), "")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.output, done.stdout)


@pytest.fixture(scope="module")
def capture(flooded, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("capture") / "flood.pcap"
    writer.write(path, flooded.headers)
    return path


@pytest.fixture(scope="module")
def calm(flooded, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("capture") / "calm.pcap"
    writer.write(path, flooded.take(flooded.attack == 0).headers)
    return path


def test_an_attack_exits_with_1_and_is_explained(capture, folder):
    done = called("detect", capture, "--model", folder, "--json")
    assert done.exit_code == 1, done.output
    facts = json.loads(done.stdout)
    assert facts["alerts"] > 3
    assert facts["destinations"]["203.0.113.1"] > 3
    first = facts["first"][0]
    assert first["causes"]
    assert first["name"] in facts["classes"]
    assert facts["rules"]
    assert all("203.0.113.1" in rule["targets"] for rule in facts["rules"])


def test_people_get_a_table(capture, folder):
    done = called("detect", capture, "--model", folder)
    assert done.exit_code == 1
    assert "203.0.113.1" in done.output
    assert "alerts" in done.output


def test_quiet_traffic_hardly_alarms_and_the_exit_code_tells(calm, folder):
    done = called("detect", calm, "--model", folder, "--json")
    facts = json.loads(done.stdout)
    # An incident goes on with every flagged flow for half a minute: what calls an operator is its beginning.
    assert facts["incidents"] <= 3
    assert facts["alerts"] >= facts["incidents"]
    assert done.exit_code == (facts["alerts"] > 0)


def test_a_gzipped_capture_gives_the_same_verdicts(capture, folder, tmp_path):
    packed = tmp_path / "flood.pcap.gz"
    packed.write_bytes(gzip.compress(capture.read_bytes()))
    plain, zipped = (json.loads(called("detect", p, "--model", folder, "--json").stdout) for p in (capture, packed))
    assert plain["first"] == zipped["first"]
    assert plain["rules"] == zipped["rules"]


def test_rules_and_alerts_are_written(capture, folder, tmp_path):
    for name in ("out.nft", "out.json"):
        done = called("detect", capture, "--model", folder, "--rules", tmp_path / name, "--out", tmp_path / "a.jsonl")
        assert done.exit_code == 1
    assert json.loads((tmp_path / "out.json").read_text())
    assert all(json.loads(line)["destination"] for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert "table inet sparring" in (tmp_path / "out.nft").read_text()


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed: apt-get install nftables")
def test_nft_accepts_the_rules_of_a_capture(capture, folder, tmp_path):
    called("detect", capture, "--model", folder, "--rules", tmp_path / "out.nft")
    done = subprocess.run(["nft", "-c", "-f", str(tmp_path / "out.nft")], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("nft -c needs rights that this process lacks")
    assert done.returncode == 0, done.stderr


def test_an_empty_file_is_refused_and_nothing_is_written(folder, tmp_path):
    empty = tmp_path / "empty.pcap"
    empty.touch()
    done = called("detect", empty, "--model", folder, "--rules", tmp_path / "out.nft", "--out", tmp_path / "a.jsonl")
    assert done.exit_code == 2
    assert "empty" in done.output
    assert {p.name for p in tmp_path.iterdir()} == {"empty.pcap"}


def test_a_truncated_file_is_judged_as_far_as_it_goes(capture, folder, tmp_path):
    short = tmp_path / "cut.pcap"
    short.write_bytes(capture.read_bytes()[:-7])
    facts = json.loads(called("detect", short, "--model", folder, "--json").stdout)
    assert facts["skipped_packets"] == {"truncated file": 1}


def test_a_truncated_gzip_file_is_judged_as_far_as_it_goes(capture, folder, tmp_path):
    short = tmp_path / "cut.pcap.gz"
    short.write_bytes(gzip.compress(capture.read_bytes())[:-1_000])
    done = called("detect", short, "--model", folder, "--json", "--out", tmp_path / "a.jsonl")
    facts = json.loads(done.stdout)
    assert done.exit_code == 1
    assert facts["skipped_packets"] == {"truncated file": 1}
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == facts["alerts"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("detect", "nothing.pcap"), "nothing.pcap"),
        (("detect", "."), "cannot be read"),
        (("detect", __file__), "not a capture"),
        (("detect", "CAPTURE", "--rules", "out.txt"), ".nft or .json"),
        (("detect", "CAPTURE", "--rules", "missing/out.nft"), "folder that exists"),
        (("detect", "CAPTURE", "--model", "nowhere"), "nowhere"),
        (("simulate", "--attack", "smurf"), "smurf"),
        (("simulate", "--rules", "out.txt"), ".nft or .json"),
        (("simulate", "--rules", "missing/out.nft"), "folder that exists"),
        (("simulate", "--bots", "0"), "--bots"),
    ],
)
def test_bad_input_exits_with_2_and_says_what_is_wrong(arguments, words, capture, folder):
    given = [str(capture) if a == "CAPTURE" else a for a in arguments]
    if "--model" not in given:
        given += ["--model", str(folder)]
    done = called(*given)
    assert done.exit_code == 2, done.output
    assert words in done.output.replace("\n", " ")


def test_a_csv_that_is_no_flow_export_is_refused(folder, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("day,price\n1,2\n")
    done = called("detect", path, "--model", folder)
    assert done.exit_code == 2
    assert "flow export" in done.output


def test_a_flow_export_is_judged(folder, tmp_path):
    path = tmp_path / "flows.csv"
    lines = [f"{1000 + i // 200}.{i % 200:03},0.0,udp,198.18.{i % 250}.{i % 199},{1024 + i},203.0.113.9,53,40,40000"
             for i in range(1_200)]  # fmt: skip
    path.write_text("first_seen,dur,proto,src_ip,src_port,dst_ip,dst_port,packets,bytes\n" + "\n".join(lines))
    facts = json.loads(called("detect", path, "--model", folder, "--json").stdout)
    assert facts["packets"] == 48_000


def test_simulate_shows_what_reaches_the_far_end(folder, tmp_path):
    done = called(
        "simulate", "--model", folder, "--bots", 100, "--seconds", 12, "--json", "--rules", tmp_path / "r.nft"
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["goodput"]["none"] < facts["goodput"]["ours"] <= 1
    assert facts["benign_blocked"]["oracle"] == 0
    assert (tmp_path / "r.nft").exists()
    assert called("simulate", "--model", folder, "--seconds", 12, "--crowd").exit_code == 0


def test_help_teaches():
    done = called("detect", "--help")
    assert "Exit code 0: no attack" in done.output


def test_ctrl_c_while_following_judges_the_last_window_too(capture, folder, tmp_path, monkeypatch):
    """The signal comes while the end of the file is waited for."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(commands.time, "sleep", lambda seconds: os.kill(os.getpid(), signal.SIGINT))
    followed = called("detect", capture, "--model", folder, "--json", "--follow", "--out", tmp_path / "a.jsonl")
    at_once = called("detect", capture, "--model", folder, "--json")
    facts, whole_file = json.loads(followed.stdout), json.loads(at_once.stdout)
    assert (facts["windows"], facts["packets"]) == (whole_file["windows"], whole_file["packets"])
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == facts["alerts"] == whole_file["alerts"]
    assert signal.getsignal(signal.SIGINT) is before
