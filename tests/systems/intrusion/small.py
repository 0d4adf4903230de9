"""Made-up NSL-KDD records, and a small detector trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sparring.network import FlowRows, Format, Schema, controlled, nslkdd_file, read
from sparring.network.detector.families import Families, fit_families
from sparring.network.detector.fit import AutoencoderSize, fit_autoencoder, fit_stack
from sparring.network.detector.layered import Detector, Tail

from .conftest import SMALL

NAMES = nslkdd_file().schema.names
AUTOENCODER = AutoencoderSize(hidden=(16, 4), members=2, epochs=6, batch=128, learning_rate=5e-3)


def nsl_text(n: int, seed: int) -> str:
    """`n` lines: web sessions, SYN floods, ping floods and password guesses, each with its label."""
    rng = np.random.default_rng(seed)
    return "".join(_line(rng) for _ in range(n))


def _line(rng: np.random.Generator) -> str:
    record = dict.fromkeys(NAMES, "0")
    kind = rng.choice(["normal", "neptune", "smurf", "guess_passwd"], p=[0.6, 0.2, 0.1, 0.1])
    count, hosts = int(rng.integers(1, 20)), int(rng.integers(20, 255))
    record |= {"protocol_type": "tcp", "service": "http", "flag": "SF", "logged_in": "1", "same_srv_rate": "1.00"}
    record |= {"src_bytes": str(rng.integers(150, 400)), "dst_bytes": str(rng.integers(500, 9000))}
    if rng.random() < 0.5:
        record |= {
            "service": str(rng.choice(["smtp", "ftp", "ssh", "telnet", "private"], p=[0.4, 0.3, 0.2, 0.05, 0.05]))
        }
        record |= {n: str(rng.poisson(0.5)) for n in ("hot", "num_compromised", "num_root")}
    if kind == "neptune":
        count, hosts = int(rng.integers(100, 300)), 255
        record |= {"service": "private", "flag": "S0", "src_bytes": "0", "dst_bytes": "0", "logged_in": "0"}
        record |= {"serror_rate": "1.00", "srv_serror_rate": "1.00", "dst_host_serror_rate": "1.00"}
    if kind == "smurf":
        count, hosts = 511, 255
        record |= {"protocol_type": "icmp", "service": "ecr_i", "logged_in": "0", "dst_bytes": "0"}
        record |= {"src_bytes": "1032"}
    if kind == "guess_passwd":
        record |= {"service": "telnet", "logged_in": "0", "num_failed_logins": "1", "duration": str(rng.integers(2, 9))}
        record |= {"src_bytes": str(rng.integers(100, 130)), "hot": "1"}
    record |= {"count": str(count), "srv_count": str(count), "dst_host_count": str(hosts)}
    record |= {"dst_host_srv_count": str(hosts), "dst_host_same_srv_rate": "1.00"}
    return ",".join([*record.values(), str(kind), "20"]) + "\n"


def rows_of(path: Path) -> FlowRows:
    """The labelled rows of an NSL-KDD file."""
    return read(path, nslkdd_file())


def small_detector(rows: FlowRows, form: Format | None = None) -> tuple[Detector, Schema, Families]:
    """A detector of both layers, its schema with ranges of `rows`, and the families of its attacks."""
    schema = (form or nslkdd_file()).schema.fit(rows.table)
    x, y = torch.from_numpy(schema.encode(rows.table)), torch.from_numpy(rows.attack)
    moving = set(controlled(schema))
    fixed = torch.from_numpy(schema.indices(n for n in schema.names if n not in moving))
    g, half = torch.Generator().manual_seed(0), len(x) // 2
    layers = {
        "stack": fit_stack(x[:half], y[:half], torch.arange(schema.width), SMALL, generator=g),
        "blind": fit_autoencoder(x[:half][~y[:half]], fixed, AUTOENCODER, generator=g),
    }
    benign = x[half:][~y[half:]]
    with torch.no_grad():
        tails = [Tail.fit(layer(benign)) for layer in layers.values()]
    detector = Detector(layers, tails, (0.02, 0.02), benign.median(0).values).eval()
    assert rows.family is not None
    return detector, schema, fit_families(x[y], rows.family[rows.attack].astype(str))
