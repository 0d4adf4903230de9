"""What actions on packets and connections do to a flow record, per record format.

Each effect takes a table and the parameters' values, `(n,)` each in natural units, and returns the changed columns;
fields that follow from them are recomputed by the schema's own relations afterwards. A parameter at its neutral
value changes nothing. Where a limit binds (packet size, longest flow), the action is done as far as it goes.
"""

from __future__ import annotations

import numpy as np

from sparring.network import cicflowmeter as cic
from sparring.network import nslkdd as nsl
from sparring.network import unsw
from sparring.network.schema import Array, Table

Values = dict[str, Array]


def on_cicflowmeter(t: Table, v: Values) -> Table:
    """pad, stretch, dummies (dummy_size, dummy_gap), window.

    Sums and squares are carried, so that means and deviations stay exact. Dummies follow the flow's last packet.
    """
    out = _stretched(dict(t), v["stretch"])
    out = _lengthened(out, v["pad"], v["dummies"], v["dummy_size"])
    out = _prolonged(out, v["dummies"], v["dummy_gap"], t["Total Fwd Packets"])
    tcp = (t["Protocol"] == cic.TCP) & (v["window"] >= 0)
    out["Init_Win_bytes_forward"] = np.where(tcp, v["window"], t["Init_Win_bytes_forward"])
    return out


def _stretched(t: Table, factor: Array) -> Table:
    """Every gap times `factor`, at most to the 120 s of a flow and so that no gap newly counts as idle."""
    longest = np.where((t["Idle Max"] == 0), cic.IDLE / np.maximum(t["Flow IAT Max"], 1), np.inf)
    room = np.minimum(longest, cic.TIMEOUT / np.maximum(t["Flow Duration"], 1))
    a = np.clip(factor, 1.0, np.maximum(room, 1.0))
    for name in cic.COLUMNS:
        if name.endswith(("IAT Std", "IAT Mean")) or name.startswith(("Active", "Idle")):
            t[name] = t[name] * a
        elif name.endswith(("IAT Total", "Duration")):
            t[name] = np.rint(t[name] * a)
        elif name.endswith("IAT Max"):  # whole microseconds: outward, so that min <= mean <= max survives
            t[name] = np.ceil(t[name] * a - 1e-9)
        elif name.endswith("IAT Min"):
            t[name] = np.floor(t[name] * a + 1e-9)
    for kind, total, gaps in (
        ("Flow", "Flow Duration", cic.packets(t) - 1),
        ("Fwd", "Fwd IAT Total", t["Total Fwd Packets"] - 1),
        ("Bwd", "Bwd IAT Total", t["Total Backward Packets"] - 1),
    ):
        for end in ("Max", "Min", "Mean"):
            t[f"{kind} IAT {end}"] = np.where(gaps == 1, t[total], t[f"{kind} IAT {end}"])
    return t


def _lengthened(t: Table, pad: Array, count: Array, size: Array) -> Table:
    """`pad` bytes on every packet sent and `count` more packets of `size` bytes: all length fields."""
    clean, first, before = dict(t), cic.first_length(t), t["Total Fwd Packets"]
    largest = np.where(t["Protocol"] == cic.TCP, 1460.0, 1472.0)
    b = np.clip(pad, 0.0, np.maximum(largest - t["Fwd Packet Length Max"], 0.0))
    mean = t["Fwd Packet Length Mean"] + b
    squares = t["Fwd Packet Length Std"] ** 2 * np.maximum(before - 1, 0) + before * mean**2 + count * size**2
    n, total = before + count, t["Total Length of Fwd Packets"] + b * before + count * size
    t["Total Fwd Packets"], t["Total Length of Fwd Packets"] = n, total
    t["Fwd Packet Length Mean"] = total / n
    t["Fwd Packet Length Std"] = _deviation(squares, total, n)
    low, high = t["Fwd Packet Length Min"] + b, t["Fwd Packet Length Max"] + b
    t["Fwd Packet Length Min"] = np.where(count > 0, np.minimum(low, size), low)
    t["Fwd Packet Length Max"] = np.where(count > 0, np.maximum(high, size), high)
    with_data = np.where(b > 0, before - 1, t["act_data_pkt_fwd"]) + np.where(size > 0, count, 0)
    t["act_data_pkt_fwd"] = with_data
    t["Fwd Header Length"] = t["Fwd Header Length"] + count * np.maximum(t["min_seg_size_forward"], 0)
    lengths = total + t["Total Length of Bwd Packets"] + first + b
    every = cic.packets(t) + 1
    t["Packet Length Mean"] = lengths / every
    spread = squares + cic.squares(t, "Bwd") + (first + b) ** 2
    t["Packet Length Std"] = _deviation(spread, lengths, every)
    changed = (b > 0) | (count > 0)
    return {name: np.where(changed, column, clean[name]) for name, column in t.items()}


def _prolonged(t: Table, count: Array, gap: Array, sent: Array) -> Table:
    """`count` packets after the flow's end, `gap` seconds apart: duration and gap fields. `sent`: packets before."""
    end, n = t["Flow Duration"], sent + t["Total Backward Packets"]
    g = np.rint(1e6 * gap)
    g = np.where(count > 0, np.minimum(g, np.floor((cic.TIMEOUT - end) / np.maximum(count, 1))), 0.0)
    first = end - t["Fwd IAT Total"] + g
    more, some = np.maximum(count - 1, 0), count > 0
    t["Flow Duration"] = end + count * g
    for kind, gaps, total in (("Flow", n - 1, end), ("Fwd", sent - 1, t["Fwd IAT Total"])):
        opening = g if kind == "Flow" else first
        mean, std = f"{kind} IAT Mean", f"{kind} IAT Std"
        squares = t[std] ** 2 * np.maximum(gaps - 1, 0) + gaps * t[mean] ** 2 + opening**2 + more * g**2
        least, most = np.where(more > 0, np.minimum(opening, g), opening), np.maximum(opening, g)
        low = np.where(gaps > 0, np.minimum(t[f"{kind} IAT Min"], least), least)
        high = np.where(gaps > 0, np.maximum(t[f"{kind} IAT Max"], most), most)
        span = total + np.where(some, opening + more * g, 0)
        t[std] = np.where(some, _deviation(squares, span, gaps + count), t[std])
        t[mean] = np.where(some, span / np.maximum(gaps + count, 1), t[mean])
        t[f"{kind} IAT Min"] = np.where(some, low, t[f"{kind} IAT Min"])
        t[f"{kind} IAT Max"] = np.where(some, high, t[f"{kind} IAT Max"])
    t["Fwd IAT Total"] = np.where(some, t["Flow Duration"], t["Fwd IAT Total"])
    return t


def _deviation(squares: Array, total: Array, n: Array) -> Array:
    """Sample standard deviation from the sum of squares, the sum and the count; 0 below two values.

    Whole numbers that differ spread by at least 1/2 in the centred sum: less is rounding and counts as 0.
    """
    spread = squares - total**2 / np.maximum(n, 1)
    spread = np.where(spread > np.maximum(0.25, 1e-13 * squares), spread, 0.0)
    return np.sqrt(spread / np.maximum(n - 1, 1)) * (n > 1)


def on_unsw(t: Table, v: Values) -> Table:
    """pad, dummies (dummy_size, dummy_gap), stretch, ttl, window, sequence, same and other decoys.

    `sjit`, `djit` and the decoys' window counts are not functions of the record: jitter scales with the gaps and
    thins out over dummies; decoys push others out of the last 100 connections in proportion.
    """
    out = dict(t)
    a = np.clip(v["stretch"], 1.0, 60 / np.maximum(t["dur"], 1e-6))
    for name in ("dur", "sinpkt", "dinpkt", "sjit", "djit"):
        out[name] = t[name] * a
    m = np.rint(v["dummies"])
    g = np.where(m > 0, np.minimum(v["dummy_gap"], np.maximum(60 - out["dur"], 0) / np.maximum(m, 1)), 0.0)
    pad = np.minimum(np.rint(v["pad"]), np.floor(1500 - t["sbytes"] / t["spkts"]).clip(0))
    out["spkts"] = t["spkts"] + m
    out["sbytes"] = t["sbytes"] + pad * t["spkts"] + m * (40 + np.rint(v["dummy_size"]))
    out["dur"] = np.minimum(np.round(out["dur"] + m * g, 6), 60.0)
    gaps = np.maximum(out["spkts"] - 1, 1)
    out["sinpkt"] = np.where(m > 0, 1e3 * out["dur"] / gaps, out["sinpkt"])
    out["sjit"] = np.where(m > 0, out["sjit"] * np.maximum(t["spkts"] - 1, 0) / gaps, out["sjit"])
    out["sttl"] = np.where(v["ttl"] >= 0, np.clip(np.rint(v["ttl"]), 1, 255), t["sttl"])
    tcp = t["proto"] == unsw.TCP
    out["swin"] = np.where(tcp & (v["window"] >= 0), np.where(v["window"] >= 128, 255.0, 0.0), t["swin"])
    out["stcpb"] = np.where(tcp & (v["sequence"] >= 0), np.rint(v["sequence"]), t["stcpb"])
    same, other = np.rint(v["decoys_same"]), np.rint(v["decoys_other"])
    kept = np.clip(1 - (same + other) / 100, 0, 1)
    for name in unsw.WINDOW_COUNTS:
        by_source = "src" in name and "dst" not in name
        alike = np.where(name == "ct_dst_sport_ltm", 0, same) + (other if name == "ct_src_ltm" else 0)
        pushed = np.maximum(np.floor(t[name] * kept), 1)
        count = pushed + alike * (1 if by_source or "dst" in name else 0)
        out[name] = np.where(same + other > 0, np.minimum(count, 100), t[name])
    return out


def on_nslkdd(t: Table, v: Values) -> Table:
    """upload, download (bytes), linger (seconds), same and other decoys, slowdown.

    Bytes and seconds on completed connections only (downloads where the server answered on tcp). Decoys are
    completed connections to the same host, to the same service or another one, inside both windows; a slow-down by
    s spreads the attack's connections, so that the two-second window holds one s-th of them.
    """
    out = dict(t)
    done = t["flag"] == nsl.SF
    answered = done & (t["protocol_type"] == nsl.TCP) & (t["dst_bytes"] > 0)
    out["src_bytes"] = t["src_bytes"] + np.where(done, np.rint(v["upload"]), 0)
    out["dst_bytes"] = t["dst_bytes"] + np.where(answered, np.rint(v["download"]), 0)
    linger = np.where(done & (t["protocol_type"] != nsl.ICMP), np.rint(v["linger"]), 0)
    out["duration"] = np.minimum(t["duration"] + linger, np.maximum(t["duration"], 65535))
    _slow(out, v["slowdown"])
    _decoy(out, np.rint(v["decoys_same"]), np.rint(v["decoys_other"]))
    return out


def _slow(t: Table, factor: Array) -> None:
    slower = factor > 1
    for count, rates in (
        ("count", ("serror_rate", "rerror_rate", "same_srv_rate", "diff_srv_rate")),
        ("srv_count", ("srv_serror_rate", "srv_rerror_rate", "srv_diff_host_rate")),
    ):
        fewer = np.maximum(np.ceil(t[count] / factor), np.minimum(t[count], 1))
        for name in rates:  # a rate over k connections is a multiple of 1 / k
            t[name] = np.where(slower, np.rint(t[name] * fewer) / np.maximum(fewer, 1), t[name])
        t[count] = np.where(slower, fewer, t[count])


def _decoy(t: Table, same: Array, other: Array) -> None:
    """Mix `same` and `other` decoys into both windows; the host window holds 255 connections, older ones leave."""
    decoys = same + other
    for count, added, most, shares in (
        ("count", decoys, 511, {"serror_rate": 0, "rerror_rate": 0, "same_srv_rate": same, "diff_srv_rate": other}),
        ("srv_count", same, 511, dict.fromkeys(("srv_serror_rate", "srv_rerror_rate", "srv_diff_host_rate"), 0)),
        ("dst_host_count", decoys, 255, {
            "dst_host_serror_rate": 0, "dst_host_rerror_rate": 0, "dst_host_same_srv_rate": same,
            "dst_host_diff_srv_rate": other, "dst_host_same_src_port_rate": 0}),
        ("dst_host_srv_count", same, 255, dict.fromkeys(
            ("dst_host_srv_serror_rate", "dst_host_srv_rerror_rate", "dst_host_srv_diff_host_rate"), 0)),
    ):  # fmt: skip
        after = np.minimum(t[count] + added, np.maximum(most, t[count]))
        kept = np.maximum(after - added, 0)
        scale = np.where(added > 0, 1 / np.maximum(after, 1), 0)
        for name, alike in shares.items():
            mixed = np.clip((t[name] * kept + np.minimum(alike, after)) * scale, 0, 1)
            t[name] = np.where(added > 0, mixed, t[name])
        t[count] = after
