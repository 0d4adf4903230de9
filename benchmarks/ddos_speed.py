# pyright: basic
"""Bar 4: packets a second from pcap to flows, beside dpkt and nfstream; memory on a capture ten times as long."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparring.network import pcap, writer
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.network.headers import Headers
from sparring.network.windows import Windower, stream

NFSTREAM = """
import sys, time, nfstream
start, wall = time.process_time(), time.perf_counter()
import resource
flows = packets = 0
for f in nfstream.NFStreamer(source=sys.argv[1], statistical_analysis=True, n_dissections=0, n_meters=1):
    flows += 1; packets += f.bidirectional_packets
child = resource.getrusage(resource.RUSAGE_CHILDREN)
used = time.process_time() - start + child.ru_utime + child.ru_stime
print(packets, flows, used, time.perf_counter() - wall)
"""
MEMORY = """
import sys
from pathlib import Path
from sparring.network import pcap
from sparring.network.windows import Windower, stream
path, guard = Path(sys.argv[1]), sys.argv[2]
if guard:
    from sparring.systems.ddos.detect import Watch
    from sparring.systems.ddos.store import load
    count = sum(1 for _ in Watch(load(Path(guard))).scan(path))
else:
    count = sum(len(w) for w in stream(pcap.headers(path), Windower(1.0)))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss survives an exec
print(count, int(peak.split()[1]) / 1024)
"""


def block(seed: int, rate: float = 60.0) -> Headers:
    """A minute of users and two floods."""
    attacks = (Attack("syn flood", 10, 20, 1_500), Attack("udp flood", 35, 15, 1_500))
    return stage(Scene(60.0, rate=rate, attacks=attacks), np.random.default_rng(seed)).headers


def written(path: Path, one: Headers, times: int) -> int:
    """The block again and again, an hour's clock between the copies left out."""
    length = 61_000_000
    return writer.write(path, (replace(one, time=one.time + k * length) for k in range(times)))


def ours(path: Path) -> float:
    start = time.process_time()
    count = sum(len(w.headers) for w in stream(pcap.headers(path), Windower(1.0)))
    return count / (time.process_time() - start)


def dpkt_loop(path: Path) -> float:
    """The usual loop: dpkt parses each packet, a dictionary counts its flow."""
    import dpkt

    flows: dict[tuple, list[float]] = {}
    start, count = time.process_time(), 0
    with path.open("rb") as source:
        for stamp, frame in dpkt.pcap.Reader(source):
            ip = dpkt.ethernet.Ethernet(frame).data
            body = ip.data
            ends = sorted(((ip.src, getattr(body, "sport", 0)), (ip.dst, getattr(body, "dport", 0))))
            flow = flows.setdefault((*ends, ip.p, int(stamp)), [0, 0, stamp, stamp])
            flow[0] += 1
            flow[1] += ip.len
            flow[3] = stamp
            count += 1
    return count / (time.process_time() - start)


def nfstream(path: Path, python: str) -> float:
    """Through nfstream in an environment of its own; nan where there is none."""
    if not python:
        return float("nan")
    done = subprocess.run([python, "-c", NFSTREAM, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  nfstream: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
        return float("nan")
    packets, _, used, _ = (float(v) for v in done.stdout.split()[-4:])
    return packets / used


def peak(path: Path, guard: Path | None) -> float:
    """Megabytes that reading (and judging) a capture takes, in a process of its own."""
    command = [sys.executable, "-c", MEMORY, str(path), str(guard or "")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def measured(scratch: Path, guard: Path, python: str, quick: bool) -> dict[str, float]:
    one = block(0, 10.0 if quick else 60.0)
    short, long = scratch / "short.pcap", scratch / "long.pcap"
    base = 1 if quick else 2
    count = written(short, one, base)
    many = written(long, one, 10 * base)
    out = {"packets, short": float(count), "packets, long": float(many)}
    out["ours"] = max(ours(short) for _ in range(3))
    out["ours, long"] = ours(long)
    out["dpkt loop"] = max(dpkt_loop(short) for _ in range(3))
    out["nfstream"] = max(nfstream(short, python) for _ in range(3))
    out |= {"memory, short": peak(short, None), "memory, long": peak(long, None)}
    few, more = scratch / "few.pcap", scratch / "more.pcap"
    slim = block(1, 10.0)
    written(few, slim, 1)
    written(more, slim, 10)
    out |= {"memory with verdicts, short": peak(few, guard), "memory with verdicts, long": peak(more, guard)}
    for path in (short, long, few, more):
        path.unlink()
    return out


if __name__ == "__main__":
    print(socket.gethostname(), json.dumps(measured(Path(sys.argv[1]), Path(sys.argv[2]), "", True)))
