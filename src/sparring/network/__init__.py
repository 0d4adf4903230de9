"""What ddos and intrusion share: record formats and their rules, threats on them, readers, flows, traffic."""

from sparring.network.flowthreat import FlowThreat, Lever
from sparring.network.nslkdd import nslkdd_schema
from sparring.network.schema import Feature, Relation, Schema, Table
from sparring.network.threats import idsgan, sender, stressed

__all__ = [
    "Feature",
    "FlowThreat",
    "Lever",
    "Relation",
    "Schema",
    "Table",
    "idsgan",
    "nslkdd_schema",
    "sender",
    "stressed",
]
