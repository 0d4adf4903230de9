"""Small captures, written packet by packet."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import dpkt
import numpy as np

SERVER, CLIENT, FLOODER = b"\x0a\x01\x00\x01", b"\x0a\x00\x00\x02", b"\x0a\x00\x00\x09"
START = 1_790_000_000.0


def write_capture(path: Path, flows: int, seed: int = 0) -> Path:
    """A pcap (gzipped if so named) of `flows` tcp flows to port 80: two thirds sessions, one third lone SYNs."""
    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    writer = dpkt.pcap.Writer(buffer)
    for i in range(flows):
        at, port = START + 0.5 * i, 1024 + i
        if rng.random() < 1 / 3:
            for k in range(int(rng.integers(2, 5))):
                writer.writepkt(_frame(FLOODER, SERVER, port, 80, dpkt.tcp.TH_SYN, 0), at + k * 1e-3)
            continue
        for k in range(int(rng.integers(2, 9))):
            step = at + (2 * k + rng.random()) * 1e-2
            writer.writepkt(_frame(CLIENT, SERVER, port, 80, dpkt.tcp.TH_ACK, int(rng.integers(40, 400))), step)
            writer.writepkt(_frame(SERVER, CLIENT, 80, port, dpkt.tcp.TH_ACK, int(rng.integers(99, 1400))), step + 5e-3)
    data = buffer.getvalue()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def _frame(source: bytes, target: bytes, source_port: int, target_port: int, flags: int, payload: int) -> bytes:
    tcp = dpkt.tcp.TCP(sport=source_port, dport=target_port, flags=flags, data=b"x" * payload)
    ip = dpkt.ip.IP(src=source, dst=target, p=dpkt.ip.IP_PROTO_TCP, data=tcp)
    ip.len = len(ip)
    return bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP, data=ip))
