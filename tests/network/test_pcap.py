# pyright: basic
import gzip
import random
import zlib
from collections import Counter
from pathlib import Path

import dpkt
import pytest
from tests.network.captures import ACK, RST, SYN, A, B, ethernet, ip, pcap, session, tcp, udp

from sparring.errors import BadInput
from sparring.network import cicflowmeter_schema
from sparring.network.flows import merged
from sparring.network.pcap import flows, headers, packets

SCHEMA = cicflowmeter_schema()


def write(folder: Path, content: bytes) -> Path:
    path = folder / "x.pcap"
    path.write_bytes(content)
    return path


def read(path: Path):
    skipped: Counter[str] = Counter()
    return merged(flows(path, skipped)), skipped


@pytest.mark.parametrize("shape", ["little", "big", "nano", "gzip", "raw", "vlan"])
def test_one_session_is_one_flow_in_every_wrapping(tmp_path: Path, shape: str) -> None:
    frames = session()
    if shape == "raw":
        content = pcap([(t, f[14:]) for t, f in frames], link=101)
    elif shape == "vlan":
        content = pcap([(t, f[:12] + b"\x81\x00\x00\x05" + f[12:]) for t, f in frames])
    else:
        content = pcap(frames, order=">" if shape == "big" else "<", nano=shape == "nano")
    found, skipped = read(write(tmp_path, gzip.compress(content) if shape == "gzip" else content))
    assert (len(found), dict(skipped)) == (1, {})
    row = {name: float(column[0]) for name, column in found.table.items()}
    assert (row["Total Fwd Packets"], row["Total Backward Packets"]) == (5, 3)
    assert (row["Total Length of Fwd Packets"], row["Total Length of Bwd Packets"]) == (100, 300)
    assert row["Flow Duration"] == 70_000
    assert row["Flow IAT Mean"] == pytest.approx(10_000)
    assert (row["Destination Port"], row["Init_Win_bytes_forward"], row["Fwd Header Length"]) == (80, 1000, 100)
    assert (row["SYN Flag Count"], row["FIN Flag Count"], row["RST Flag Count"]) == (1, 1, 0)
    assert found.endpoints == [(A, 5000, B, 80, 6)]
    assert SCHEMA.violations(found.table).sum() == 0


def test_pcapng(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with path.open("wb") as stream:
        writer = dpkt.pcapng.Writer(stream)
        for time, frame in session():
            writer.writepkt(frame, ts=time)
    found, _ = read(path)
    assert len(found) == 1
    assert found.table["Flow Duration"][0] == 70_000
    whole, faults = path.read_bytes(), []
    for cut in range(30, len(whole), 37):
        path.write_bytes(whole[:cut])
        try:
            read(path)
        except BadInput as error:
            faults.append(str(error))
    assert all("pcapng" in fault for fault in faults)


def test_flows_end_by_time_and_by_reset_and_a_new_syn_starts_anew(tmp_path: Path) -> None:
    up, down = (A, B, (1, 80)), (B, A, (80, 1))
    frames = [
        (0.0, tcp(*up, SYN)), (0.1, tcp(*down, RST | ACK)), (0.2, tcp(*up, SYN)),
        (130.0, udp(A, B, (7, 53), 10)), (249.0, udp(B, A, (53, 7), 10)), (251.0, udp(B, A, (53, 7), 10)),
    ]  # fmt: skip
    found, _ = read(write(tmp_path, pcap([(t, ethernet(f)) for t, f in frames])))
    sizes = sorted(zip(found.table["Total Fwd Packets"], found.table["Total Backward Packets"], strict=True))
    assert sizes == [(1, 0), (1, 0), (1, 1), (1, 1)]
    assert found.table["Idle Max"].max() == 119e6


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    good = session()
    fragment = bytearray(udp(A, B, (1, 2), 4))
    fragment[6:8] = b"\x00\x10"
    bad = [
        (200.0, b""), (200.1, b"\x00" * 5), (200.2, ethernet(b"arp", 0x0806)), (200.3, ethernet(bytes(fragment))),
        (200.4, ethernet(ip(A, B, 6, b"\x00\x01"))), (50.0, ethernet(tcp(A, B, (5000, 80), ACK))),
    ]  # fmt: skip
    found, skipped = read(write(tmp_path, pcap(good[:4] + bad + good[4:])))
    assert skipped == {
        "zero length": 1, "truncated packet": 2, "not ip": 1, "fragment or malformed ip": 1, "out of order": 1,
    }  # fmt: skip
    assert SCHEMA.violations(found.table).sum() == 0


def test_truncated_files_keep_what_was_whole(tmp_path: Path) -> None:
    content = pcap(session())
    found, skipped = read(write(tmp_path, content[:-10]))
    assert (skipped["truncated file"], found.table["Total Fwd Packets"][0]) == (1, 4)
    _, skipped = read(write(tmp_path, gzip.compress(content[:-10])))
    assert skipped["truncated file"] == 1
    huge = content[:32] + b"\xff\xff\xff\x7f" + content[36:]
    found, skipped = read(write(tmp_path, huge))
    assert (len(found), skipped["corrupt record, rest of file"]) == (0, 1)


@pytest.mark.parametrize("lost", [1, 8, 30, 200])
def test_a_cut_gzip_capture_is_read_as_far_as_it_goes_and_the_cut_is_counted_once(tmp_path: Path, lost: int) -> None:
    content = pcap(session() * 40)
    packed = gzip.compress(content)
    skipped = Counter[str]()
    found = sum(map(len, headers(write(tmp_path, packed[:-lost]), skipped)))
    assert skipped["truncated file"] == 1
    unpacked = zlib.decompressobj(31).decompress(packed[:-lost])
    assert found == sum(map(len, headers(write(tmp_path, unpacked)))) > 0


def test_a_gzip_capture_cut_within_its_header_or_damaged_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(pcap(session()))
    for content, words in (
        (packed[:-8] + bytes(8), "the gzip file is damaged.*copy or fetch it again"),
        (packed[:5], "empty or cut before its first packet"),
    ):
        path = write(tmp_path, content)
        with pytest.raises(BadInput, match=f"{path}: .*{words}"):
            read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xd4\xc3\xb2\xa1\x02", "within its header"),
        (b"GET / HTTP/1.1\r\n", "not a capture"),
        (pcap([], link=147), "link type 147"),
        (b"\x0a\x0d\x0d\x0a" + b"\xff" * 40, "pcapng header is damaged"),
    ],
)
def test_files_that_are_no_capture_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read(write(tmp_path, content))
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "absent.pcap")


def test_random_damage_never_crashes(tmp_path: Path) -> None:
    content, chance = pcap(session() * 5), random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(24, len(damaged))] = chance.randrange(256)
        found, _ = read(write(tmp_path, bytes(damaged)))
        assert SCHEMA.violations(found.table).sum() == 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "tuples", "count"), [("CIC-DDoS-2019-SynFlood", 9_367, 26_316), ("CIC-DDoS-2019-WebDDoS", 146, 3_104)]
)
def test_real_captures(shared, name: str, tuples: int, count: int) -> None:
    path = shared / "pcap" / f"{name}.pcap.gz"
    found, skipped = read(path)
    assert dict(skipped) == {}
    ends = {(frozenset(((e[0], e[1]), (e[2], e[3]))), e[4]) for e in found.endpoints}
    # Connections by address pair are as published; those reopened by a new SYN or over 120 s count again.
    assert len(ends) == tuples
    assert tuples <= len(found) <= tuples * 1.02
    assert found.table["Total Fwd Packets"].sum() + found.table["Total Backward Packets"].sum() == count
    assert sum(1 for _ in packets(path)) == count
    assert SCHEMA.violations(found.table).sum() == 0
