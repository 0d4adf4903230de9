"""The file formats that the readers know."""

from __future__ import annotations

import re
from functools import cache

from sparring.network import cicflowmeter, nslkdd, unsw
from sparring.network.readers import Format


@cache
def nslkdd_file() -> Format:
    """`KDDTrain+.txt`, `KDDTest+.txt`: no header, 41 features, label, difficulty (set aside)."""
    header = (*nslkdd.COLUMNS, "label", "difficulty")
    return Format("NSL-KDD", nslkdd.nslkdd_schema(), "label", nslkdd.FAMILY_OF, header=header)


@cache
def unsw_file() -> Format:
    """`UNSW_NB15_training-set.csv`, `UNSW_NB15_testing-set.csv`: a header line, family in `attack_cat`."""

    def key(name: str) -> str:
        name = name.strip().lower()
        return unsw.ALIASES.get(name, name)

    return Format("UNSW-NB15", unsw.unsw_schema(), "attack_cat", unsw.FAMILY_OF, key, keep=("id",))


_WORDS = {
    "average": "avg", "backward": "bwd", "backwards": "bwd", "forward": "fwd", "pkts": "packet", "packets": "packet",
    "pkt": "packet", "byts": "byte", "bytes": "byte", "b": "bulk", "blk": "bulk", "tot": "total", "len": "length",
    "cnt": "count", "var": "variance", "seg": "segment", "dst": "destination", "src": "source", "cwr": "cwe",
    "std": "std", "flags": "flag", "dev": "std",
}  # fmt: skip


def _bag(name: str) -> str:
    """A CICFlowMeter column name as sorted words, so that the spellings of versions 3 and 4 agree.

    " Total Length of Fwd Packets", "TotLen Fwd Pkts" and "Total Length of Fwd Packet" are one column.
    """
    parts = re.findall(r"[a-z]+|\d+", name.lower().replace("totlen", "total length"))
    if parts[-2:] == ["byts", "s"] or parts[-2:] == ["bytes", "s"]:
        parts = [*parts[:-2], "bytes", "persecond"]
    elif parts[-2:] == ["pkts", "s"] or parts[-2:] == ["packets", "s"]:
        parts = [*parts[:-2], "packets", "persecond"]
    return " ".join(sorted(str(_WORDS.get(p, p)) for p in parts if p != "of"))


@cache
def cicflowmeter_file() -> Format:
    """CSV files of CICFlowMeter 3 and 4 (CIC-IDS2017, CSE-CIC-IDS2018, CIC-DDoS2019)."""
    return Format(
        "CICFlowMeter",
        cicflowmeter.cicflowmeter_schema(),
        "Label",
        cicflowmeter.FAMILY_OF,
        _bag,
        keep=("Timestamp", "Source IP", "Source Port", "Destination IP"),
        undefined=("Flow Bytes/s", "Flow Packets/s", "Fwd Packets/s", "Bwd Packets/s"),
        duration="Flow Duration",
        copies={"Fwd Header Length.1": "Fwd Header Length"},
    )
