"""Small hand-made records that keep every rule."""

import numpy as np

from sparring.network.nslkdd import COLUMNS, nslkdd_schema
from sparring.network.schema import Table

NSL_LINES = (
    "0,tcp,http,SF,181,5450,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,8,8,0.00,0.00,0.00,0.00,1.00,0.00,0.00,9,9,1.00,0.00,0.11,"
    "0.00,0.00,0.00,0.00,0.00,normal,20",
    "0,tcp,private,S0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,123,6,1.00,1.00,0.00,0.00,0.05,0.07,0.00,255,26,0.10,0.05,"
    "0.00,0.00,1.00,1.00,0.00,0.00,neptune,19",
    "0,icmp,ecr_i,SF,1032,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,511,511,0.00,0.00,0.00,0.00,1.00,0.00,0.00,255,255,1.00,"
    "0.00,1.00,0.00,0.00,0.00,0.00,0.00,smurf,21",
    "4,udp,private,SF,105,146,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,0.00,0.00,0.00,0.00,1.00,0.00,0.00,255,254,1.00,0.01,"
    "0.00,0.00,0.00,0.00,0.00,0.00,snmpguess,10",
)


def nsl_table(copies: int = 1) -> Table:
    """The lines above as a table, each `copies` times."""
    fields = [line.split(",") for line in NSL_LINES * copies]
    columns = {name: [f[i] for f in fields] for i, name in enumerate(COLUMNS)}
    text = {"protocol_type", "service", "flag"}
    return nslkdd_schema().table(
        {n: np.array(v) if n in text else np.array(v, dtype=float) for n, v in columns.items()}
    )
