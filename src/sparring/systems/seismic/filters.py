"""Time filters for gathers `(..., samples)`, each linear and differentiable; zero-phase but for `highpass`."""

from __future__ import annotations

import cmath
import math
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
    """Keep frequencies above `cutoff` Hz: a causal Butterworth filter of that order, as a recorder has one.

    Causal, because a zero-phase filter rings before the shot, and what is cut off there puts low frequencies back.
    """
    poles = [cmath.exp(1j * math.pi * (2 * k + order + 1) / (2 * order)) for k in range(order)]

    def response(f: Tensor) -> Tensor:
        low = cutoff / (1j * f.clamp_min(1e-9 * cutoff).double())  # 1 / s of the low-pass prototype's s
        product = torch.ones_like(low)
        for pole in poles:
            product = product * (low - pole)
        return 1 / product

    return _shaped(gathers, dt, response, room=8)


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


def _shaped(gathers: Tensor, dt: float, response: Callable[[Tensor], Tensor], room: int = 2) -> Tensor:
    n = gathers.shape[-1]
    length = room * n  # room for what the filter spreads
    f = rfftfreq(length, dt, gathers)
    spectrum = rfft(gathers, n=length)
    return irfft(spectrum * response(f).to(spectrum.dtype), n=length)[..., :n]
