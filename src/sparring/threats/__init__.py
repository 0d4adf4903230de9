"""What an adversary may do to one input: balls, bounds, masks, categories, grids, relations, images moved, patched or
corrupted, noise under a signal, and their combinations."""

from sparring.threats.base import ThreatModel
from sparring.threats.combine import Intersection, Union
from sparring.threats.corruptions import CORRUPTIONS, Corruptions
from sparring.threats.discrete import Discrete, Integer, OneHotGroups
from sparring.threats.finite import Finite, Spatial
from sparring.threats.interval import Box, Control, Interval, Mask
from sparring.threats.lp import L1, L2, LInf
from sparring.threats.patch import Patch
from sparring.threats.relations import Relations
from sparring.threats.snr import SNR

__all__ = [
    "CORRUPTIONS",
    "L1",
    "L2",
    "SNR",
    "Box",
    "Control",
    "Corruptions",
    "Discrete",
    "Finite",
    "Integer",
    "Intersection",
    "Interval",
    "LInf",
    "Mask",
    "OneHotGroups",
    "Patch",
    "Relations",
    "Spatial",
    "ThreatModel",
    "Union",
]
