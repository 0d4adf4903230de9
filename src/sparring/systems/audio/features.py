"""449 log-mel statistics of a clip: what the default scorer hears.

64 mel bands, seven statistics of each over time, and the crest factor. The clip's level is normalised first, since
loudness is no defect and would tell generators apart. The values are decades (log10 of power), not decibels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
"""A mono signal `(samples,)` at `RATE`, full scale ±1."""

RATE = 16_000
BANDS = 64
STATISTICS = ("mean", "deviation", "5 %", "median", "95 %", "change", "slow deviation")
WIDTH = BANDS * len(STATISTICS) + 1
SHORTEST = 0.2
"""Seconds that a clip needs."""
SILENCE = 1e-4
"""A clip whose largest sample lies below this (-80 dB of full scale) holds no sound that could be judged."""

_FRAME, _HOP, _FFT = 400, 160, 512
_FLOOR = 1e-8
_BLOCK = 4096  # frames at a time, so that ten minutes need no gigabyte
_SLOW = 10  # frames (0.1 s) of the moving average behind "slow deviation"


def log_mel(wave: Wave) -> NDArray[np.float32]:
    """log10 mel power `(frames, 64)`: Hann windows of 25 ms every 10 ms, HTK mel bands from 50 Hz to 8 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME)[::_HOP]
    window, bands = np.hanning(_FRAME + 1)[:-1].astype(np.float32), _filters()
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(frames), _BLOCK):
        power = np.abs(np.fft.rfft(frames[start : start + _BLOCK] * window, _FFT)) ** 2 / _FRAME
        parts.append(np.log10(power @ bands + _FLOOR).astype(np.float32))
    return np.concatenate(parts)


def levelled(wave: Wave) -> Wave:
    """The wave with its active parts at -26 dB of full scale; silence stays as it is.

    Active are the 25 ms frames within 35 dB of the loud ones (the 95 % quantile of power).
    """
    if np.abs(wave).max(initial=0.0) < SILENCE:
        return wave
    power = np.square(np.lib.stride_tricks.sliding_window_view(wave, _FRAME)[::_HOP]).mean(1)
    active = power[power >= np.quantile(power, 0.95) * 10**-3.5]
    return (wave * np.sqrt(10**-2.6 / active.mean())).astype(np.float32)


def statistics(wave: Wave) -> NDArray[np.float32]:
    """The 449 statistics of a clip of at least `SHORTEST` seconds, band by band, the crest factor last.

    "change" is the mean absolute difference from frame to frame; "slow deviation" that of 0.1 s averages.
    """
    level = levelled(wave)
    mel = log_mel(level).astype(np.float64)
    sums = np.cumsum(np.vstack([np.zeros(BANDS), mel]), axis=0)
    slow = (sums[_SLOW:] - sums[:-_SLOW]) / _SLOW
    quantiles = np.quantile(mel, [0.05, 0.5, 0.95], axis=0)
    changes = np.abs(np.diff(mel, axis=0)).mean(0)
    table = np.stack([mel.mean(0), mel.std(0), *quantiles, changes, slow.std(0)])
    mean_square = float(np.square(level.astype(np.float64)).mean())
    crest = np.log10(max(float(np.abs(level).max()) ** 2, _FLOOR) / max(mean_square, _FLOOR))
    return np.append(table.T.ravel(), crest).astype(np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Triangular mel bands `(257, 64)`, each of unit height."""
    edges = 700 * (10 ** (np.linspace(_mel(50.0), _mel(RATE / 2), BANDS + 2) / 2595) - 1)
    bins = np.linspace(0, RATE / 2, _FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
