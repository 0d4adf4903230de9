"""One flow in depth, and files against their rules."""

from __future__ import annotations

import json

import pytest

from sparring.errors import BadInput
from sparring.systems.intrusion.detect import detect
from sparring.systems.intrusion.explain import check_rules, explain
from sparring.systems.intrusion.store import load

from .captures import write_capture
from .small import NAMES, nsl_text, rows_of


@pytest.fixture(scope="module")
def stored(trained):
    return load(trained)


def test_an_alert_explained_says_what_the_alert_said(stored, nsl_file):
    alert = next(detect(stored, nsl_file))
    told = explain(stored, nsl_file, alert.line)
    assert told.alert
    assert told.logit == pytest.approx(alert.logit)
    assert (told.name, told.address) == (alert.name, alert.address)
    assert [o.layer for o in told.layers] == list(stored.detector.names)
    assert max(o.logit for o in told.layers) == told.logit
    assert list(told.features) == list(NAMES)
    assert json.loads(json.dumps(told.record()))["alert"] is True


def test_the_certificate_is_the_blind_layers_logit(stored, nsl_file):
    rows = rows_of(nsl_file)
    for at in (0, 1, 2):
        told = explain(stored, nsl_file, int(rows.line[at]))
        blind = next(o.logit for o in told.layers if o.layer == "blind")
        assert told.certified == pytest.approx(blind)


def test_what_the_sender_can_reach_follows_the_threat_model(stored, nsl_file):
    rows = rows_of(nsl_file)
    for kind, can in (("normal", True), ("neptune", False)):
        line = int(rows.line[rows.label == kind][0])
        reach = {r.feature: r for r in explain(stored, nsl_file, line).reach}
        assert ("src_bytes" in reach) is can  # only a completed connection carries more bytes
        assert "service" not in reach
        assert (reach["count"].low, reach["count"].high) == (0, 511)
        if can:
            assert reach["src_bytes"].low == reach["src_bytes"].value  # bytes only grow


@pytest.mark.parametrize("line", [3001, 10**9])
def test_a_line_without_a_flow(stored, nsl_file, line):
    with pytest.raises(BadInput, match=f"line {line} holds no flow"):
        explain(stored, nsl_file, line)


def test_rules_are_counted_with_the_first_line(tmp_path):
    lines = nsl_text(40, 5).splitlines()
    at = next(i for i, line in enumerate(lines) if "smurf" in line)
    lines[at] = lines[at].replace("0,icmp", "7,icmp", 1)
    path = tmp_path / "edited.txt"
    path.write_text("\n".join(lines) + "\n")
    found = check_rules(path)
    assert (found.form, found.flows, found.breaking) == ("nsl-kdd", 40, 1)
    broken = [rule for rule in found.rules if rule.flows]
    assert [(r.rule, r.flows, r.first_line) for r in broken] == [("icmp => duration = dst_bytes = 0", 1, at + 1)]
    assert json.loads(json.dumps(found.record()))["breaking"] == 1


def test_rules_of_a_capture_hold(tmp_path):
    found = check_rules(write_capture(tmp_path / "a.pcap", 60))
    assert (found.form, found.flows, found.breaking) == ("cicflowmeter", 60, 0)


@pytest.mark.shared
def test_real_files_break_what_is_known(shared):
    found = check_rules(shared / "unsw-nb15" / "UNSW_NB15_82332.csv.gz")
    assert {r.rule: str(r.flows) for r in found.rules if r.flows} == {
        r.rule: r.known for r in found.rules if r.known != "0"
    }
