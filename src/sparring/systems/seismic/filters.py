"""Time filters for gathers `(..., samples)`, each linear, zero-phase where it can be, and differentiable."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.typed import fft, ifft, irfft, rfft, rfftfreq

FULL = 1e6
"""A cutoff in Hz above every seismic frequency: the whole band."""


def lowpass(gathers: Tensor, cutoff: float, dt: float) -> Tensor:
    """Keep frequencies below `cutoff` Hz: a zero-phase Butterworth amplitude of order 4, run forth and back.

    A cutoff beyond the Nyquist frequency returns the gathers themselves.
    """
    if cutoff >= 0.5 / dt:
        return gathers
    return _shaped(gathers, dt, lambda f: 1 / (1 + (f / cutoff) ** 8))


def highpass(gathers: Tensor, cutoff: float, dt: float, order: int = 6) -> Tensor:
    """Keep frequencies above `cutoff` Hz, zero-phase, Butterworth amplitude of that order, run forth and back."""
    return _shaped(gathers, dt, lambda f: 1 - 1 / (1 + (f / cutoff) ** (2 * order)))


def integrated(gathers: Tensor, dt: float) -> Tensor:
    """The running time integral; the unit gains a second."""
    return gathers.cumsum(-1) * dt


def envelope(gathers: Tensor) -> Tensor:
    """The amplitude of the analytic signal, smooth at 0."""
    n = gathers.shape[-1]
    length = 2 * n
    spectrum = fft(gathers, n=length)
    weight = torch.zeros(length, dtype=gathers.dtype, device=gathers.device)
    weight[0] = weight[length // 2] = 1
    weight[1 : length // 2] = 2
    analytic = ifft(spectrum * weight)[..., :n]
    floor = 1e-6 * gathers.detach().square().mean() + 1e-20
    return (analytic.real.square() + analytic.imag.square() + floor).sqrt()


def refined(wavelet: Tensor, factor: int) -> Tensor:
    """The wavelet on a `factor` times finer time axis, by its spectrum (band-limited)."""
    n = len(wavelet)
    spectrum = rfft(wavelet.double(), n=2 * n)
    return (irfft(spectrum, n=2 * n * factor) * factor)[: n * factor].to(wavelet.dtype)


def _shaped(gathers: Tensor, dt: float, response: Callable[[Tensor], Tensor]) -> Tensor:
    n = gathers.shape[-1]
    length = 2 * n  # room for what a zero-phase filter spreads
    f = rfftfreq(length, dt, gathers)
    spectrum = rfft(gathers, n=length)
    return irfft(spectrum * response(f), n=length)[..., :n]
