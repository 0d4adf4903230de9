# pyright: basic
import gzip
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sparring.errors import BadInput
from sparring.network import cicflowmeter_schema
from sparring.network import drawn as drawing
from sparring.network.drawn import drawn, headers, streamed
from sparring.network.flows import ACK, FIN, PSH, SYN
from sparring.network.headers import joined, text
from sparring.network.netflow import recognised, records
from sparring.network.windows import Windower, stream

BEGIN = 1_600_000_000_500_000
NFDUMP = """ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt
2020-09-13 12:26:40.500,2020-09-13 12:26:42.500,2.000,10.0.0.1,203.0.113.1,5000,80,TCP,...AP.SF,0,0,5,1000,0,0
2020-09-13 12:26:40.600,2020-09-13 12:26:42.400,1.800,203.0.113.1,10.0.0.1,80,5000,TCP,...AP.SF,0,0,4,4000,0,0
2020-09-13 12:26:41.000,2020-09-13 12:26:41.000,0.000,10.0.0.2,203.0.113.2,4000,53,UDP,........,0,0,1,70,0,0
Summary
flows,bytes,packets,avg_bps,avg_pps,avg_bpp
3,5070,10,1,1,1
"""
NFDUMP_17 = """firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows
2020-09-13 12:26:40.500,2.000,TCP,10.0.0.1,5000,203.0.113.1,80,5,1000,1
"""
SILK = """            sIP|            dIP|sPort|dPort|pro|   packets|     bytes|   flags|              sTime| duration|
       10.0.0.1|    203.0.113.1| 5000|   80|  6|         5|      1000|FS PA   |2020/09/13T12:26:40.500|    2.000|
"""
FLOWTOOLS = """#:unix_secs,unix_nsecs,sysuptime,dpkts,doctets,first,last,srcaddr,dstaddr,srcport,dstport,prot,tcp_flags
1600000010,500000000,110000,5,1000,100000,102000,10.0.0.1,203.0.113.1,5000,80,6,27
"""
IPFIX = """sourceIPv4Address;destinationIPv4Address;sourceTransportPort;destinationTransportPort;protocolIdentifier;\
packetDeltaCount;octetDeltaCount;flowStartMilliseconds;flowEndMilliseconds;tcpControlBits
10.0.0.1;203.0.113.1;5000;80;6;5;1000;1600000000500;1600000002500;0x1b
"""
NF_V3 = """FLOW_START_MILLISECONDS,FLOW_END_MILLISECONDS,IPV4_SRC_ADDR,L4_SRC_PORT,IPV4_DST_ADDR,L4_DST_PORT,PROTOCOL,\
IN_BYTES,IN_PKTS,OUT_BYTES,OUT_PKTS,CLIENT_TCP_FLAGS,SERVER_TCP_FLAGS,FLOW_DURATION_MILLISECONDS,TCP_WIN_MAX_IN,Attack
1600000000500,1600000002500,10.0.0.1,5000,203.0.113.1,80,6,1000,5,4000,4,27,19,2000,64240,Benign
"""


def written(folder: Path, content: str) -> Path:
    path = folder / "flows.csv"
    path.write_text(content, "utf-8")
    return path


@pytest.mark.parametrize("content", [NFDUMP, NFDUMP_17, SILK, FLOWTOOLS, IPFIX, NF_V3])
def test_every_export_tells_the_same_flow(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, content)
    assert recognised(path)
    (found,) = records(path)
    first = found.take(slice(0, 1))
    assert (text(first.source[0]), text(first.target[0])) == ("10.0.0.1", "203.0.113.1")
    assert (first.source_port[0], first.target_port[0], first.protocol[0]) == (5000, 80, 6)
    assert (first.packets[0], first.bytes[0]) == (5, 1000)
    assert (first.start[0], first.duration[0]) == (BEGIN, 2_000_000)
    assert first.flags[0] == (ACK if content is NFDUMP_17 else FIN | SYN | PSH | ACK)


def test_packed_files_read_the_same_and_totals_are_no_flows(tmp_path: Path) -> None:
    path = tmp_path / "flows.csv.gz"
    path.write_bytes(gzip.compress(NFDUMP.encode()))
    (found,) = records(path)
    assert len(found) == 3
    assert found.protocol.tolist() == [6, 6, 17]
    assert found.label is None


def test_both_directions_labels_and_windows_of_the_nf_sets(tmp_path: Path) -> None:
    (found,) = records(written(tmp_path, NF_V3))
    assert (found.back_packets[0], found.back_bytes[0], found.back_flags[0]) == (4, 4000, FIN | SYN | ACK)
    assert (found.window[0], found.back_window[0]) == (64_240, -1)
    assert found.label is not None
    assert found.label.tolist() == ["Benign"]
    h = drawn(found).ordered()
    assert (len(h), int(h.size.sum())) == (9, 5000)
    assert h.flags[:2].tolist() == [SYN, SYN | ACK]
    assert h.flags[-2] & FIN
    assert h.time[-1] - h.time[0] == 2_000_000


def test_drawn_packets_keep_every_sum_and_the_rules_of_flows(tmp_path: Path) -> None:
    skipped: Counter[str] = Counter()
    path = written(tmp_path, NFDUMP)
    found = joined(list(headers(path, skipped)))
    assert (np.diff(found.time) >= 0).all()
    assert (len(found), int(found.size.sum()), dict(skipped)) == (10, 5070, {})
    windows = list(stream(headers(path), Windower(120.0)))
    schema = cicflowmeter_schema()
    (flows,) = windows
    assert len(flows) == 2
    assert schema.violations(flows.table).sum() == 0
    assert flows.bytes.tolist() == [5000, 70]
    assert flows.packets.tolist() == [9, 1]
    assert flows.server.tolist() == [True, True]


def test_records_that_come_when_their_flow_ends_still_go_in_order(tmp_path: Path) -> None:
    lines = [f"{1000 + end - 100}.0,100,udp,10.0.0.{end % 200 + 1},9,192.0.2.1,53,3,300" for end in range(0, 2000, 7)]
    path = written(tmp_path, "first_seen,dur,proto,src_ip,src_port,dst_ip,dst_port,packets,bytes\n" + "\n".join(lines))
    skipped: Counter[str] = Counter()
    parts = list(headers(path, skipped))
    times = np.concatenate([p.time for p in parts])
    assert len(times) == 3 * len(lines)
    assert (np.diff(times) >= 0).all()
    assert sum(len(w) for w in stream(iter(parts), Windower(1.0, skipped=skipped))) > 0
    assert skipped == {}


def test_memory_stays_bounded_in_a_flood_of_few_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_LONGEST", 500), ("_AT_ONCE", 1000), ("_MOST", 2000)):
        monkeypatch.setattr(drawing, name, value)
    lines = [f"{1000 + i}.0,1,udp,10.0.0.{i},9,192.0.2.1,53,{700 if i else 0},70000" for i in range(50)]
    path = written(tmp_path, "first_seen,dur,proto,src_ip,src_port,dst_ip,dst_port,packets,bytes\n" + "\n".join(lines))
    skipped: Counter[str] = Counter()
    sizes = [len(part) for part in headers(path, skipped)]
    assert sum(sizes) == 49 * 500
    assert max(sizes) <= 2000
    assert skipped == {"records without packets": 1, "packets of very long records": 49 * 200}


def test_icmp_and_ipv6(tmp_path: Path) -> None:
    content = "ts,td,sa,da,sp,dp,pr,ipkt,ibyt\n2020-09-13 12:26:40,0,2001:db8::1,2001:db8::2,0,8.0,ICMP6,2,208\n"
    (found,) = records(written(tmp_path, content))
    h = drawn(found)
    assert (found.protocol[0], found.target_port[0], len(h)) == (58, 0, 2)
    assert h.v6.all()
    assert h.size.tolist() == [104, 104]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sa,", "nobody,", "no column for a flow's source.*add or rename"),
        ("ts,", "when,", "no column for a flow's start"),
        ("10.0.0.2", "10.0.0.2x", "line 4: field 'sa' holds '10.0.0.2x', not an address"),
        ("2020-09-13 12:26:41.000,", "yesterday,", "line 4: field 'ts' holds 'yesterday', not a time"),
        (",4000,4000,", ",4000,4000,1,", "line 3 has 16 fields, not 15|line 4"),
        (",4,4000,", ",four,4000,", "line 3: field 'ipkt' holds 'four', not a number"),
        (",4,4000,", ",-4,4000,", "line 3: field 'ipkt' holds '-4', not a count"),
        (",1.800,", ",-1.800,", "line 3: field 'td' holds '-1.800', an end before"),
        ("UDP", "UDPX", "line 4: field 'pr' holds 'UDPX', not an IP protocol"),
        (",80,5000,", ",80,70000,", "line 3: field 'dp' holds '70000', not a port"),
        ("...AP.SF", "...AP.SX", "line 2: field 'flg' holds '...AP.SX', not tcp flags"),
    ],
)
def test_a_bad_file_gets_one_line_that_names_the_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in NFDUMP or "4000,4000" in old
    content = NFDUMP.replace(old, new) if old in NFDUMP else NFDUMP.replace(",4,4000,0,0", ",4,4000,0,0,1")
    path = written(tmp_path, content)
    with pytest.raises(BadInput, match=words) as caught:
        list(records(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_nothing_in_the_file(tmp_path: Path) -> None:
    for content in (NFDUMP.splitlines()[0] + "\n", NFDUMP.splitlines()[0] + "\nSummary\nflows\n0\n"):
        with pytest.raises(BadInput, match="no flow in the file"):
            list(headers(written(tmp_path, content)))
    with pytest.raises(BadInput, match="file is empty"):
        list(headers(written(tmp_path, "")))
    assert not recognised(written(tmp_path, "a,b\n1,2\n"))


def test_the_nf_sets_without_times_are_told_to_need_version_3(tmp_path: Path) -> None:
    path = written(tmp_path, NF_V3.replace("FLOW_START_MILLISECONDS", "X").replace("FLOW_END_MILLISECONDS", "Y"))
    with pytest.raises(BadInput, match="version 3 has times"):
        list(records(path))


def test_nfstream_is_named_where_it_is_missing_and_read_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nfstream", None)
    with pytest.raises(BadInput, match="pip install nfstream"):
        list(streamed(Path("x.pcap")))
    names = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
    counts = {f"{side}_{n}_packets": int(n in ("syn", "ack")) for side in ("src2dst", "dst2src") for n in names}
    flow = SimpleNamespace(
        src_ip="10.0.0.1", dst_ip="10.0.0.2", src_port=5000, dst_port=80, protocol=6, src2dst_packets=3,
        src2dst_bytes=180, bidirectional_first_seen_ms=1000, bidirectional_duration_ms=20, dst2src_packets=2,
        dst2src_bytes=100, **counts,
    )  # fmt: skip
    fake = SimpleNamespace(NFStreamer=lambda source, statistical_analysis: [flow] * 2)
    monkeypatch.setitem(sys.modules, "nfstream", fake)
    (found,) = streamed(Path("x.pcap"))
    assert (len(found), found.start.tolist(), found.flags.tolist()) == (2, [10**6, 10**6], [SYN | ACK] * 2)
    assert len(drawn(found)) == 10
