"""Captured flows in the form of file rows."""

import gzip

import numpy as np
import pytest

from sparring.network.captures import captured
from sparring.network.cicflowmeter import cicflowmeter_schema


@pytest.mark.shared
def test_a_real_capture(shared):
    parts = list(captured(shared / "pcap" / "CIC-DDoS-2019-SynFlood.pcap.gz"))
    lines = np.concatenate([p.line for p in parts])
    assert lines.tolist() == list(range(1, len(lines) + 1))
    for part in parts:
        assert set(part.table) == set(cicflowmeter_schema().names)
        assert all(np.isfinite(column).all() for column in part.table.values())
        assert {len(column) for column in part.keep.values()} == {len(part)}
    assert parts[0].keep["Source IP"][0].count(".") == 3
    assert parts[0].keep["Timestamp"][0].startswith("2018-11-03T")


def test_an_empty_capture_has_no_flows(tmp_path):
    path = tmp_path / "empty.pcap.gz"
    path.write_bytes(gzip.compress(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")))
    assert sum(len(part) for part in captured(path)) == 0
