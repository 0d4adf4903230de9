"""What an adversary may do to one input: balls, bounds, masks, categories, grids, relations, and their combinations."""

from sparring.threats.base import ThreatModel
from sparring.threats.combine import Intersection, Union
from sparring.threats.discrete import Discrete, Integer, OneHotGroups
from sparring.threats.interval import Box, Control, Interval, Mask
from sparring.threats.lp import L1, L2, LInf
from sparring.threats.relations import Relations

__all__ = [
    "L1",
    "L2",
    "Box",
    "Control",
    "Discrete",
    "Integer",
    "Intersection",
    "Interval",
    "LInf",
    "Mask",
    "OneHotGroups",
    "Relations",
    "ThreatModel",
    "Union",
]
