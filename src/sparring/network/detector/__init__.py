"""The layered detector that ddos and intrusion share: trees and networks behind one score, one false-alarm budget."""

from sparring.network.detector.fit import AutoencoderSize, StackSize, fit_autoencoder, fit_stack
from sparring.network.detector.forest import Forest
from sparring.network.detector.harden import Rounds, Sparring, fit_hardened_stack
from sparring.network.detector.layered import Detector, Explanation, Tail, threshold
from sparring.network.detector.layers import Autoencoder, Perceptron, Stack, View

__all__ = [
    "Autoencoder",
    "AutoencoderSize",
    "Detector",
    "Explanation",
    "Forest",
    "Perceptron",
    "Rounds",
    "Sparring",
    "Stack",
    "StackSize",
    "Tail",
    "View",
    "fit_autoencoder",
    "fit_hardened_stack",
    "fit_stack",
    "threshold",
]
