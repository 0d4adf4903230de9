"""The detector: stack and autoencoder behind one logit. It lives below both network systems, `network.detector`."""

from sparring.network.detector import Autoencoder, Detector, Stack

__all__ = ["Autoencoder", "Detector", "Stack"]
