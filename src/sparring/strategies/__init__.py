"""How the game is played: one step of the defender against its adversary."""

from sparring.strategies.alternating import Alternating
from sparring.strategies.awp import AWP
from sparring.strategies.base import InnerMax, defender_of
from sparring.strategies.consistency import Consistency, Shifted
from sparring.strategies.ema import EMA
from sparring.strategies.fast import CatastrophicOverfitting, Fast
from sparring.strategies.free import Free
from sparring.strategies.lbgat import LBGAT, Guided
from sparring.strategies.mart import MART
from sparring.strategies.pgd_at import PGDAT
from sparring.strategies.reversal import GradientReversal
from sparring.strategies.score import SCORE
from sparring.strategies.selfplay import SelfPlay
from sparring.strategies.standard import Standard
from sparring.strategies.trades import TRADES

__all__ = [
    "AWP",
    "EMA",
    "LBGAT",
    "MART",
    "PGDAT",
    "SCORE",
    "TRADES",
    "Alternating",
    "CatastrophicOverfitting",
    "Consistency",
    "Fast",
    "Free",
    "GradientReversal",
    "Guided",
    "InnerMax",
    "SelfPlay",
    "Shifted",
    "Standard",
    "defender_of",
]
