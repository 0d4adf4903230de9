"""Listeners' ratings in the field's four formats and in a plain CSV: paths, scores, and what else is known."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from sparring.errors import BadInput

AES = ("Production_Quality", "Production_Complexity", "Content_Enjoyment", "Content_Usefulness")
NISQA = ("mos", "noi", "dis", "col", "loud")
_SCORES = ("score", "mos")
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class Ratings:
    """`n` rated clips: `paths` as the file has them, `scores` `(n, axes)` means over raters, `columns` of metadata.

    `format` is what the file was recognised as.
    """

    format: str
    axes: tuple[str, ...]
    paths: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def __len__(self) -> int:
        return len(self.paths)


def read(path: Path) -> Ratings:
    """Ratings of any known format, told from the file itself.

    * SHEET: `wav_path, score, system_id, sample_id[, listener_id]`; a clip's listeners are averaged.
    * BVCC / VoiceMOS, without a header: `system,clip.wav,score,...` or `clip.wav,score`; listeners are averaged.
    * AES lists: CSV `sample_id, data_path, <four axes>`, or JSON lines with lists of ratings.
    * NISQA: CSV with `filepath_deg` (or `filename_deg`), `mos` and where there are `noi, dis, col, loud`.
    * plain: `path` and `score`; with `score_min` and `score_max` scores are brought to the scale of 1 to 5.

    Every other column of texts is metadata, and may be a domain. Raises `BadInput` that names file, line and field.
    """
    text = _text(path)
    first = text.lstrip().split("\n", 1)[0]
    if first.startswith("{"):
        return _json_lines(path, text)
    cells = next(csv.reader([first]), list[str]())
    names = [cell.strip() for cell in cells]
    if "wav_path" in names:
        return _table(path, text, "SHEET", "wav_path", ("score",))
    if "data_path" in names:
        return _table(path, text, "AES", "data_path", AES)
    if "filepath_deg" in names or "filename_deg" in names:
        where = "filepath_deg" if "filepath_deg" in names else "filename_deg"
        return _table(path, text, "NISQA", where, tuple(n for n in NISQA if n in names) or ("mos",))
    if "path" in names:
        return _table(path, text, "plain", "path", (next((n for n in _SCORES if n in names), "score"),))
    if any(cell.lower().endswith((".wav", ".flac")) for cell in names[:2]):
        return _voicemos(path, text)
    raise BadInput(
        f"{path}: line 1: no known header ({', '.join(names)[:80]}); give SHEET, BVCC/VoiceMOS, AES or NISQA ratings, "
        "or a CSV with the columns path and score"
    )


def locate(ratings: Ratings, source: Path, audio: Path | None = None) -> tuple[Path, ...]:
    """The sound file of every clip: its path as it is, or below the ratings' folder, `audio`, or a `wav` folder there.

    Raises `BadInput` with the first one missing, and how many are.
    """
    homes = [audio] if audio is not None else [source.parent, source.parent / "wav", source.parent.parent / "wav"]
    found = [_first(name, homes) for name in ratings.paths]
    missing = [name for name, path in zip(ratings.paths, found, strict=True) if path is None]
    if missing:
        raise BadInput(
            f"{source}: {len(missing)} of {len(found)} clips are not there, the first is {missing[0]}; "
            "give their folder with --audio"
        )
    return tuple(path for path in found if path is not None)


def _first(name: str, homes: Sequence[Path]) -> Path | None:
    given = Path(name)
    if given.is_absolute() and given.is_file():
        return given
    # Lists are published with the author's own folders in front: try the path with fewer and fewer of them.
    parts = given.parts[1:] if given.is_absolute() else given.parts
    for start in range(len(parts)):
        for home in homes:
            path = home.joinpath(*parts[start:])
            if path.is_file():
                return path
    return None


def _table(path: Path, text: str, form: str, where: str, axes: tuple[str, ...]) -> Ratings:
    lines = csv.DictReader(text.splitlines())
    names = [name.strip() for name in lines.fieldnames or ()]
    lines.fieldnames = names
    for name in axes:
        if name not in names:
            raise BadInput(f"{path}: line 1: {form} ratings need the column {name!r}; it has {', '.join(names)}")
    rows: dict[str, list[tuple[float, ...]]] = {}
    about: dict[str, dict[str, str]] = {}
    for row in lines:
        if None in row or None in row.values():
            raise BadInput(f"{path}: line {lines.line_num}: {len(names)} cells are needed, as in the header")
        clip = row[where].strip()
        if not clip:
            raise BadInput(f"{path}: line {lines.line_num}: {where} is empty; name the sound file")
        scores = tuple(_number(row[a], path, lines.line_num, a) for a in axes)
        rows.setdefault(clip, []).append(_rescaled(scores, row, path, lines.line_num))
        about.setdefault(clip, {n: row[n] for n in names if n not in (*axes, where)})
    return _gathered(path, form, axes, rows, about)


def _rescaled(scores: tuple[float, ...], row: Mapping[str, str], path: Path, line: int) -> tuple[float, ...]:
    """Scores on the scale of 1 to 5 where the row tells its own scale."""
    if "score_min" not in row or "score_max" not in row:
        return scores
    low, high = (_number(row[n], path, line, n) for n in ("score_min", "score_max"))
    if not low < high:
        raise BadInput(f"{path}: line {line}: score_min {low:g} is not below score_max {high:g}")
    return tuple(1 + 4 * (score - low) / (high - low) for score in scores)


def _voicemos(path: Path, text: str) -> Ratings:
    rows: dict[str, list[tuple[float, ...]]] = {}
    about: dict[str, dict[str, str]] = {}
    reader = csv.reader(text.splitlines())
    for cells in reader:
        if not cells:
            continue
        at = 1 if len(cells) > 2 and cells[1].lower().endswith((".wav", ".flac")) else 0
        if len(cells) < at + 2:
            raise BadInput(f"{path}: line {reader.line_num}: give system,clip.wav,score or clip.wav,score")
        clip = cells[at].strip()
        system = cells[0].strip() if at else Path(clip).stem.split("-")[0]
        rows.setdefault(clip, []).append((_number(cells[at + 1], path, reader.line_num, "score"),))
        about.setdefault(clip, {"system": system})
    return _gathered(path, "BVCC", ("score",), rows, about)


def _json_lines(path: Path, text: str) -> Ratings:
    rows: dict[str, list[tuple[float, ...]]] = {}
    about: dict[str, dict[str, str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            clip = str(record["data_path"])
            scores = tuple(_mean(record[a]) for a in AES)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else "is no JSON object of ratings"
            raise BadInput(f"{path}: line {number}: {reason}; give data_path and {', '.join(AES)}") from None
        rows.setdefault(clip, []).append(scores)
        about.setdefault(clip, {"system": Path(clip).parts[-2] if len(Path(clip).parts) > 1 else _system(clip)})
    return _gathered(path, "AES", AES, rows, about)


def _gathered(
    path: Path,
    form: str,
    axes: tuple[str, ...],
    rows: Mapping[str, list[tuple[float, ...]]],
    about: Mapping[str, Mapping[str, str]],
) -> Ratings:
    if not rows:
        raise BadInput(f"{path}: holds a header but no ratings")
    names = list(next(iter(about.values())))
    columns = {name: tuple(about[clip][name] for clip in rows) for name in names}
    means = tuple(tuple(fmean(column) for column in zip(*given, strict=True)) for given in rows.values())
    return Ratings(form, axes, tuple(rows), means, columns)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"{path}: larger than {_LARGEST // 2**20} MB; give a file of ratings")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is no text in UTF-8; give a CSV or JSON lines of ratings") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a CSV or JSON lines of ratings") from None
    if not text.strip():
        raise BadInput(f"{path}: is empty; give a CSV or JSON lines of ratings")
    return text


def _number(cell: str, path: Path, line: int, name: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{path}: line {line}: {name} {cell!r} is no finite number")
    return value


def _mean(given: object) -> float:
    values: Iterator[float] = map(float, given if isinstance(given, list) else [given])  # type: ignore[arg-type]
    mean = fmean(values)
    if not math.isfinite(mean):
        raise ValueError("not finite")
    return mean


def _system(clip: str) -> str:
    """`audiomos2025-track2-sys0v1wm-utt0dJodp` names its system itself."""
    return next((part for part in clip.split("-") if part.startswith("sys")), "unknown")
