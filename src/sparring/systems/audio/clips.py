"""Sound files in, mono waves at 16 kHz out, with everything said that was done to them on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

from sparring.errors import BadInput
from sparring.systems.audio.features import RATE, SHORTEST, SILENCE, Wave

LONGEST = 3600.0
"""Seconds that are read at most: an hour of mono samples fits into a quarter gigabyte."""
PAUSE = 0.5
"""Seconds of a silent stretch inside a clip that are judged with it; what is longer is left out."""
_EDGE = 0.05
_QUIET = 1e-6  # power against the loudest block: 60 dB below it
_BLOCK = RATE // 100
_LOUDEST = 1e6
_CANCELLED = 1e-2
_CLIPPED = 0.002
_RATES = (4_000, 384_000)


@dataclass(frozen=True)
class Clip:
    """A clip ready for use. `rate` and `channels` are the file's own; `notes` say what was done and what is odd.

    `gaps` are stretches left out of the file's sound: where in `wave`, and how long, both in samples at `RATE`.
    """

    path: Path
    wave: Wave
    rate: int
    channels: int
    notes: tuple[str, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def seconds(self) -> float:
        """The length of the file's sound."""
        return (len(self.wave) + sum(length for _, length in self.gaps)) / RATE

    def when(self, sample: int) -> float:
        """Second of the file at which this sample of `wave` is heard."""
        return (sample + sum(length for at, length in self.gaps if at <= sample)) / RATE


def read(path: Path) -> Clip:
    """A sound file (wav, flac, ogg, mp3, ...; 4 to 384 kHz; any number of channels) as a mono clip at 16 kHz.

    Channels are averaged; other rates are resampled (soxr, very high quality). Raises `BadInput` that names the
    file and the mend: missing, no sound file, cut off, too short or too long, samples that are not finite.
    """
    soundfile = _library("soundfile")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; give the sound files in it, such as {path / '*.wav'}")
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give sound files such as wav or flac")
    try:
        with soundfile.SoundFile(str(path)) as stream:
            rate, channels, frames = int(stream.samplerate), int(stream.channels), int(stream.frames)
            _check(path, rate, frames)
            samples = cast(Wave, stream.read(dtype="float32", always_2d=True))
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: cannot be read as sound ({_reason(error)}); give wav, flac, ogg or mp3") from None
    if len(samples) < frames or _cut_off(path):
        raise BadInput(f"{path}: is cut off after {len(samples) / rate:.2f} s; copy the file again")
    if not np.isfinite(samples).all():
        raise BadInput(f"{path}: holds samples that are not finite; export it again")
    if (peak := float(np.abs(samples).max())) > _LOUDEST:
        raise BadInput(f"{path}: holds samples of {peak:.0e}, where full scale is 1; export it again")
    wave, notes = samples.mean(axis=1), [] if channels == 1 else [f"{channels} channels averaged"]
    if _power(wave) < _CANCELLED * _power(samples):
        notes.append("the channels cancel each other (opposite phase): score them one by one")
    if rate != RATE:
        wave = _library("soxr").resample(wave, rate, RATE, quality="VHQ")
        notes.append(f"resampled from {rate:,} Hz to {RATE:,} Hz")
    return Clip(path, np.ascontiguousarray(wave, dtype=np.float32), rate, channels, (*notes, *_oddities(samples)))


def active(clip: Clip) -> Clip:
    """The clip without silence at its ends, and with at most `PAUSE` of each silent stretch inside; its notes say so.

    Silent are the blocks of 10 ms that lie 60 dB below the loudest one. Nobody rates them, yet they would shift every
    statistic: with seconds of zeros behind it, a clip's score would rise.
    """
    count = -(-len(clip.wave) // _BLOCK)
    blocks = np.zeros(count * _BLOCK)
    blocks[: len(clip.wave)] = clip.wave
    power = np.square(blocks).reshape(count, _BLOCK).mean(1)
    loud = np.flatnonzero(power > max(_QUIET * power.max(initial=0.0), SILENCE**2 / 4))
    if not len(loud):
        return clip
    edge, pause = round(_EDGE * RATE), round(PAUSE * RATE)
    start = max(0, int(loud[0]) * _BLOCK - edge)
    end = min(len(clip.wave), (int(loud[-1]) + 1) * _BLOCK + edge)
    cuts = [(0, start)]
    for before, after in pairwise(loud):
        length = (int(after) - int(before) - 1) * _BLOCK
        if length > pause:
            first = (int(before) + 1) * _BLOCK + pause // 2
            cuts.append((first, first + length - pause))
    cuts.append((end, len(clip.wave)))
    return _without(clip, cuts)


def _without(clip: Clip, cuts: list[tuple[int, int]]) -> Clip:
    keep = np.ones(len(clip.wave), bool)
    gaps: list[tuple[int, int]] = []
    for first, last in cuts:
        if last > first:
            gaps.append((int(keep[:first].sum()), last - first))
            keep[first:last] = False
    ends = (cuts[0][1] - cuts[0][0] + cuts[-1][1] - cuts[-1][0]) / RATE
    inside = sum(last - first for first, last in cuts[1:-1]) / RATE
    told = [
        f"{s:.2f} s of silence {where} left out" for s, where in ((ends, "at the ends"), (inside, "inside")) if s > 0
    ]
    return replace(clip, wave=clip.wave[keep], notes=(*clip.notes, *told), gaps=tuple(gaps))


def _power(wave: Wave) -> float:
    return float(np.square(wave, dtype=np.float64).mean())


def silent(clip: Clip) -> bool:
    """Whether there is nothing in the clip that could be judged."""
    return float(np.abs(clip.wave).max(initial=0.0)) < SILENCE


def _check(path: Path, rate: int, frames: int) -> None:
    if not _RATES[0] <= rate <= _RATES[1]:
        raise BadInput(f"{path}: a sampling rate of {rate:,} Hz; give {_RATES[0]:,} to {_RATES[1]:,} Hz")
    if frames / rate < SHORTEST:
        raise BadInput(f"{path}: {frames / rate:.2f} s long; a score needs at least {SHORTEST} s")
    if frames / rate > LONGEST:
        raise BadInput(f"{path}: {frames / rate / 60:.0f} min long; cut it into parts of at most an hour")


def _oddities(samples: Wave) -> list[str]:
    peak = float(np.abs(samples).max())
    if peak < SILENCE:
        return ["silent"]
    share = float((np.abs(samples) >= 0.999 * peak).mean())
    return [f"clipped ({share:.1%} of the samples at the peak)"] if peak > 0.25 and share > _CLIPPED else []


def _cut_off(path: Path) -> bool:
    """Whether a RIFF wav says that it has more data than the file holds; libsndfile reads on without a word."""
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return False
        size = path.stat().st_size
        while len(chunk := stream.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":  # 0 and all ones: written as a stream of unknown length
                return length not in (0, 0xFFFFFFFF) and stream.tell() + length > size
            stream.seek(length + length % 2, 1)
    return False


def _reason(error: Exception) -> str:
    return str(error).rsplit(":", 1)[-1].strip().rstrip(".") or type(error).__name__


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise BadInput(f"reading sound needs {name}; pip install 'sparring[audio]'") from None
