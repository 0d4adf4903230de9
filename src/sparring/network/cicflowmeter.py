"""CICFlowMeter: the 79 flow features of CIC-IDS2017 to CIC-DDoS2019 files, and the identities they keep.

Source: Lashkari, Draper-Gil, Mamun, Ghorbani, "Characterization of Tor Traffic using Time based Features", ICISSP
2017, and the files themselves: the relations hold on all 8,000 rows of the CIC-DDoS2019 sample. Times are in
microseconds, lengths in payload bytes. "Fwd" is from the flow's first sender.

A trait of the tool that the files share: the length of a flow's first packet counts twice in Packet Length Mean,
Std, Variance and Average Packet Size (the sums run over n + 1 lengths).

Never features: flow id, addresses, source port, time stamp, and CIC-DDoS2019's `Inbound`, which is the label.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sparring.network.schema import Array, Feature, Owner, Relation, Schema, Table

Field = Callable[[Table], Array]

PROTOCOLS = ("6", "17", "0")
TCP = PROTOCOLS.index("6")
TIMEOUT = 120e6
"""Longest flow, microseconds."""
IDLE = 5e6
"""A gap longer than this, in microseconds, ends an active period."""

_LENGTHS = tuple(f"{d} Packet Length {s}" for d in ("Fwd", "Bwd") for s in ("Max", "Min", "Mean", "Std"))
_GAPS = ("Mean", "Std", "Max", "Min")
_FLAGS = tuple(f"{f} Flag Count" for f in ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "CWE", "ECE"))
BULK = tuple(f"{d} Avg {b}" for d in ("Fwd", "Bwd") for b in ("Bytes/Bulk", "Packets/Bulk", "Bulk Rate"))
COLUMNS = (
    "Destination Port", "Protocol", "Flow Duration", "Total Fwd Packets", "Total Backward Packets",
    "Total Length of Fwd Packets", "Total Length of Bwd Packets", *_LENGTHS, "Flow Bytes/s", "Flow Packets/s",
    *(f"Flow IAT {s}" for s in _GAPS), *(f"{d} IAT {s}" for d in ("Fwd", "Bwd") for s in ("Total", *_GAPS)),
    "Fwd PSH Flags", "Bwd PSH Flags", "Fwd URG Flags", "Bwd URG Flags", "Fwd Header Length", "Bwd Header Length",
    "Fwd Packets/s", "Bwd Packets/s", "Min Packet Length", "Max Packet Length", "Packet Length Mean",
    "Packet Length Std", "Packet Length Variance", *_FLAGS, "Down/Up Ratio", "Average Packet Size",
    "Avg Fwd Segment Size", "Avg Bwd Segment Size", "Fwd Header Length.1", *BULK, "Subflow Fwd Packets",
    "Subflow Fwd Bytes", "Subflow Bwd Packets", "Subflow Bwd Bytes", "Init_Win_bytes_forward",
    "Init_Win_bytes_backward", "act_data_pkt_fwd", "min_seg_size_forward",
    *(f"{p} {s}" for p in ("Active", "Idle") for s in ("Mean", "Std", "Max", "Min")),
)  # fmt: skip
"""The 79 features, in the order of the CSV files."""

ATTACKS = {
    "dns": "reflection", "ldap": "reflection", "mssql": "reflection", "ntp": "reflection", "netbios": "reflection",
    "snmp": "reflection", "ssdp": "reflection", "portmap": "reflection", "tftp": "reflection", "udp": "flood",
    "udp-lag": "flood", "udplag": "flood", "syn": "flood", "webddos": "application",
}  # fmt: skip
FAMILY_OF = {
    "benign": "benign", "normal": "benign", **ATTACKS, **{f"drdos_{k}": v for k, v in ATTACKS.items()},
    "dos hulk": "application", "dos goldeneye": "application", "dos slowloris": "application",
    "dos slowhttptest": "application", "ddos": "flood", "portscan": "scan", "ftp-patator": "brute force",
    "ssh-patator": "brute force", "bot": "botnet", "infiltration": "infiltration", "heartbleed": "application",
    "web attack \u2013 brute force": "web", "web attack \u2013 xss": "web", "web attack \u2013 sql injection": "web",
    "web attack  brute force": "web", "web attack  xss": "web", "web attack  sql injection": "web",
}  # fmt: skip
"""Labels of CIC-DDoS2019 and CIC-IDS2017 in lower case, to families."""


@cache
def cicflowmeter_schema() -> Schema:
    """The CICFlowMeter schema: 79 features, 81 matrix columns."""
    return Schema("cicflowmeter", tuple(_feature(n) for n in COLUMNS), (*_identities(), *_orders(), *_limits()))


def _feature(name: str) -> Feature:
    owner: Owner = "receiver" if "Bwd" in name or "backward" in name.lower() else "sender"
    if name == "Protocol":
        return Feature(name, "category", categories=PROTOCOLS)
    if name in _FLAGS or name.endswith((" PSH Flags", " URG Flags")):
        # A sender sets PSH, URG and the ECN bits as it likes and chooses how it ends; SYN and ACK belong to TCP itself.
        settable = owner == "sender" and name not in ("SYN Flag Count", "ACK Flag Count")
        return Feature(name, "flag", control="both" if settable else "none", owner=owner)
    if name == "Destination Port":
        return Feature(name, "integer", high=65535)
    if name.startswith("Init_Win"):
        control = "both" if owner == "sender" else "none"
        return Feature(name, "integer", low=-1, high=65535, control=control, owner=owner)
    whole = (
        name in ("Flow Duration", "act_data_pkt_fwd", "min_seg_size_forward")
        or name.startswith(("Total", "Subflow", "Fwd Header", "Bwd Header"))
        or name.endswith(("Packet Length Max", "Packet Length Min", "IAT Max", "IAT Min", "IAT Total"))
        or name in ("Min Packet Length", "Max Packet Length", "Down/Up Ratio")
    )
    limit = 1e12 if "/s" in name else 130e6 if _is_time(name) else 1e9
    return Feature(name, "integer" if whole else "real", 0.0, limit, _control(name, owner), owner, scale="log1p")


def _is_time(name: str) -> bool:
    return any(w in name for w in ("IAT", "Active", "Idle", "Duration"))


def _control(name: str, owner: str):
    """What a sender moves: every time, and of packets and lengths its own direction and what mixes both."""
    if name in BULK:
        return "none"
    if _is_time(name):
        return "increase" if owner == "receiver" else "both"
    if owner == "receiver":
        return "both" if name == "Bwd Packets/s" else "none"
    return "both"


def first_length(t: Table) -> Array:
    """Payload bytes of the flow's first packet, from its double weight in the mean length."""
    total = t["Total Length of Fwd Packets"] + t["Total Length of Bwd Packets"]
    return t["Packet Length Mean"] * (packets(t) + 1) - total


def packets(t: Table) -> Array:
    """Packets of both directions."""
    return t["Total Fwd Packets"] + t["Total Backward Packets"]


def squares(t: Table, direction: str) -> Array:
    """Sum of the squared packet lengths of one direction ("Fwd", "Bwd"), from mean and sample deviation."""
    n = t["Total Fwd Packets" if direction == "Fwd" else "Total Backward Packets"]
    mean, std = t[f"{direction} Packet Length Mean"], t[f"{direction} Packet Length Std"]
    return std**2 * np.maximum(n - 1, 0) + n * mean**2


def per_second(amount: Array, duration: Array) -> Array:
    """Per second of a flow in microseconds; 0 for a flow without duration, as the readers have it."""
    return np.where(duration > 0, 1e6 * amount / np.where(duration > 0, duration, 1.0), 0.0)


def _near(a: Array, b: Array, relative: float = 1e-6, absolute: float = 1e-3) -> NDArray[np.bool_]:
    return np.abs(a - b) <= relative * np.maximum(np.abs(a), np.abs(b)) + absolute


def _same(target: str, columns: tuple[str, ...], value: Callable[[Table], Array], relative: float = 1e-6) -> Relation:
    return Relation(
        f"{target} from {', '.join(columns)}",
        (target, *columns),
        lambda t: ~_near(t[target], value(t), relative),
        lambda t: {target: value(t)},
        (target,),
        True,
    )


def _identities() -> tuple[Relation, ...]:
    nf, nb, dur = "Total Fwd Packets", "Total Backward Packets", "Flow Duration"
    lf, lb = "Total Length of Fwd Packets", "Total Length of Bwd Packets"
    fm, bm = "Fwd Packet Length Mean", "Bwd Packet Length Mean"
    f_ends, b_ends = (
        ("Fwd Packet Length Min", "Fwd Packet Length Max"),
        ("Bwd Packet Length Min", "Bwd Packet Length Max"),
    )

    def either(fwd: str, bwd: str, pick: Callable[[Array, Array], Array]) -> Callable[[Table], Array]:
        return lambda t: np.where(t[nb] > 0, pick(t[fwd], t[bwd]), t[fwd])

    return (
        _same(lf, (fm, nf), lambda t: t[fm] * t[nf]),
        _same(lb, (bm, nb), lambda t: t[bm] * t[nb]),
        _same("Flow Bytes/s", (lf, lb, dur), lambda t: per_second(t[lf] + t[lb], t[dur])),
        _same("Flow Packets/s", (nf, nb, dur), lambda t: per_second(packets(t), t[dur])),
        _same("Fwd Packets/s", (nf, dur), lambda t: per_second(t[nf], t[dur])),
        _same("Bwd Packets/s", (nb, dur), lambda t: per_second(t[nb], t[dur])),
        _same("Flow IAT Mean", (dur, nf, nb), lambda t: t[dur] / np.maximum(packets(t) - 1, 1)),
        _same("Fwd IAT Mean", ("Fwd IAT Total", nf), lambda t: t["Fwd IAT Total"] / np.maximum(t[nf] - 1, 1)),
        _same("Bwd IAT Mean", ("Bwd IAT Total", nb), lambda t: t["Bwd IAT Total"] / np.maximum(t[nb] - 1, 1)),
        _same("Min Packet Length", (f_ends[0], b_ends[0], nb), either(f_ends[0], b_ends[0], np.minimum)),
        _same("Max Packet Length", (f_ends[1], b_ends[1], nb), either(f_ends[1], b_ends[1], np.maximum)),
        _same("Packet Length Variance", ("Packet Length Std",), lambda t: t["Packet Length Std"] ** 2, 1e-5),
        _same("Average Packet Size", ("Packet Length Mean", nf, nb),
              lambda t: t["Packet Length Mean"] * (packets(t) + 1) / np.maximum(packets(t), 1)),
        _same("Avg Fwd Segment Size", (fm,), lambda t: t[fm]),
        _same("Avg Bwd Segment Size", (bm,), lambda t: t[bm]),
        _same("Fwd Header Length.1", ("Fwd Header Length",), lambda t: t["Fwd Header Length"]),
        _same("Subflow Fwd Packets", (nf,), lambda t: t[nf]),
        _same("Subflow Bwd Packets", (nb,), lambda t: t[nb]),
        _same("Subflow Fwd Bytes", (lf,), lambda t: t[lf]),
        _same("Subflow Bwd Bytes", (lb,), lambda t: t[lb]),
        _same("Down/Up Ratio", (nb, nf), lambda t: np.floor(t[nb] / np.maximum(t[nf], 1))),
    )  # fmt: skip


def _ordered(low: str, middle: str, high: str) -> Relation:
    return Relation(
        f"{low} <= {middle} <= {high}",
        (low, middle, high),
        lambda t: (t[low] > t[middle] * (1 + 1e-6) + 1e-3) | (t[middle] > t[high] * (1 + 1e-6) + 1e-3),
    )


def _orders() -> tuple[Relation, ...]:
    triples = ("Fwd Packet Length", "Bwd Packet Length", "Flow IAT", "Fwd IAT", "Bwd IAT", "Active", "Idle")

    def first(t: Table) -> NDArray[np.bool_]:
        length = first_length(t)
        return (length < t["Fwd Packet Length Min"] - 0.01) | (length > t["Fwd Packet Length Max"] + 0.01)

    def spread(t: Table) -> NDArray[np.bool_]:
        n, total = packets(t), t["Packet Length Mean"] * (packets(t) + 1)
        sum_squares = squares(t, "Fwd") + squares(t, "Bwd") + first_length(t) ** 2
        variance = (sum_squares - total**2 / (n + 1)) / np.maximum(n, 1)
        return ~_near(variance, t["Packet Length Variance"], 1e-4, 0.01)

    lengths = ("Packet Length Mean", "Total Length of Fwd Packets", "Total Length of Bwd Packets",
               "Total Fwd Packets", "Total Backward Packets", "Fwd Packet Length Min",
               "Fwd Packet Length Max")  # fmt: skip
    deviations = ("Packet Length Variance", "Fwd Packet Length Mean", "Fwd Packet Length Std",
                  "Bwd Packet Length Mean", "Bwd Packet Length Std")  # fmt: skip
    return (
        *(_ordered(f"{n} Min", f"{n} Mean", f"{n} Max") for n in triples),
        Relation("the first packet's length lies within Fwd Packet Length Min and Max", lengths, first),
        Relation("Packet Length Variance from both directions", (*lengths, *deviations), spread),
        Relation("Idle Max = Flow IAT Max", ("Idle Max", "Flow IAT Max"),
                 lambda t: (t["Idle Max"] > 0) & ~_near(t["Idle Max"], t["Flow IAT Max"], absolute=1.0)),
        *(Relation(f"{d} IAT Total <= Flow Duration", (f"{d} IAT Total", "Flow Duration"),
                   _exceeds(f"{d} IAT Total", "Flow Duration")) for d in ("Fwd", "Bwd")),
    )  # fmt: skip


def _exceeds(small: str, large: str) -> Callable[[Table], NDArray[np.bool_]]:
    return lambda t: t[small] > t[large] + 1e-3


def _limits() -> tuple[Relation, ...]:
    return (
        Relation("act_data_pkt_fwd <= Total Fwd Packets", ("act_data_pkt_fwd", "Total Fwd Packets"),
                 _exceeds("act_data_pkt_fwd", "Total Fwd Packets")),
        Relation("Fwd Header Length >= min_seg_size_forward * Total Fwd Packets",
                 ("Fwd Header Length", "min_seg_size_forward", "Total Fwd Packets"),
                 lambda t: t["Fwd Header Length"] < t["min_seg_size_forward"] * t["Total Fwd Packets"] - 0.5),
        Relation("bulk features are 0", BULK, lambda t: np.any([t[n] != 0 for n in BULK], axis=0)),
        Relation("flag counts in 0, 1", _FLAGS, lambda t: np.any([~np.isin(t[n], (0, 1)) for n in _FLAGS], axis=0)),
        Relation("0 <= Flow Duration <= 120 s", ("Flow Duration",),
                 lambda t: (t["Flow Duration"] < 0) | (t["Flow Duration"] > TIMEOUT)),
        Relation("Total Fwd Packets >= 1", ("Total Fwd Packets",), lambda t: t["Total Fwd Packets"] < 1),
        Relation("not tcp => no initial windows", ("Protocol", "Init_Win_bytes_forward", "Init_Win_bytes_backward"),
                 lambda t: (t["Protocol"] != TCP) & ((t["Init_Win_bytes_forward"] != -1)
                                                      | (t["Init_Win_bytes_backward"] != -1))),
    )  # fmt: skip


UNUSED_IN_DDOS2019 = (
    "Bwd PSH Flags",
    "Fwd URG Flags",
    "Bwd URG Flags",
    "FIN Flag Count",
    "PSH Flag Count",
    "ECE Flag Count",
)
"""Flag fields that are 0 in every row of the CIC-DDoS2019 files: a trait of that data set, no rule of the format."""
