"""The file formats that the readers know."""

from __future__ import annotations

from functools import cache

from sparring.network import nslkdd
from sparring.network.readers import Format


@cache
def nslkdd_file() -> Format:
    """`KDDTrain+.txt`, `KDDTest+.txt`: no header, 41 features, label, difficulty (set aside)."""
    header = (*nslkdd.COLUMNS, "label", "difficulty")
    return Format("NSL-KDD", nslkdd.nslkdd_schema(), "label", nslkdd.FAMILY_OF, header=header)
