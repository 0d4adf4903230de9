# pyright: basic
"""Frames to headers: the block decoder against the plain parser, against dpkt, and on frames that are cut or odd."""

import struct
from collections import Counter
from dataclasses import fields

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.network.captures import ACK, SYN, A, B, ethernet, ip, tcp, udp

from sparring.network.frames import ETHERNET, LINKS, LINUX, LINUX2, NULL, RAW, decode, parse
from sparring.network.headers import Headers, of_packets

SIX_A, SIX_B = bytes(range(16)), bytes(range(16, 32))


def six(protocol: int, body: bytes, length: int | None = None) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(body) if length is None else length, protocol, 64)
    return head + SIX_A + SIX_B + body


SEGMENT = tcp(A, B, (5000, 80), SYN, 7)[20:]
GOOD = {
    "tcp": ethernet(tcp(A, B, (5000, 80), SYN | ACK, 33, window=777)),
    "udp": ethernet(udp(A, B, (53, 4000), 12)),
    "icmp": ethernet(ip(A, B, 1, bytes(20))),
    "tcp over ipv6": ethernet(six(6, SEGMENT), 0x86DD),
    "ipv6 with options": ethernet(six(0, bytes([6, 0]) + bytes(6) + SEGMENT), 0x86DD),
    "two vlan tags": ethernet(b"", 0x88A8)[:14] + b"\x00\x05\x81\x00\x00\x07\x08\x00" + tcp(A, B, (1, 2), ACK),
    "offloaded": ethernet(tcp(A, B, (1, 2), ACK, 9)[:2] + b"\x00\x00" + tcp(A, B, (1, 2), ACK, 9)[4:]),
}
BAD = {
    "zero length": b"",
    "truncated packet": ethernet(tcp(A, B, (1, 2), ACK))[:40],
    "not ip": ethernet(b"arp", 0x0806),
    "fragment or malformed ip": ethernet(b"\x41" + tcp(A, B, (1, 2), ACK)[1:]),
}


def both(frames: list[bytes], link: int = ETHERNET):
    """What the block decoder and the plain parser say, with their counts."""
    data = np.frombuffer(b"".join(frames), dtype=np.uint8)
    length = np.array([len(f) for f in frames], dtype=np.int64)
    time = np.arange(len(frames), dtype=np.int64)
    fast, plain = Counter[str](), Counter[str]()
    headers = decode(data, np.cumsum(length) - length, length, time, link, fast)
    packets = [parse(int(t), f, link, plain) for t, f in zip(time, frames, strict=True)]
    return headers, of_packets([p for p in packets if p is not None]), fast, plain


def assert_same(one: Headers, two: Headers) -> None:
    for f in fields(Headers):
        assert np.array_equal(getattr(one, f.name), getattr(two, f.name)), f.name


def test_known_frames_give_known_columns():
    h, _, skipped, _ = both(list(GOOD.values()))
    assert skipped == {}
    assert h.protocol.tolist() == [6, 17, 1, 6, 6, 6, 6]
    assert h.payload.tolist() == [33, 12, 20, 7, 7, 0, 9]
    assert h.header.tolist() == [20, 8, 0, 20, 20, 20, 20]
    assert h.source_port.tolist() == [5000, 53, 0, 5000, 5000, 1, 1]
    assert h.window.tolist() == [777, -1, -1, 1000, 1000, 1000, 1000]
    assert h.flags.tolist() == [SYN | ACK, 0, 0, SYN, SYN, ACK, ACK]
    assert h.v6.tolist() == [False, False, False, True, True, False, False]


def test_order_stays_when_some_frames_take_the_slow_way():
    frames = [GOOD["ipv6 with options"], GOOD["tcp"], BAD["not ip"], GOOD["ipv6 with options"], GOOD["udp"]]
    h, plain, _, _ = both(frames)
    assert h.time.tolist() == [0, 1, 3, 4]
    assert_same(h, plain)


@pytest.mark.parametrize("reason", BAD)
def test_each_fault_has_its_reason(reason):
    h, plain, fast, slow = both([GOOD["tcp"], BAD[reason], GOOD["udp"]])
    assert fast == slow == {reason: 1}
    assert len(h) == len(plain) == 2


def test_every_cut_of_every_frame_is_read_alike_by_both():
    frames = [frame[:n] for frame in [*GOOD.values(), *BAD.values()] for n in range(len(frame) + 1)]
    h, plain, fast, slow = both(frames)
    assert_same(h, plain)
    assert fast == slow
    assert len(h) + sum(fast.values()) == len(frames)


@pytest.mark.parametrize("link", LINKS)
def test_link_types_wrap_the_same_packet(link):
    inner = tcp(A, B, (5000, 80), SYN, 5)
    front = {ETHERNET: ethernet(b""), LINUX: bytes(14) + b"\x08\x00", LINUX2: b"\x08\x00" + bytes(18)}
    wrapped = front.get(link, bytes(4) if link in NULL else b"") + inner
    h, plain, skipped, _ = both([wrapped], link)
    assert skipped == {}
    assert (h.payload[0], h.source_port[0], h.flags[0]) == (5, 5000, SYN)
    assert_same(h, plain)
    assert link in (*RAW, *NULL, ETHERNET, LINUX, LINUX2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=90), min_size=1, max_size=6), st.sampled_from(LINKS))
def test_any_bytes_are_read_alike_and_all_accounted_for(frames, link):
    h, plain, fast, slow = both(frames, link)
    assert_same(h, plain)
    assert fast == slow
    assert len(h) + sum(fast.values()) == len(frames)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_frames_are_read_alike_by_both(data):
    frames: list[bytes] = []
    for _ in range(8):
        frame = bytearray(data.draw(st.sampled_from([*GOOD.values()])))
        for _ in range(data.draw(st.integers(1, 4))):
            frame[data.draw(st.integers(12, len(frame) - 1))] = data.draw(st.integers(0, 255))
        frames.append(bytes(frame))
    h, plain, fast, slow = both(frames)
    assert_same(h, plain)
    assert fast == slow


def test_dpkt_reads_the_same_from_sound_frames():
    rng = np.random.default_rng(0)
    frames: list[bytes] = []
    for _ in range(200):
        ports = (int(rng.integers(1, 65_536)), int(rng.integers(1, 65_536)))
        if rng.random() < 0.5:
            frames.append(ethernet(tcp(A, B, ports, int(rng.integers(0, 256)), int(rng.integers(0, 50)), 300)))
        else:
            frames.append(ethernet(udp(B, A, ports, int(rng.integers(0, 50)))))
    h, _, _, _ = both(frames)
    for i, frame in enumerate(frames):
        packet = dpkt.ethernet.Ethernet(frame).data
        body = packet.data
        assert (packet.p, body.sport, body.dport) == (h.protocol[i], h.source_port[i], h.target_port[i])
        assert len(body.data) == h.payload[i]
        assert packet.len == h.size[i]
        if packet.p == 6:
            assert (body.flags, body.win, body.off * 4) == (h.flags[i], h.window[i], h.header[i])
