"""A scorer on disk: the network, the scale of its scores, its calibration, and what it hears."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.engine import weights
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.audio.calibrate import Calibration
from sparring.systems.audio.features import WIDTH
from sparring.systems.audio.fit import Fitted, Ratings, Size, network
from sparring.typed import from_numpy

KIND, VERSION = "audio scorer", 1


@dataclass(frozen=True)
class Hearing:
    """What a scorer is fed: the 449 log-mel statistics, or frames of a backbone's layer (`path` on this machine)."""

    kind: str = "log-mel"
    path: str = ""
    layer: int = 0
    channels: int = WIDTH

    @property
    def frames(self) -> bool:
        """Whether a clip is a series of frames instead of one vector."""
        return self.kind != "log-mel"


@dataclass(frozen=True)
class Scorer:
    """A fitted model ready for use: S members that are averaged, in double precision.

    `axes` are the names of its scores, `limits` the range of the ratings it learned from.
    """

    fitted: Fitted
    calibration: Calibration
    axes: tuple[str, ...]
    limits: tuple[float, float]
    size: Size
    hearing: Hearing = field(default_factory=Hearing)
    note: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def judge(self, x: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and spreads `(n, axes)` of clips `(n, *features)`.

        The spread joins the members' disagreement and, with a Gaussian head, what they themselves are unsure of.
        """
        return judged(self.fitted, x)


def judged(fitted: Fitted, x: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over members and spread, each `(n, axes)`, of clips `(n, *features)`."""
    scores = fitted.predict(x)
    variance = scores.var(1, unbiased=False)
    own = fitted.covariance(x)
    if own is not None:
        variance = variance + own.diagonal(dim1=2, dim2=3).mean(1)
    # A floor keeps a lucky agreement of the members from looking like certainty.
    floor = 0.1 * fitted.deviation.mean(0)
    return scores.mean(1).double().numpy(), (variance.sqrt() + floor).double().numpy()


def save(target: Run | Path, scorer: Scorer, name: str = "model") -> Path:
    """Write `NAME.safetensors` and `NAME.json` into a run or a folder; returns the first one's path."""
    fitted = scorer.fitted
    meta = {
        "kind": KIND,
        "version": VERSION,
        "axes": list(scorer.axes),
        "limits": list(scorer.limits),
        "size": vars(scorer.size),
        "members": fitted.mean.shape[0],
        "hearing": vars(scorer.hearing),
        "note": dict(scorer.note),
    }
    tensors = {f"model.{key}": value for key, value in fitted.model.state_dict().items()}
    tensors |= {
        "mean": fitted.mean,
        "deviation": fitted.deviation,
        "errors": from_numpy(scorer.calibration.errors),
    }
    if isinstance(target, Run):
        return target.save_model(tensors, name, meta)
    path = Path(target) / f"{name}.safetensors"
    weights.save_model(path, tensors, meta)
    return path


def load(source: Path) -> Scorer:
    """The scorer of a run folder (its `model.safetensors`) or of a `.safetensors` file.

    Raises `BadInput` that names the file: missing, damaged, another kind of model, another version's format.
    """
    path = source / "model.safetensors" if source.is_dir() else source
    if source.is_dir() and not path.exists():
        raise BadInput(f"{source}: holds no model.safetensors; give the folder of a finished `sparring run audio`")
    tensors, meta = weights.load_model(path)
    if meta.get("kind") != KIND:
        raise BadInput(f"{path}: holds another kind of model; give one that `sparring audio train` or `run audio` made")
    if meta.get("version") != VERSION:
        raise BadInput(f"{path}: version {meta.get('version')!r} of the scorer is not known here; train it again")
    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BadInput(f"{path}: tensor {key!r} holds NaN or infinity; use the file as it was saved")
    try:
        return _built(tensors, meta)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: damaged ({type(error).__name__}: {reason}); train or copy it again") from error


def newest(runs: Path = Path("runs")) -> Path:
    """The run in `runs` whose scorer was written last. Raises `BadInput` that says how to make one."""
    found = [p for p in runs.glob("*/model.safetensors") if p.is_file() and _is_scorer(p.with_suffix(".json"))]
    if not found:
        raise BadInput(f"{runs}/: holds no audio scorer; make one with `sparring run audio`, or give one with --model")
    return max(found, key=lambda p: (p.stat().st_mtime_ns, str(p))).parent


def _is_scorer(side: Path) -> bool:
    try:
        return bool(json.loads(side.read_text(encoding="utf-8"))["meta"]["kind"] == KIND)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _built(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Scorer:
    size, hearing = Size(**meta["size"]), Hearing(**meta["hearing"])
    axes = tuple(str(a) for a in meta["axes"])
    low, high = (float(v) for v in meta["limits"])
    shape = (int(meta["members"]), 1, hearing.channels, *((1,) if hearing.frames else ()))
    blank = Ratings(torch.ones(shape), torch.zeros(shape[0], 1, len(axes)), torch.zeros(shape[0], 1), 1)
    model = network(blank, size, generator=torch.Generator())
    weights.fill(model, _part(tensors, "model."), "the scorer")
    fitted = Fitted(model.eval().requires_grad_(False), tensors["mean"], tensors["deviation"], size.gaussian)
    calibration = Calibration(tensors["errors"].double().numpy())
    return Scorer(fitted, calibration, axes, (low, high), size, hearing, dict(meta["note"]))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def doubled(scorer: Scorer) -> Scorer:
    """The scorer in double precision: sums in another order, as in another batch, then change no digit shown."""
    fitted = replace(
        scorer.fitted,
        model=scorer.fitted.model.double(),
        mean=scorer.fitted.mean.double(),
        deviation=scorer.fitted.deviation.double(),
    )
    return replace(scorer, fitted=fitted)


def columns(axes: Sequence[str]) -> list[str]:
    """Names of the axes for a table's header."""
    return [axis.replace("_", " ").lower() for axis in axes]
