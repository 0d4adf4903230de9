"""The sources of moves behind one interface: screening and gradients, growth, writing, rewriters, mining, chance."""

from sparring.systems.backdoor.generators.base import Found, Generator
from sparring.systems.backdoor.generators.chance import Chance
from sparring.systems.backdoor.generators.gradient import Gradient
from sparring.systems.backdoor.generators.grow import Grow
from sparring.systems.backdoor.generators.mine import Mine
from sparring.systems.backdoor.generators.restyle import Restyle
from sparring.systems.backdoor.generators.screen import Screen
from sparring.systems.backdoor.generators.soft import Soft
from sparring.systems.backdoor.generators.write import Write

__all__ = ["Chance", "Found", "Generator", "Gradient", "Grow", "Mine", "Restyle", "Screen", "Soft", "Write"]
