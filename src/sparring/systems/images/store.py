"""A model on disk: tokenizer, teacher and students in one safetensors file, what they are in the JSON beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from sparring.engine import weights
from sparring.engine.run import Run
from sparring.errors import BadInput
from sparring.systems.images import tokenizer as tokenizers
from sparring.systems.images.dimo import Generator
from sparring.systems.images.patches import Patches
from sparring.systems.images.samplers import Sampler, one_step, sample
from sparring.systems.images.tokenizer import Tokenizer
from sparring.systems.images.transformer import Shape, Transformer
from sparring.typed import split

KIND, VERSION = "images model", 1
STAGES = ("distilled", "refined", "tuned")
"""The students, in the order in which they are made; the last one there is is used."""


@dataclass(frozen=True)
class Model:
    """All that makes pictures: `words` name the prompts' ids (0 is ""), `settings` were chosen on validation.

    `students` are one-step generators by stage, `temperatures` theirs, `samplers` the teacher's by steps.
    """

    tokenizer: Tokenizer
    teacher: Transformer
    words: tuple[str, ...]
    students: Mapping[str, Generator] = field(default_factory=dict[str, Generator])
    temperatures: Mapping[str, float] = field(default_factory=dict[str, float])
    samplers: Mapping[int, Sampler] = field(default_factory=dict[int, Sampler])
    note: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def student(self) -> str | None:
        """The stage of the best student, None before the distillation."""
        return next((s for s in reversed(STAGES) if s in self.students), None)

    def prompts(self, texts: Sequence[str]) -> Tensor:
        """Word ids `(n, p)` of prompts. Raises `BadInput` that names the first unknown word, or a prompt too long."""
        known, room = {word: i for i, word in enumerate(self.words)}, self.teacher.shape.prompt
        rows: list[list[int]] = []
        for text in texts:
            # A class may have a name of several words ("ankle boot"): the whole prompt goes first.
            parts = [text.strip()] if text.strip() in known else text.split()
            for word in parts:
                if word not in known:
                    some = ", ".join(w for w in self.words[1:41])
                    raise BadInput(f"prompt {text!r}: this model does not know {word!r}; it knows: {some}")
            if len(parts) > room:
                raise BadInput(f"prompt {text!r}: has {len(parts)} words, this model takes {room}; shorten it")
            rows.append([known[word] for word in parts] + [0] * (room - len(parts)))
        return torch.tensor(rows, dtype=torch.long).reshape(len(rows), room)

    def tokens(
        self, prompts: Tensor, *, steps: int = 1, temperature: float | None = None, cfg: float | None = None,
        generator: torch.Generator, stage: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Tokens `(n, L)`; see `sample`."""
        stage = stage or self.student
        if steps == 1 and stage not in (None, "teacher"):
            if stage not in self.students:
                raise BadInput(f"stage {stage!r}: this model has {', '.join(['teacher', *self.students])}")
            heat = self.temperatures.get(stage, 1.0) if temperature is None else temperature
            return one_step(self.students[stage], prompts, heat, generator)
        how = self.samplers.get(steps, Sampler(steps))
        how = replace(how, **{k: v for k, v in {"temperature": temperature, "guidance": cfg}.items() if v is not None})
        return sample(self.teacher, prompts, how, self.tokenizer.grid, generator)

    def sample(
        self, prompts: Tensor, *, steps: int = 1, temperature: float | None = None, cfg: float | None = None,
        generator: torch.Generator, stage: str | None = None, batch: int = 500,
    ) -> Tensor:  # fmt: skip
        """Pictures `(n, c, h, w)` uint8 for prompts `(n, p)`.

        One step is the last student's (or that of `stage`, "teacher" for the teacher's own), more are the teacher's.
        None takes what was chosen on validation.
        """
        parts: list[Tensor] = []
        with torch.no_grad():
            for rows in split(prompts, batch):
                tokens = self.tokens(
                    rows, steps=steps, temperature=temperature, cfg=cfg, generator=generator, stage=stage
                )
                parts.append(tokenizers.pixels(self.tokenizer.decode(tokens)))
        return torch.cat(parts)


def save(target: Run | Path, model: Model, name: str = "model") -> Path:
    """Write `NAME.safetensors` and `NAME.json` into a run or a folder; returns the first one's path."""
    meta = {
        "kind": KIND,
        "version": VERSION,
        "tokenizer": model.tokenizer.plan,
        "shape": asdict(model.teacher.shape),
        "words": list(model.words),
        "students": {stage: {"masked": g.masked, "sigma": g.sigma} for stage, g in model.students.items()},
        "temperatures": dict(model.temperatures),
        "samplers": {str(steps): asdict(how) for steps, how in model.samplers.items()},
        "note": dict(model.note),
    }
    parts = {"tokenizer": model.tokenizer, "teacher": model.teacher}
    parts |= {stage: student.net for stage, student in model.students.items()}
    tensors = {f"{part}.{key}": value for part, net in parts.items() for key, value in net.state_dict().items()}
    if isinstance(target, Run):
        return target.save_model(tensors, name, meta)
    path = Path(target) / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    weights.save_model(path, tensors, meta)
    return path


def load(source: Path) -> Model:
    """The model of a run folder (its `model.safetensors`) or of a `.safetensors` file.

    Raises `BadInput` that names the file: missing, damaged, another kind of model, another version's format.
    """
    path = source / "model.safetensors" if source.is_dir() else source
    if source.is_dir() and not path.exists():
        raise BadInput(f"{source}: holds no model.safetensors; give the folder of a finished `sparring images train`")
    tensors, meta = weights.load_model(path)
    if meta.get("kind") != KIND:
        raise BadInput(f"{path}: holds another kind of model; give one of `sparring images train` or `run images`")
    if meta.get("version") != VERSION:
        raise BadInput(f"{path}: version {meta.get('version')!r} of the model is not known here; train it again")
    try:
        return _built(tensors, meta)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: damaged ({type(error).__name__}: {reason}); train or copy it again") from error


def _built(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Model:
    shape = Shape(**meta["shape"])
    tokenizer = _tokenizer(meta["tokenizer"])
    weights.fill(tokenizer, _part(tensors, "tokenizer"), "the tokenizer")
    students = cast(Mapping[str, Mapping[str, float]], meta["students"])
    return Model(
        tokenizer=tokenizer.eval().requires_grad_(False),
        teacher=_net(shape, tensors, "teacher"),
        words=tuple(str(w) for w in meta["words"]),
        students={
            stage: Generator(_net(shape, tensors, stage), masked=how["masked"], sigma=how["sigma"])
            for stage, how in students.items()
        },
        temperatures={str(k): float(v) for k, v in meta["temperatures"].items()},
        samplers={int(k): Sampler(**how) for k, how in meta["samplers"].items()},
        note=dict(meta["note"]),
    )


def _tokenizer(plan: Mapping[str, Any]) -> Tokenizer:
    if plan["kind"] != "patches":
        return tokenizers.built(plan)
    channels, height, width = (int(v) for v in plan["shape"])
    factor = int(plan["factor"])
    return Patches((channels, height, width), factor, torch.zeros(int(plan["codes"]), channels * factor * factor))


def _net(shape: Shape, tensors: Mapping[str, Tensor], part: str) -> Transformer:
    net = Transformer(shape)
    weights.fill(net, _part(tensors, part), f"the {part}")
    return net.eval().requires_grad_(False)


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
