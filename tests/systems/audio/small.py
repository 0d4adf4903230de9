"""Small sounds and a small scorer for the tests of the audio system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from sparring.systems.audio.calibrate import Calibration
from sparring.systems.audio.features import RATE, Wave, statistics
from sparring.systems.audio.fit import Fitted, Ratings, Size, network
from sparring.systems.audio.store import Scorer


def tone(seconds: float = 1.0, rate: int = RATE, seed: int = 0) -> Wave:
    """A voice-like sound: harmonics of a wandering pitch in bursts, with a little noise."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time))
    return (0.1 * voice + 0.003 * random.standard_normal(len(time))).astype(np.float32)


def wav(path: Path, wave: np.ndarray, rate: int = RATE) -> Path:
    """Write a sound file; the ending tells the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), wave, rate)
    return path


def scorer(*, members: int = 3, gaussian: bool = True, axes: tuple[str, ...] = ("quality",), seed: int = 0) -> Scorer:
    """An untrained scorer whose standardisation fits the sounds of `tone`."""
    x = torch.stack([torch.from_numpy(statistics(tone(1 + 0.1 * k, seed=k))) for k in range(12)])
    x = torch.cat([x, x + 0.3])
    size = Size(gaussian=gaussian)
    y, domain = torch.zeros(len(x), len(axes)), torch.zeros(len(x), dtype=torch.long)
    ratings = Ratings.shared(x, y, domain, 1, members)
    model = network(ratings, size, generator=torch.Generator().manual_seed(seed)).eval().requires_grad_(False)
    fitted = Fitted(model, torch.full((members, len(axes)), 3.0), torch.ones(members, len(axes)), gaussian)
    errors = np.tile(np.linspace(0.1, 2, 40), (len(axes), 1))
    return Scorer(fitted, Calibration(errors), axes, (1.0, 5.0), size)
