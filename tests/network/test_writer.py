# pyright: basic
"""Headers to pcap and back: every column returns, and dpkt reads the same file the same way."""

import struct
from dataclasses import fields

import dpkt
import numpy as np
import pytest

from sparring.network import pcap, writer
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.network.headers import Headers, halves, ipv4, joined

from .test_windows import packets


@pytest.fixture(scope="module")
def mixed() -> Headers:
    """Generated packets, longer tcp headers, other protocols and IPv6 among them."""
    made = stage(Scene(3.0, rate=20.0, attacks=(Attack("udp flood", 1, 1, 100),)), np.random.default_rng(0)).headers
    options = Headers(**{**packets(np.arange(5)).__dict__, "header": np.full(5, 32)})
    icmp = packets(np.arange(5), protocol=1, source_port=0, target_port=0, flags=0, payload=24)
    icmp = Headers(**{**icmp.__dict__, "header": np.zeros(5, dtype=np.int64), "window": np.full(5, -1)})
    six = packets(np.arange(5), payload=333)
    ends = halves([bytes(range(16))] * 5), halves([bytes(range(16, 32))] * 5)
    six = Headers(**{**six.__dict__, "source": ends[0], "target": ends[1]})
    return joined([made, options, icmp, six]).ordered()


def test_every_column_comes_back(mixed, tmp_path):
    path = tmp_path / "out.pcap"
    assert writer.write(path, mixed) == len(mixed)
    back = joined(list(pcap.headers(path)))
    for f in fields(Headers):
        assert np.array_equal(getattr(back, f.name), getattr(mixed, f.name)), f.name


def test_blocks_give_the_same_file_as_one(mixed, tmp_path):
    one, many = tmp_path / "one.pcap", tmp_path / "many.pcap"
    writer.write(one, mixed)
    writer.write(many, (mixed.take(slice(k, k + 37)) for k in range(0, len(mixed), 37)))
    assert one.read_bytes() == many.read_bytes()


def test_dpkt_reads_the_file_and_its_checksums_are_right(mixed, tmp_path):
    path = tmp_path / "out.pcap"
    writer.write(path, mixed)
    with path.open("rb") as stream:
        frames = list(dpkt.pcap.Reader(stream))
    assert len(frames) == len(mixed)
    for i, (time, frame) in enumerate(frames):
        assert round(float(time) * 1e6) == mixed.time[i]
        packet = dpkt.ethernet.Ethernet(frame).data
        if not mixed.v6[i]:
            words = struct.unpack(">10H", frame[14:34])
            total = sum(words)
            assert (total & 0xFFFF) + (total >> 16) in (0xFFFF, 0x1FFFE)
            assert packet.len == mixed.size[i]
        if mixed.protocol[i] in (6, 17):
            assert (packet.data.sport, packet.data.dport) == (mixed.source_port[i], mixed.target_port[i])


def test_lengths_on_the_wire_are_true_though_payloads_are_left_out(tmp_path):
    path = tmp_path / "out.pcap"
    writer.write(path, packets([1_500_000], payload=1_000))
    seconds, micro, captured, wire = struct.unpack("<IIII", path.read_bytes()[24:40])
    assert (seconds, micro, captured, wire) == (1, 500_000, 54, 1_054)


def test_nothing_is_a_capture_too_and_a_fault_leaves_none(tmp_path):
    assert writer.write(tmp_path / "none.pcap", []) == 0
    assert list(pcap.headers(tmp_path / "none.pcap")) == []

    def broken():
        yield packets([0])
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        writer.write(tmp_path / "half.pcap", broken())
    assert not (tmp_path / "half.pcap").exists()


def test_ipv4_numbers_stand_in_network_order(tmp_path):
    path = tmp_path / "out.pcap"
    writer.write(path, packets([0], source=0x0A000001, target=0xC0A80101))
    frame = path.read_bytes()[40:]
    assert frame[26:34] == bytes([10, 0, 0, 1, 192, 168, 1, 1])
    assert np.array_equal(joined(list(pcap.headers(path))).source, ipv4(np.array([0x0A000001])))
