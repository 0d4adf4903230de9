# pyright: basic
"""Flow records for bar 1: two days of CIC-DDoS2019, benign captures as records, and UNSW-NB15 in the same columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ddos_traces import attack, captures
from torch import Tensor

from sparring.data import sources
from sparring.network import Schema, cicflowmeter_file, read, unsw_file
from sparring.network.cicflowmeter import PROTOCOLS, per_second
from sparring.network.flows import Assembler
from sparring.network.headers import Headers
from sparring.network.schema import Table
from sparring.network.unsw import PROTOCOLS as NAMES
from sparring.systems.ddos.data import HELD_OUT, scenes, staged

DAY_1 = "2018-12-01"
MOST = 40
"""Flows of one capture that may be learned from: no application outweighs the others."""
SHARED = (
    "Protocol", "Flow Duration", "Total Fwd Packets", "Total Backward Packets", "Total Length of Fwd Packets",
    "Total Length of Bwd Packets", "Fwd Packet Length Mean", "Bwd Packet Length Mean", "Flow Bytes/s",
    "Flow Packets/s", "Fwd Packets/s", "Bwd Packets/s", "Fwd IAT Mean", "Bwd IAT Mean",
)  # fmt: skip
"""What UNSW-NB15's records tell too."""


@dataclass(frozen=True)
class Days:
    """Encoded records: day 1 to learn from, with the hour of each; day 2 to test, without rows that day 1 has.

    Beside them benign captures of other networks as records in the same columns, one matrix a capture: `learned` and
    `tested`.
    """

    schema: Schema
    x: Tensor
    y: Tensor
    hour: Tensor
    x2: Tensor
    y2: Tensor
    label: np.ndarray
    learned: list[Tensor]
    tested: list[Tensor]

    def wide(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """These rows of day 1 and the learned captures: rows, labels, and groups that belong together, an hour or a
        capture."""
        more = torch.cat(self.learned)
        y = torch.cat([self.y[rows], torch.zeros(len(more), dtype=torch.int64)])
        part = torch.repeat_interleave(torch.arange(len(self.learned)), torch.tensor([len(m) for m in self.learned]))
        return torch.cat([self.x[rows], more]), y, torch.cat([self.hour[rows], 100 + part])


def records(h: Headers) -> Table:
    """The finished flows of packets, as CICFlowMeter makes them."""
    assembler = Assembler()
    for packet in h.packets():
        assembler.add(packet)
    assembler.end()
    return assembler.finished().table


def days(seed: int) -> Days:
    """Both days; the benign captures that a seed's other bars learn from and those they test."""
    rows = read(sources.locate("cic-ddos2019"), cicflowmeter_file())
    when = np.array([str(t) for t in rows.keep["Timestamp"]])
    first = np.array([t[:10] == DAY_1 for t in when])
    one, two = rows.take(first), rows.take(~first)
    schema = cicflowmeter_file().schema.fit(one.table)

    def encoded(table: Table) -> Tensor:
        return torch.as_tensor(schema.encode(table))

    x1, x2, y2 = encoded(one.table), encoded(two.table), torch.as_tensor(two.attack.astype(np.int64))
    met = {row.tobytes() for row in x1.numpy()}
    fresh = torch.as_tensor(np.array([row.tobytes() not in met for row in x2.numpy()]))
    hour = torch.as_tensor([int(t[11:13]) for t in when[first]])
    assert two.label is not None
    real, rng = captures(seed), np.random.default_rng(seed)
    learned = [encoded(records(h)) for h in (*real.train, *real.calibration)]
    learned = [x[torch.as_tensor(rng.permutation(len(x))[:MOST])] for x in learned]
    return Days(
        schema, x1, torch.as_tensor(one.attack.astype(np.int64)), hour, x2[fresh], y2[fresh],
        two.label[fresh.numpy()], learned, [encoded(records(h)) for h in real.test],
    )  # fmt: skip


def floods(schema: Schema, seed: int) -> dict[str, Tensor]:
    """Attacks of other tools and networks as records: two captures cut by our reader, and generated ones."""
    rng = np.random.default_rng(1_000 + seed)
    scene = staged(scenes(HELD_OUT, 1, rng, other_day=True), rng)[0]
    out = {name: records(attack(name)) for name in ("SynFlood", "WebDDoS")}
    out["generated amplification and slow HTTP"] = records(scene.headers.take(scene.attack > 0))
    return {name: torch.as_tensor(schema.encode(table)) for name, table in out.items()}


def unsw(schema: Schema) -> dict[str, Tensor]:
    """UNSW-NB15's normal and DoS records without repetitions, the columns `SHARED` filled and the others 0."""
    rows = read(sources.locate("unsw-nb15"), unsw_file())
    x = torch.as_tensor(schema.encode(as_cicflowmeter(rows.table, schema)))
    seen = torch.as_tensor(schema.indices(SHARED))
    assert rows.label is not None
    label = np.char.lower(rows.label.astype(str))
    out: dict[str, Tensor] = {}
    for name in ("normal", "dos"):
        chosen = x[torch.as_tensor(label == name)]
        _, first = np.unique(chosen[:, seen].numpy(), axis=0, return_index=True)
        out[name] = chosen[torch.as_tensor(np.sort(first))]
    return out


def as_cicflowmeter(t: Table, schema: Schema) -> Table:
    """UNSW-NB15's columns under CICFlowMeter's names and units: microseconds, and bytes of payload.

    UNSW-NB15 counts IP bytes, so 40 bytes a tcp packet and 28 a udp packet are taken off.
    """
    out: Table = {n: np.zeros(len(t["dur"]), dtype=np.int64 if schema[n].categories else float) for n in schema.names}
    name = np.array([*NAMES, ""], dtype=object)[t["proto"]]
    tcp, udp = name == "tcp", name == "udp"
    out["Protocol"] = np.select([tcp, udp], [PROTOCOLS.index("6"), PROTOCOLS.index("17")], PROTOCOLS.index("0"))
    duration, header = t["dur"] * 1e6, np.select([tcp, udp], [40, 28], 20)
    out["Flow Duration"] = duration
    for side, long, packets, size, gap in (
        ("Fwd", "Fwd", "spkts", "sbytes", "sinpkt"), ("Bwd", "Backward", "dpkts", "dbytes", "dinpkt"),
    ):  # fmt: skip
        count, payload = t[packets], np.maximum(t[size] - header * t[packets], 0)
        out[f"Total {long} Packets"], out[f"Total Length of {side} Packets"] = count, payload
        out[f"{side} Packet Length Mean"] = payload / np.maximum(count, 1)
        out[f"{side} Packets/s"] = per_second(count, duration)
        out[f"{side} IAT Mean"] = np.where(count > 1, t[gap] * 1e3, 0)
    total = out["Total Length of Fwd Packets"] + out["Total Length of Bwd Packets"]
    out["Flow Bytes/s"] = per_second(total, duration)
    out["Flow Packets/s"] = per_second(t["spkts"] + t["dpkts"], duration)
    return out
