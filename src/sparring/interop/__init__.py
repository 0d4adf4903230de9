"""The rest of the field: other libraries' attacks in our evaluation, their models, estimators, the model hub.

Every library is imported when it is used, and one that is missing is named with the command that installs it.
"""

from sparring.interop.attacks import Foreign, adv_lib, art, foolbox, torchattacks
from sparring.interop.hub import from_pretrained, push_to_hub, save_pretrained
from sparring.interop.robustbench import load_weights

__all__ = [
    "Foreign",
    "adv_lib",
    "art",
    "foolbox",
    "from_pretrained",
    "load_weights",
    "push_to_hub",
    "save_pretrained",
    "torchattacks",
]
