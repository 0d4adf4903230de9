"""Reading back the chat records that `synthesize` wrote, or a user's own in the same form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args

from sparring.errors import BadInput
from sparring.systems.search.synthesize import Corpus, Group, Kind, Record

_OWN = {f.name for f in fields(Record)} - {"prompt", "answer"}


def read(folder: Path) -> Corpus:
    """The corpus in a folder: `train.jsonl` and `test.jsonl`. Raises `BadInput` with the file and the line."""
    records: list[Record] = []
    for split in ("train", "test"):
        path = folder / f"{split}.jsonl"
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{path}: cannot be read ({error}); make it with `sparring search synthesize`") from None
        for number, line in enumerate(lines, start=1):
            if line.strip():
                records.append(_record(path, number, line, split))
    if not records:
        raise BadInput(f"{folder}: holds no records")
    groups: dict[str, Group] = {r.entity: r.group for r in records if r.entity and r.group}
    return Corpus(tuple(records), groups, shop=folder.name)


def _record(path: Path, number: int, line: str, split: str) -> Record:
    where = f"{path}, line {number}"
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput(f"{where}: not JSON; write one object a line") from None
    try:
        messages: Any = row.get("messages")
        said = {m["role"]: str(m["content"]) for m in cast(list[Mapping[str, Any]], messages)}
        prompt, answer = said["user"], said["assistant"]
    except (AttributeError, TypeError, KeyError):
        raise BadInput(f"{where}: no messages of a user and an assistant") from None
    told = cast(dict[str, Any], row)
    kind = told.get("kind", "attribute")
    if kind not in get_args(Kind):
        raise BadInput(f"{where}: kind {kind!r} is not known; choose one of {', '.join(get_args(Kind))}")
    group = told.get("group")
    if group is not None and group not in get_args(Group):
        raise BadInput(f"{where}: group {group!r} is not known; choose old, new or held-out")
    own = {k: v for k, v in told.items() if k in _OWN} | {"kind": kind, "split": split}
    given: dict[str, Any] = {**own, "sources": tuple(own.get("sources", ()))}
    return Record(prompt=prompt, answer=answer, **given)
