"""One judgement for all: every player draws for the same prompts and is measured by the same held-out judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.engine.run import Run
from sparring.systems.images import scenes, stages, yardstick
from sparring.systems.images.config import Config
from sparring.systems.images.data import Pictures, Splits
from sparring.systems.images.players import Player, milliseconds
from sparring.systems.images.tokenizer import Tokenizer
from sparring.systems.images.yardstick import Judge
from sparring.typed import integers

TIMED = 500
"""Pictures in the batch that is timed."""
PAIRED = 3000
"""Pictures, drawn and real, for precision, recall, density and coverage."""


@dataclass(frozen=True)
class Outcome:
    """What one player reached on the test.

    `latent` is the Fréchet distance in the judge's features to the tokenizer's reconstructions of the test pictures,
    `raw` to the pictures themselves; `spread` the bootstrap's standard error of `latent`. `near` is how many pictures
    the four figures of neighbours rest on. `right` says of each drawn picture whether it shows its prompt, `right_new`
    the same for combinations of words that training never had. `milliseconds` are CPU a picture, of the tokens alone
    ("tokens") and with the decoder ("picture").
    """

    latent: float
    spread: float
    raw: float
    kid: float
    precision: float
    recall: float
    density: float
    coverage: float
    near: int
    right: tuple[int, ...]
    right_new: tuple[int, ...]
    milliseconds: dict[str, float]

    @property
    def accuracy(self) -> float:
        """Share of pictures that show their prompt."""
        return sum(self.right) / max(len(self.right), 1)


@dataclass(frozen=True)
class Court:
    """The judge E, which no training has seen, and what it makes of real pictures and of their reconstructions.

    `features` of the validation and test pictures and of their reconstructions are `(n, d)`, each at most `samples`.
    """

    tokenizer: Tokenizer
    judge: Judge
    validation: Pictures
    test: Pictures
    held_out: Pictures | None
    reference: dict[str, Tensor]
    samples: int

    @classmethod
    def open(cls, config: Config, run: Run, splits: Splits, tokenizer: Tokenizer) -> Court:
        """Train the judge and take its features of what is real."""
        judge = yardstick.trained("E", splits, run, steps=config.judge_steps)
        n = config.samples
        parts = {"validation": splits.validation, "test": splits.test}
        reference: dict[str, Tensor] = {}
        for role, pictures in parts.items():
            images = pictures.images[:n]
            reference[role] = judge.features(images)
            reference[f"{role} reconstructed"] = judge.features(again(tokenizer, images))
        return cls(tokenizer, judge, splits.validation, splits.test, splits.held_out, reference, n)

    def score(self, player: Player, seed: int) -> float:
        """The criterion of every choice: Fréchet distance to the reconstructed validation pictures."""
        prompts = self._prompts(self.validation)
        tokens = player.tokens(prompts, torch.Generator().manual_seed(seed))
        drawn = self.judge.features(stages.decoded(self.tokenizer, tokens))
        return yardstick.fid(drawn, self.reference["validation reconstructed"])

    def judged(self, player: Player, seed: int) -> Outcome:
        """The player on the test's prompts."""
        prompts = self._prompts(self.test)
        images = self.pictures(player, prompts, seed)
        drawn = self.judge.features(images)
        real, again = self.reference["test"], self.reference["test reconstructed"]
        k = min(PAIRED, len(real), len(drawn))
        near = yardstick.prdc(real[:k], drawn[:k])
        new: tuple[int, ...] = ()
        if self.held_out is not None:
            asked = self._prompts(self.held_out)
            new = self.right(self.pictures(player, asked, seed + 1), asked)
        return Outcome(
            latent=yardstick.fid(drawn, again),
            spread=spread(drawn, again),
            raw=yardstick.fid(drawn, real),
            kid=yardstick.kid(drawn, again),
            precision=near.precision,
            recall=near.recall,
            density=near.density,
            coverage=near.coverage,
            near=k,
            right=self.right(images, prompts),
            right_new=new,
            milliseconds=milliseconds(player, self.tokenizer, prompts[:TIMED]),
        )

    def pictures(self, player: Player, prompts: Tensor, seed: int) -> Tensor:
        """What the player draws, `(n, c, h, w)` uint8."""
        return stages.decoded(self.tokenizer, player.tokens(prompts, torch.Generator().manual_seed(seed)))

    @property
    def floors(self) -> dict[str, float]:
        """Distances without any generator: two halves of the test, and the tokenizer's own (rFID)."""
        real, again = self.reference["test"], self.reference["test reconstructed"]
        half = len(real) // 2
        return {"real to real": yardstick.fid(real[:half], real[half:]), "rFID": yardstick.fid(again, real)}

    def reconstructed(self) -> float:
        """Share of reconstructed test pictures that still show their prompt: what the tokenizer leaves possible."""
        prompts = self._prompts(self.test)
        right = self.right(self.again(self.test.images[: len(prompts)]), prompts)
        return sum(right) / len(right)

    def possible(self) -> float:
        """The same share of the real pictures: below 1 where the judge errs."""
        prompts = self._prompts(self.test)
        right = self.right(self.test.images[: len(prompts)], prompts)
        return sum(right) / len(right)

    def known(self) -> float:
        """Share of the test pictures of which the judge says all that it should."""
        return float((self.judge.said(self.test.images) == yardstick.named(self.test)).all(1).float().mean())

    def again(self, images: Tensor) -> Tensor:
        """Pictures uint8 through the tokenizer and back."""
        return again(self.tokenizer, images)

    def _prompts(self, pictures: Pictures) -> Tensor:
        return pictures.prompts[: self.samples]

    def right(self, images: Tensor, prompts: Tensor) -> tuple[int, ...]:
        """1 for each picture uint8 that shows its prompt: by the verifier for scenes, by the judge for the rest."""
        if self.test.name == "scenes":
            return tuple(integers(scenes.verify(images, prompts).long()))
        return tuple(integers(self.judge.right(images, prompts).long()))


def spread(drawn: Tensor, reference: Tensor, *, rounds: int = 20, seed: int = 0) -> float:
    """The standard error of the distance, from `rounds` samples of the drawn pictures with replacement."""
    generator = torch.Generator().manual_seed(seed)
    found = [
        yardstick.fid(drawn[torch.randint(len(drawn), (len(drawn),), generator=generator)], reference)
        for _ in range(rounds)
    ]
    return float(torch.tensor(found).std())


def recorded(run: Run, name: str, make: Callable[[], Outcome]) -> Outcome:
    """An outcome that a resumed run reads back."""
    kept: dict[str, Any] = run.recorded(name, lambda: asdict(make()))
    lists: dict[str, Any] = {key: tuple(int(v) for v in kept[key]) for key in ("right", "right_new")}
    return Outcome(**{**kept, **lists})


def again(tokenizer: Tokenizer, images: Tensor) -> Tensor:
    """Pictures uint8 through a tokenizer and back."""
    return stages.decoded(tokenizer, stages.encoded(tokenizer, images))
