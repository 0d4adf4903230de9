"""What ddos and intrusion share: record formats and their rules, threats on them, readers, flows, traffic."""

from sparring.network.actions import ActionSpace, Parameter, action_space
from sparring.network.actionthreat import Acted, ActionThreat, pack, unpack
from sparring.network.cicflowmeter import cicflowmeter_schema
from sparring.network.flows import Assembler, Flows, Packet
from sparring.network.flowthreat import FlowThreat, Lever
from sparring.network.formats import cicflowmeter_file, nslkdd_file, unsw_file
from sparring.network.nslkdd import nslkdd_schema
from sparring.network.readers import FlowRows, Format, drop_duplicates, read, stream
from sparring.network.schema import Feature, Relation, Schema, Table
from sparring.network.threats import controlled, idsgan, sender, stressed
from sparring.network.unsw import unsw_schema

__all__ = [
    "Acted",
    "ActionSpace",
    "ActionThreat",
    "Assembler",
    "Feature",
    "FlowRows",
    "FlowThreat",
    "Flows",
    "Format",
    "Lever",
    "Packet",
    "Parameter",
    "Relation",
    "Schema",
    "Table",
    "action_space",
    "cicflowmeter_file",
    "cicflowmeter_schema",
    "controlled",
    "drop_duplicates",
    "idsgan",
    "nslkdd_file",
    "nslkdd_schema",
    "pack",
    "read",
    "sender",
    "stream",
    "stressed",
    "unpack",
    "unsw_file",
    "unsw_schema",
]
