"""Streaming detection: the same alerts however the file is cut, in bounded memory, each with its reasons."""

from __future__ import annotations

import gzip
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import BadInput
from sparring.network import cicflowmeter_file
from sparring.network.captures import captured
from sparring.systems.intrusion.detect import COLUMNS, Tally, detect, scan
from sparring.systems.intrusion.store import load, save

from .captures import write_capture
from .small import rows_of, small_detector


@pytest.fixture(scope="module")
def stored(trained):
    return load(trained)


@pytest.fixture(scope="module")
def rows(nsl_file):
    return rows_of(nsl_file)


def cut(rows, edges):
    return [rows.take(np.arange(a, b)) for a, b in zip([0, *edges], [*edges, len(rows)], strict=True)]


def test_alerts_are_the_rows_with_a_positive_logit(stored, rows, nsl_file):
    tally = Tally()
    found = list(detect(stored, nsl_file, tally))
    with torch.no_grad():
        logits = stored.detector(torch.from_numpy(stored.schema.encode(rows.table)))
    hits = (logits > 0).nonzero().squeeze(1).tolist()
    assert [a.line for a in found] == [int(rows.line[i]) for i in hits]
    assert [a.logit for a in found] == [float(logits[i]) for i in hits]
    assert (tally.rows, tally.alerts) == (len(rows), len(hits))
    assert sum(tally.classes.values()) == sum(tally.layers.values()) == len(hits)
    assert set(tally.classes) <= {"dos", "r2l"}
    recall = np.isin(rows.line[rows.attack], [a.line for a in found]).mean()
    assert recall > 0.95


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=40))
def test_alerts_do_not_depend_on_the_blocks(stored, rows, edges):
    whole = list(scan(stored, [rows], Tally(), explained=3))
    assert list(scan(stored, cut(rows, sorted(edges)), Tally(), explained=3)) == whole


def test_other_false_alarm_budgets_move_the_threshold(stored, rows):
    default = list(scan(stored, [rows], Tally(), top=0))
    few = list(scan(stored, [rows], Tally(), false_alarms=0.001, top=0))
    many = list(scan(stored, [rows], Tally(), false_alarms=0.5, top=0))
    assert len(few) < len(default) < len(many)
    assert few == [a for a in default if a.logit > math.log(stored.false_alarms / 0.001)]
    assert all(a.false_alarm <= 0.001 for a in few)
    assert all(a.false_alarm <= stored.false_alarms for a in default)
    same = list(scan(stored, [rows], Tally(), false_alarms=stored.false_alarms, top=0))
    assert same == default
    for bad in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(BadInput, match="false-alarms"):
            list(scan(stored, [rows], Tally(), false_alarms=bad))


def test_causes_are_in_the_formats_own_units(stored, rows):
    found = list(scan(stored, [rows], Tally(), top=2, explained=10))
    assert all(1 <= len(a.causes) <= 2 for a in found[:10])
    assert all(not a.causes for a in found[10:])
    labels = stored.schema.labels(rows.table)
    for alert in found[:10]:
        for cause in alert.causes:
            assert cause.value == labels[cause.feature][alert.line - 1]
            assert cause.weight > 0
    assert len(found[0].cells()) == len(COLUMNS)
    assert found[0].record()["class"] == found[0].name


def test_gzip_labels_and_unknown_categories(stored, nsl_file, tmp_path):
    lines = nsl_file.read_text().splitlines()[:50]
    lines[3] = lines[3].replace(",tcp,", ",sctp,").replace(",icmp,", ",sctp,")
    lines[7] = lines[7].rsplit(",", 2)[0] + ",a-new-attack,3"
    path = tmp_path / "flows.txt.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    tally = Tally()
    list(detect(stored, path, tally))
    assert tally.rows == 50
    assert tally.summary()["unknown_categories"] == {"protocol_type": 1}


def test_memory_does_not_grow_with_the_file(stored, rows):
    def peak(blocks):
        tracemalloc.start()
        for _ in scan(stored, (rows.take(np.arange(500)) for _ in range(blocks)), Tally(), top=0):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(4)
    assert peak(80) < 1.5 * peak(8)


def test_a_file_of_another_format_is_refused(stored, nsl_file, tmp_path):
    with pytest.raises(BadInput, match="trained on nsl-kdd"):
        detect(stored, nsl_file, form="unsw-nb15")
    with pytest.raises(BadInput, match="choose one of"):
        detect(stored, nsl_file, form="excel")
    capture = write_capture(tmp_path / "a.pcap", 3)
    with pytest.raises(BadInput, match="is a file of capture"):
        detect(stored, capture)


def test_a_capture_is_judged_as_flows(tmp_path):
    path = write_capture(tmp_path / "traffic.pcap.gz", 300)
    (rows,) = list(captured(path))
    flood = rows.table["Total Backward Packets"] == 0
    assert 50 < flood.sum() < 250
    rows = replace(rows, family=np.where(flood, "flood", "benign").astype(object))
    detector, schema, families = small_detector(rows, cicflowmeter_file())
    save(tmp_path, detector, schema, families=families)
    tally = Tally()
    found = list(detect(load(tmp_path), path, tally))
    assert tally.rows == 300
    lines = {a.line for a in found}
    assert np.isin(rows.line[flood], list(lines)).mean() > 0.95
    alert = next(a for a in found if a.line == int(rows.line[flood][0]))
    assert alert.name == "flood"
    assert alert.address == {
        "time": alert.address["time"],
        "source": "10.0.0.9",
        "source_port": alert.address["source_port"],
        "destination": "10.1.0.1",
        "destination_port": "80",
        "protocol": "tcp",
    }
    assert alert.address["time"].startswith("2026-")
