"""Ten families of damage to a clean clip, each from barely audible (severity 0) to ruinous (1).

Everything happens in the process, without codecs of the system, and depends on the given random state alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from sparring.systems.audio.features import RATE, Wave

Signal = NDArray[np.float64]
Damage = Callable[[Signal, float, np.random.RandomState], Signal]
"""(clean signal, severity in [0, 1], random state) to the damaged one, as long as the clean one.

`RandomState` and not `Generator`: only its streams are promised to stay the same in every version of NumPy.
"""


def white(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """White noise, 55 to 12 dB below the speech."""
    return _mixed(clean, random.standard_normal(len(clean)), 55 - 43 * severity)


def pink(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Noise with power falling as 1 / frequency, 50 to 8 dB below."""
    spectrum = np.fft.rfft(random.standard_normal(len(clean)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return _mixed(clean, np.fft.irfft(spectrum, len(clean)), 50 - 42 * severity)


def babble(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Four copies of the speech itself, backwards and displaced, 50 to 8 dB below."""
    crowd = sum(np.roll(clean[::-1], random.randint(len(clean))) for _ in range(4))
    return _mixed(clean, np.asarray(crowd), 50 - 42 * severity)


def mnru(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Noise that follows the signal (modulated noise reference unit, ITU-T P.810), Q from 45 to 10 dB."""
    return clean * (1 + 10 ** (-(45 - 35 * severity) / 20) * random.standard_normal(len(clean)))


def clipping(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Hard limits that the loudest 0.05 to 15 % of the samples hit."""
    limit = np.quantile(np.abs(clean), 1 - 0.0005 * 300**severity)
    return np.clip(clean, -limit, limit)


def lowpass(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Everything above a cut-off between 6.5 and 0.7 kHz removed."""
    sections = signal.butter(8, 6500 * (700 / 6500) ** severity, fs=RATE, output="sos")
    return signal.sosfiltfilt(sections, clean)


def mulaw(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """µ-law samples with 1024 down to 16 levels, in equal ratios."""
    levels, peak = round(1024 * (16 / 1024) ** severity), np.abs(clean).max()
    pressed = np.sign(clean) * np.log1p(255 * np.abs(clean) / peak) / np.log(256)
    rounded: Signal = np.rint(pressed * levels / 2) / (levels / 2)
    return np.sign(rounded) * np.expm1(np.abs(rounded) * np.log(256)) / 255 * peak


def loss(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Lost packets of 20 ms, 0.3 to 12 % of them, left silent."""
    length = RATE // 50
    lost = random.random_sample(len(clean) // length + 1) < 0.003 * 40**severity
    return np.where(np.repeat(lost, length)[: len(clean)], 0.0, clean)


def reverberation(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """A room of exponentially decaying noise: 0.1 to 1.2 s of reverberation, 26 to 4 dB below the direct sound."""
    duration = 0.1 * 12**severity
    time = np.arange(int(duration * RATE)) / RATE
    tail = random.standard_normal(len(time)) * 10 ** (-3 * time / duration)
    wet = signal.fftconvolve(clean, tail)[: len(clean)]
    return _mixed(clean, wet, 26 - 22 * severity)


def codec(clean: Signal, severity: float, random: np.random.RandomState) -> Signal:
    """Spectral magnitudes rounded in steps of 1 to 18 dB and faint ones dropped, as a coarse transform codec does."""
    _, _, spectrum = signal.stft(clean, RATE, nperseg=512)
    step = 18**severity
    level = 20 * np.log10(np.abs(spectrum) / np.abs(spectrum).max() + 1e-9)
    kept = level > -75 + 45 * severity
    rounded = np.where(kept, 10 ** (np.rint(level / step) * step / 20) * np.abs(spectrum).max(), 0.0)
    _, out = signal.istft(rounded * np.exp(1j * np.angle(spectrum)), RATE, nperseg=512)
    return np.pad(out, (0, max(0, len(clean) - len(out))))[: len(clean)]


FAMILIES: Mapping[str, Damage] = {
    "white noise": white,
    "pink noise": pink,
    "babble": babble,
    "mnru": mnru,
    "clipping": clipping,
    "low-pass": lowpass,
    "mu-law": mulaw,
    "packet loss": loss,
    "reverberation": reverberation,
    "codec": codec,
}


def degrade(clean: Wave, family: str, severity: float, random: np.random.RandomState) -> Wave:
    """The clip with one kind of damage; brought below full scale where it would leave it."""
    damaged = FAMILIES[family](clean.astype(np.float64), severity, random)
    peak = float(np.abs(damaged).max())
    return (damaged * min(1.0, 0.99 / peak)).astype(np.float32) if peak > 0 else damaged.astype(np.float32)


def _mixed(clean: Signal, other: Signal, ratio: float) -> Signal:
    """Both summed, the other `ratio` decibels below the clean one."""
    power = np.square(clean).mean() / max(float(np.square(other).mean()), 1e-20)
    return clean + other * np.sqrt(power * 10 ** (-ratio / 10))
