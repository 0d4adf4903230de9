"""The threat models of intrusion detection, per record format.

- TM-A, `idsgan`: everything moves but the functional features of the attack's family (Lin, Shi, Xue, "IDSGAN",
  arXiv 1809.02077, section 3): a detector's view of an attacker with a generator, kind to no feature.
- TM-B, `sender`: what a sender who controls one end can move, each field in the directions it can move it.
- TM-C, `stressed`: TM-B, and fields of its immutable list move as well. No claim of a defence rests on TM-C: it
  shows what happens to a claim when the list is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparring.errors import BadInput
from sparring.network import nslkdd as nsl
from sparring.network import unsw
from sparring.network.flowthreat import FlowThreat, Lever
from sparring.network.schema import Schema, Table

FUNCTIONAL: dict[str, frozenset[str]] = {
    "dos": frozenset((*nsl.INTRINSIC, *nsl.TIME_WINDOW)),
    "probe": frozenset((*nsl.INTRINSIC, *nsl.TIME_WINDOW, *nsl.HOST_WINDOW)),
    "r2l": frozenset((*nsl.INTRINSIC, *nsl.CONTENT)),
    "u2r": frozenset((*nsl.INTRINSIC, *nsl.CONTENT)),
}
"""NSL-KDD attack family to the features that make it work; these stay (IDSGAN, table of functional features)."""

STRESSED = {
    "nsl-kdd": (
        Lever("service", "both"),
        Lever("src_bytes", "decrease", lambda t: t["src_bytes"] > 0),
        *(Lever(n, "both") for n in nsl.CONTENT if n not in ("num_outbound_cmds", "logged_in")),
        Lever("urgent", "increase", lambda t: t["protocol_type"] == nsl.TCP),
    ),
    "unsw-nb15": (
        *(Lever(n, "both") for n in unsw.WINDOW_COUNTS),
        Lever("ackdat", "increase", lambda t: t["tcprtt"] > 0),
        Lever("dpkts", "increase", lambda t: t["dpkts"] > 0),
        Lever("dbytes", "increase", lambda t: t["dpkts"] > 0),
    ),
}
"""Fields on TM-B's immutable list (or in a direction it forbids) that TM-C moves, per schema.

NSL-KDD: another service of the same protocol (the attack knocks at another port), fewer bytes sent, every content
counter and flag but `logged_in` (the attacker shapes what the session does), urgent packets on tcp.
UNSW-NB15: the counts over the last 100 connections (decoys), a late handshake answer, more answers asked for.
"""


def idsgan(schema: Schema, family: str, eps: float = 0.3) -> FlowThreat:
    """TM-A for the attacks of one NSL-KDD family ("dos", "probe", "r2l", "u2r").

    The threat depends on the family, so attack each family's rows with its own threat.
    """
    if schema.name != "nsl-kdd" or family not in FUNCTIONAL:
        raise BadInput(f"TM-A has no group {family!r} for {schema.name}; it knows {', '.join(FUNCTIONAL)} of nsl-kdd")
    free = [n for n in schema.names if n not in FUNCTIONAL[family] and n != "num_outbound_cmds"]
    return FlowThreat(schema, eps, tuple(Lever(n, "both") for n in free))


def sender(schema: Schema, eps: float = 1.0) -> FlowThreat:
    """TM-B: the fields and directions of the schema's own control column; `eps` = 1 is free.

    NSL-KDD: duration and bytes only grow, on completed connections (SF; duration not for icmp, answer bytes only on
    tcp that already had an answer); window features both ways, within their relations. UNSW-NB15: own packets, bytes
    and losses grow, the flow and the answers' gaps lengthen, own gaps, TTL, window and sequence number are free.
    CICFlowMeter's fields depend on each other too tightly for a box: `BadInput`, use an action threat.
    """
    if schema.name not in _WHEN:
        raise BadInput(f"no box of fields describes an attacker on {schema.name} records; attack them by actions")
    when = _WHEN[schema.name]
    levers = (Lever(f.name, f.control, when.get(f.name)) for f in schema.features if f.control != "none")
    return FlowThreat(schema, eps, tuple(levers))


def stressed(schema: Schema, eps: float = 1.0) -> FlowThreat:
    """TM-C: TM-B with the levers of `STRESSED` on top."""
    if schema.name not in STRESSED:
        raise BadInput(f"TM-C has no list for {schema.name}; it knows {', '.join(STRESSED)}")
    base, extra = sender(schema, eps).levers, STRESSED[schema.name]
    own, more = {lever.feature for lever in base}, {lever.feature for lever in extra}
    widened = (Lever(x.feature, "both" if x.feature in own else x.control, x.when) for x in extra)
    return FlowThreat(schema, eps, (*(x for x in base if x.feature not in more), *widened))


def controlled(schema: Schema) -> tuple[str, ...]:
    """Every field that a sender moves or that follows from one it moves: TM-B's whole reach, in matrix order.

    The rest is what a detector can rely on: it is the same under every TM-B attack and every action that a schema's
    action space allows by default. UNSW-NB15's decoys, which are off by default, move the `ct_*` counts that are in it.
    """
    names = {f.name for f in schema.features if f.control != "none"}
    return tuple(n for n in schema.names if n in names | set(schema.dependents(names)))


def _completed(t: Table) -> NDArray[np.bool_]:
    return t["flag"] == nsl.SF


_WHEN: dict[str, dict[str, Callable[[Table], NDArray[np.bool_]]]] = {
    "nsl-kdd": {
        "src_bytes": _completed,
        "duration": lambda t: _completed(t) & (t["protocol_type"] != nsl.ICMP),
        "dst_bytes": lambda t: _completed(t) & (t["protocol_type"] == nsl.TCP) & (t["dst_bytes"] > 0),
    },
    "unsw-nb15": {
        "swin": lambda t: t["proto"] == unsw.TCP,
        "stcpb": lambda t: t["proto"] == unsw.TCP,
        "sinpkt": lambda t: t["spkts"] > 1,
        "sjit": lambda t: t["spkts"] > 1,
        "dinpkt": lambda t: t["dpkts"] > 1,
        "djit": lambda t: t["dpkts"] > 1,
    },
}
