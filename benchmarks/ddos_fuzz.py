# pyright: basic
"""Bar 5: malformed captures: fuzzed packets by the hundred thousand, cut files, wrong link types, no lengths."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np

from sparring.errors import BadInput
from sparring.network import pcap, writer
from sparring.network.frames import LINKS
from sparring.network.generator.scene import Scene, stage
from sparring.network.windows import Windower, stream

PART = 100_000


def frames(seed: int) -> list[bytes]:
    """Sound frames to start from: TCP and UDP of a generated scene, in IPv4."""
    h = stage(Scene(10.0, rate=10.0), np.random.default_rng(seed)).headers
    raw = writer.records(h.take(slice(0, 2_000)))
    out, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at + 8)
        out.append(raw[at + 16 : at + 16 + length])
        at += 16 + length
    return out


def fuzzed(seeds: list[bytes], count: int, link: int, rng: np.random.Generator) -> tuple[bytes, int]:
    """A classic pcap file of `count` damaged records: bytes changed, cut short, made of noise, times anywhere."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link)]
    kind, which = rng.integers(0, 6, count), rng.integers(0, len(seeds), count)
    noise = rng.integers(0, 256, (count, 8), dtype=np.uint8)
    clock = 1_600_000_000 + np.arange(count) // 200
    clock = np.where(rng.random(count) < 0.01, rng.integers(0, 2**31, count), clock)
    for i in range(count):
        frame = bytearray(seeds[which[i]])
        a, b, c, d = (int(v) for v in noise[i, :4])
        if kind[i] == 0:
            frame = frame[: a % (len(frame) + 1)]
        elif kind[i] == 1:
            for k in range(4):
                frame[int(noise[i, k]) % len(frame)] = int(noise[i, 4 + k])
        elif kind[i] == 2:
            frame[14 + a % 20] = b  # within the ip header
        elif kind[i] == 3:
            frame = bytearray(noise[i].tobytes() * (1 + a % 16))
        elif kind[i] == 4:
            frame[12:14] = bytes((c, d)) if a % 2 else b"\x86\xdd"
        head = struct.pack("<IIII", int(clock[i]), int(noise[i, 5]) * 3_900, len(frame), len(frame))
        parts.append(head + bytes(frame))
    return b"".join(parts), count


def measured(total: int, scratch: Path, seed: int = 0) -> dict[str, float]:
    """Files read without a crash, and whether every packet was read or counted as skipped."""
    rng, seeds = np.random.default_rng(seed), frames(seed)
    out = Counter({"packets": 0, "read": 0, "skipped": 0, "crashes": 0, "lost": 0})
    reasons: Counter[str] = Counter()
    path = scratch / "fuzz.pcap"
    for part in range(total // PART):
        content, count = fuzzed(seeds, PART, LINKS[0] if part % 2 == 0 else LINKS[part % len(LINKS)], rng)
        path.write_bytes(content)
        skipped: Counter[str] = Counter()
        try:
            read = sum(len(w.headers) for w in stream(pcap.headers(path, skipped), Windower(1.0, most=50_000)))
        except BadInput:
            read = 0
        except Exception as error:
            print(f"  crash: {type(error).__name__}: {error}")
            out["crashes"] += 1
            continue
        unread = sum(v for k, v in skipped.items() if k not in ("out of order", "windows cut for memory"))
        out.update({"packets": count, "read": read, "skipped": unread, "lost": abs(count - read - unread)})
        reasons.update(skipped)
    out["crashes"] += _files(path, fuzzed(seeds, 2_000, 1, rng)[0])
    path.unlink()
    return {**{k: float(v) for k, v in out.items()}, **{f"skipped, {k}": float(v) for k, v in reasons.items()}}


def _files(path: Path, sound: bytes) -> int:
    """Whole files that are wrong: cut anywhere, another link type, huge lengths; crashes among them."""
    broken = [sound[:n] for n in (0, 3, 10, 24, 30, 41, len(sound) - 1)]
    broken += [sound[:20] + struct.pack("<I", link) + sound[24:] for link in (0, 147, 9_999)]
    broken += [sound[:32] + struct.pack("<I", length) + sound[36:] for length in (0, 2**31, 2**32 - 1)]
    broken += [b"\x0a\x0d\x0d\x0a" + sound[:200], b"\x1f\x8b" + sound[:100], sound[::-1]]
    crashes = 0
    for content in broken:
        path.write_bytes(content)
        try:
            for _ in stream(pcap.headers(path, Counter()), Windower(1.0)):
                pass
        except BadInput:
            pass
        except Exception as error:
            print(f"  crash: {type(error).__name__}: {error}")
            crashes += 1
    return crashes
