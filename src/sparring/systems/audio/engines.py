"""Offline speech engines that make the benchmark's voices: each turns a text into the same samples every time."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from sparring.errors import BadInput
from sparring.systems.audio.features import RATE, Wave

_FESTIVAL_VOICES = Path("/usr/share/festival/voices")


@dataclass(frozen=True)
class Engine:
    """One voice. `present` tells whether it can speak here, `packages` how to get it; `speak` takes a text."""

    name: str
    packages: str
    present: Callable[[], bool]
    speak: Callable[[str], Wave]

    def version(self) -> str:
        """The installed version in the engine's own words."""
        if self.packages.startswith("pip install "):
            return metadata.version(self.packages.removeprefix("pip install "))
        done = subprocess.run([self.packages.split()[2], "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        lines = [line for line in done.stdout.splitlines() if any(c.isdigit() for c in line)]
        told = next((line for line in lines if "version" in line), lines[0] if lines else "unknown").strip()
        return told.split("  ")[0].strip()


def _espeak(text: str) -> Wave:
    return _to_file(lambda path: ["espeak-ng", "-v", "en-us", "-w", path, text])


def _flite(voice: str) -> Callable[[str], Wave]:
    return lambda text: _to_file(lambda path: ["flite", "-voice", voice, "-t", text, "-o", path])


def _festival(voice: str) -> Callable[[str], Wave]:
    def script(text: str, path: str) -> str:
        quoted = text.replace("\\", "").replace('"', "")
        return f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{path}" (quote riff))'

    return lambda text: _to_file(lambda path: ["festival", "--batch", f"({voice})", script(text, path)])


_PICO_SCRIPT = (
    "import sys, py_nanotts; sys.stdout.buffer.write(py_nanotts.NanoTTS().speak(sys.argv[1], voice=sys.argv[2]))"
)


def _pico(voice: str) -> Callable[[str], Wave]:
    """Each text in a process of its own: Pico's noise goes on from what the process has spoken before."""

    def speak(text: str) -> Wave:
        done = subprocess.run([sys.executable, "-c", _PICO_SCRIPT, text, voice], capture_output=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise BadInput(f"py-nanotts: made no speech ({done.stderr.decode()[-200:].strip()}); reinstall it")
        return (np.frombuffer(done.stdout, dtype="<i2") / 32768).astype(np.float32)

    return speak


def _to_file(command: Callable[[str], Sequence[str]]) -> Wave:
    """What a program writes into a wav file, as a mono wave at `RATE`."""
    from sparring.systems.audio.clips import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        done = subprocess.run(command(str(path)), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0 or not path.exists():
            raise BadInput(f"{command('')[0]}: made no speech ({done.stderr.strip()[:200]}); reinstall it")
        return read(path).wave


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def _ked() -> bool:
    return shutil.which("festival") is not None and any(_FESTIVAL_VOICES.glob("*/ked_diphone"))


_FLITE = "apt-get install flite"
_PICO = "pip install py-nanotts"

ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("espeak", "apt-get install espeak-ng", _program("espeak-ng"), _espeak),
        Engine("flite-kal", _FLITE, _program("flite"), _flite("kal16")),
        Engine("flite-awb", _FLITE, _program("flite"), _flite("awb")),
        Engine("flite-rms", _FLITE, _program("flite"), _flite("rms")),
        Engine("flite-slt", _FLITE, _program("flite"), _flite("slt")),
        Engine("festival-ked", "apt-get install festival festvox-kdlpc16k", _ked, _festival("voice_ked_diphone")),
        Engine("pico-us", _PICO, _module("py_nanotts"), _pico("en-US")),
        Engine("pico-gb", _PICO, _module("py_nanotts"), _pico("en-GB")),
    )
}
"""The benchmark's generators: a formant synthesiser, diphones, unit clusters and two statistical families."""


def chosen(names: Sequence[str]) -> list[Engine]:
    """The engines of these names (all for none). Raises `BadInput` that says what to install for missing ones."""
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        raise BadInput(f"no speech engine {unknown[0]!r}; known: {', '.join(ENGINES)}")
    engines = [ENGINES[name] for name in names or ENGINES]
    missing = [engine for engine in engines if not engine.present()]
    if missing:
        mends = "; ".join(dict.fromkeys(engine.packages for engine in missing))
        raise BadInput(f"speech engines missing: {', '.join(e.name for e in missing)}; get them with: {mends}")
    return engines


def spoken(engine: Engine, text: str) -> Wave:
    """The engine's clean clip at `RATE`, its peak at half of full scale."""
    wave = engine.speak(text)
    peak = float(np.abs(wave).max(initial=0.0))
    if len(wave) < RATE // 2 or peak == 0:
        raise BadInput(f"{engine.name}: spoke no half second of {text!r}; reinstall it ({engine.packages})")
    return (wave * (0.5 / peak)).astype(np.float32)
