"""The peers' own environment: made once beside the checkout, and the script run again inside it.

torchattacks and adv-lib demand torchvision, whose wheel does not import beside this torch; no attack that is timed
here uses it, so an empty stand-in is put before them, in this process alone. Sparring runs from the same checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-peers"
NEEDS = ("torch==2.13.0", "numpy", "scipy", "scikit-learn", "tqdm", "six", "setuptools", "requests", "rich")
PEERS = (
    "torchattacks==3.5.1",
    "adv-lib==0.2.8",
    "adversarial-robustness-toolbox==1.20.1",
    "pyautoattack==0.2.0",
    "foolbox==3.3.4",
    "eagerpy==0.30.0",
)
STAMP = "\n".join((*NEEDS, *PEERS))


def install() -> Path:
    """Make the peers' environment if need be; returns its Python."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "peers.txt"
    if not stamp.exists() or stamp.read_text() != STAMP:
        print(f"making {FOLDER.name} with {', '.join(PEERS)}", flush=True)
        venv.create(FOLDER, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *NEEDS], check=True)
        subprocess.run([*install, "--no-deps", *PEERS], check=True)
        stamp.write_text(STAMP)
    return python


def borrow() -> None:
    """Let this process import the peers behind its own packages; the environment must be installed."""
    (packages,) = FOLDER.glob("lib/python*/site-packages")
    if str(packages) not in sys.path:
        sys.path.append(str(packages))


def enter() -> None:
    """Return inside the peers' environment; elsewhere make it if need be and start the script again in it."""
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        return
    python = install()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    os.execve(python, [str(python), *sys.argv], environment)


class _Nothing(ModuleType):
    """A module of which any part may be imported and none may be used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in(*names: str) -> None:
    """Put empty modules in the place of these."""
    for name in names:
        module = _Nothing(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module
