"""How far a velocity is from the true one; used for scoring alone, never inside an inversion."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.typed import norm


@dataclass(frozen=True)
class Scores:
    """Distances of one velocity `(nz, nx)` from the truth.

    `relative_error` ||v - v*|| / ||v*||; `interior` the same without the outer tenth of the cells on each side;
    `snr` = -20 log10 of the relative error, in dB; `ssim` with the truth's own range, `ssim_l255` with the range 255
    that FWIGAN and SiameseFWI use on speeds in m/s; `mae` in m/s; `r2` against the mean model.
    """

    relative_error: float
    interior: float
    snr: float
    ssim: float
    ssim_l255: float
    mae: float
    r2: float

    def as_dict(self) -> dict[str, float]:
        """Names and figures."""
        return asdict(self)


def score(velocity: Tensor, truth: Tensor) -> Scores:
    """All distances of `velocity` from `truth`."""
    v, true = velocity.detach().double(), truth.double()
    off, error = v - true, relative_error(v, true)
    nz, nx = (max(1, n // 10) for n in true.shape)
    inner = (slice(nz, -nz), slice(nx, -nx))
    spread = (true - true.mean()).square().sum()
    return Scores(
        relative_error=error,
        interior=relative_error(v[inner], true[inner]),
        snr=-20 * math.log10(max(error, 1e-12)),
        ssim=ssim(v, true, float(true.max() - true.min())),
        ssim_l255=ssim(v, true, 255.0),
        mae=float(off.abs().mean()),
        r2=float(1 - off.square().sum() / spread) if float(spread) > 0 else 0.0,
    )


def relative_error(velocity: Tensor, truth: Tensor) -> float:
    """||v - v*||_2 / ||v*||_2."""
    return float(norm(velocity.double() - truth.double()) / norm(truth.double()))


def ssim(a: Tensor, b: Tensor, span: float) -> float:
    """Structural similarity of two images for a dynamic range `span`.

    Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment", IEEE TIP 2004: Gaussian window of 11 cells, sigma
    1.5, K1 = .01, K2 = .03, windows inside the image only (smaller images: a smaller window).
    """
    size = min(11, *(n - (n + 1) % 2 for n in a.shape))
    x = torch.arange(size, dtype=torch.float64) - size // 2
    bell = torch.exp(-x.square() / (2 * 1.5**2))
    window = torch.outer(bell, bell) / bell.sum() ** 2

    def mean(image: Tensor) -> Tensor:
        return F.conv2d(image[None, None], window[None, None])[0, 0]

    a, b = a.double(), b.double()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    parts = (2 * ma * mb + c1) * (2 * both + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return float(parts.mean())
