"""From pictures to tokens and back: learned codes (a small convolutional VQ), or one token a pixel for few colours.

Both have the same four doors: `encode`, `decode`, `decode_embeddings` (for soft mixtures of codes) and `codebook`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.game import Batch, Game, State, StepResult, Task
from sparring.systems.images.config import Tokens
from sparring.systems.images.teacher import warm
from sparring.typed import unique_rows

MOST_COLOURS = 64


class Tokenizer(nn.Module, ABC):
    """Pictures `(n, c, h, w)` in [-1, 1] to tokens `(n, L)` and back; positions are read row by row."""

    codebook: Tensor
    """What a code stands for, `(codes, size)`."""

    def __init__(self, shape: tuple[int, int, int], grid: tuple[int, int]) -> None:
        super().__init__()
        self.shape, self.grid = shape, grid

    @property
    def positions(self) -> int:
        """Tokens a picture."""
        return self.grid[0] * self.grid[1]

    @property
    @abstractmethod
    def plan(self) -> dict[str, Any]:
        """What `built` needs to make an empty one again."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Tokens `(n, L)` of pictures."""

    @abstractmethod
    def decode_embeddings(self, e: Tensor) -> Tensor:
        """Pictures of code vectors `(n, L, size)`, which may be mixtures; differentiable."""

    def decode(self, tokens: Tensor) -> Tensor:
        """Pictures of tokens."""
        return self.decode_embeddings(self.codebook[tokens])

    def soft(self, p: Tensor) -> Tensor:
        """Pictures of code probabilities `(n, L, codes)` through the mixed code vectors; differentiable."""
        return self.decode_embeddings(p @ self.codebook)


class Palette(Tokenizer):
    """One token a pixel: the picture's colours are the codebook. Nothing is lost and nothing is learned."""

    def __init__(self, shape: tuple[int, int, int], colours: Tensor) -> None:
        super().__init__(shape, shape[1:])
        self.register_buffer("codebook", colours.float())

    @property
    def plan(self) -> dict[str, Any]:
        return {"kind": "palette", "shape": list(self.shape), "codes": len(self.codebook)}

    def encode(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2).transpose(1, 2)
        return torch.cdist(pixels, self.codebook.expand(len(x), -1, -1)).argmin(2)

    def decode_embeddings(self, e: Tensor) -> Tensor:
        return e.transpose(1, 2).reshape(len(e), *self.shape)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.second(F.gelu(self.first(F.gelu(h))))


class ConvVQ(Tokenizer):
    """A convolutional encoder, the nearest of `codes` vectors, a convolutional decoder (VQ-VAE).

    Codes follow the encoder by moving averages, and dead ones restart at what the encoder gives: van den Oord et al.,
    NeurIPS 2017, appendix A.1; Dhariwal et al., "Jukebox", 2020, section 3.1. Encoder outputs and codes lie on the
    unit sphere, so that no code can run away from the rest (Yu et al., ViT-VQGAN, ICLR 2022, section 3.2).
    """

    used: Tensor
    sums: Tensor

    def __init__(self, shape: tuple[int, int, int], plan: Tokens) -> None:
        channels, height, width = shape
        plan = plan.fitted_to("")
        if height % plan.factor or width % plan.factor:
            raise BadInput(f"pictures of {height} x {width}: both must be multiples of tokens.factor = {plan.factor}")
        super().__init__(shape, (height // plan.factor, width // plan.factor))
        self.settings = plan
        wide = [plan.width * min(2**k, 4) for k in range(plan.factor.bit_length() - 1)]
        down: list[nn.Module] = []
        before = channels
        for w in wide:
            down += [nn.Conv2d(before, w, 4, stride=2, padding=1), _Residual(w)]
            before = w
        self.encoder = nn.Sequential(*down, nn.GELU(), nn.Conv2d(before, plan.size, 1))
        up: list[nn.Module] = [nn.Conv2d(plan.size, before, 3, padding=1), _Residual(before), _Residual(before)]
        for after in [*reversed(wide[:-1]), channels]:
            up += [nn.GELU(), nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2)]
            up += [_Residual(after)] if after != channels else []
            before = after
        self.decoder = nn.Sequential(*up)
        self.register_buffer("codebook", F.normalize(torch.randn(plan.codes, plan.size), dim=1))
        self.register_buffer("used", torch.zeros(plan.codes))
        self.register_buffer("sums", torch.zeros(plan.codes, plan.size))

    @property
    def plan(self) -> dict[str, Any]:
        return {"kind": "vq", "shape": list(self.shape), "tokens": asdict(self.settings)}

    def features(self, x: Tensor) -> Tensor:
        """The encoder's unit vectors `(n, L, size)`, before they are rounded to codes."""
        return F.normalize(self.encoder(x).flatten(2).transpose(1, 2), dim=2)

    def nearest(self, z: Tensor) -> Tensor:
        """The code of the smallest angle, for unit vectors `(..., size)`."""
        return (z @ self.codebook.T).argmax(-1)

    def encode(self, x: Tensor) -> Tensor:
        return self.nearest(self.features(x))

    def decode_embeddings(self, e: Tensor) -> Tensor:
        return self.decoder(e.transpose(1, 2).reshape(len(e), -1, *self.grid))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (gradients go straight through the rounding), unit vectors and tokens."""
        z = self.features(x)
        tokens = self.nearest(z)
        return self.decode_embeddings(z + (self.codebook[tokens] - z).detach()), z, tokens

    @torch.no_grad()
    def follow(self, z: Tensor, tokens: Tensor, generator: torch.Generator, *, decay: float = 0.97) -> int:
        """Move the codes after a batch; returns how many were dead and restarted."""
        z, tokens = z.flatten(0, 1), tokens.flatten()
        count = torch.zeros_like(self.used).index_add_(0, tokens, torch.ones_like(tokens, dtype=z.dtype))
        first = not bool(self.used.any())
        self.used.lerp_(count, 1.0 if first else 1 - decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, tokens, z), 1.0 if first else 1 - decay)
        # Dead: less than a twentieth of its fair share.
        dead = self.used < 0.05 * len(tokens) / len(self.used)
        fresh = z[torch.randint(len(z), (len(self.used),), generator=generator, device=z.device)]
        self.sums[dead] = fresh[dead] * (len(tokens) / len(self.used))
        self.used[dead] = len(tokens) / len(self.used)
        self.codebook.copy_(F.normalize(self.sums, dim=1))
        return int(dead.sum())


@dataclass(frozen=True, kw_only=True)
class Reconstruct:
    """Squared and absolute error of the reconstruction, and the pull of the encoder to its code; a batch is (x, x).

    `perceptual(x) -> (n, d)` adds the squared distance of a judge's features, for a sharper picture.
    """

    pull: float = 0.25
    perceptual: Callable[[Tensor], Tensor] | None = None
    perceptual_weight: float = 0.1
    restart_until: float = 0.8
    """Share of the training after which no code restarts: the decoder must get to know the last ones."""

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        x, _ = batch
        net = cast(ConvVQ, state.unwrap(game.defender))
        made, z, tokens = cast(tuple[Tensor, Tensor, Tensor], game.defender(x))
        terms = {
            "squared": F.mse_loss(made, x),
            "absolute": 0.2 * F.l1_loss(made, x),
            "pull": self.pull * (z - net.codebook[tokens]).square().sum(-1).mean(),
        }
        if self.perceptual is not None:
            distance = (self.perceptual(made) - self.perceptual(x).detach()).square().mean()
            terms["perceptual"] = self.perceptual_weight * distance
        loss = torch.stack(list(terms.values())).sum()
        state.descend(loss, terms=terms)
        restarted = 0
        if state.step < self.restart_until * state.total_steps:
            restarted = net.follow(z.detach(), tokens, state.generator("codes"))
        figures = {name: float(term.detach()) for name, term in terms.items()}
        return StepResult(loss.detach(), {**figures, "restarted": float(restarted)})


def task(
    net: ConvVQ, images: Tensor, valid: Tensor, plan: Tokens, perceptual: Callable[[Tensor], Tensor] | None = None
) -> Task:
    """The tokenizer's training on pictures `(n, c, h, w)` uint8; validated by its mean squared error."""
    rounds = max(plan.steps // plan.rounds, 1)

    def data(generator: torch.Generator) -> Iterable[Batch]:
        def drawn() -> Iterator[Batch]:
            for _ in range(rounds):
                x = floats(images[torch.randint(len(images), (plan.batch,), generator=generator)])
                yield x, x

        return drawn()

    def optimizers(game: Game) -> Mapping[str, torch.optim.Optimizer]:
        return {"defender": torch.optim.AdamW(game.defender.parameters(), plan.rate, weight_decay=1e-4)}

    def validate(model: nn.Module) -> Mapping[str, float]:
        made, tokens = cast(ConvVQ, model), floats(valid)
        with torch.no_grad():
            codes = made.encode(tokens)
            error = F.mse_loss(made.decode(codes), tokens)
        return {"squared_error": float(error), "perplexity": perplexity(codes, len(made.codebook))}

    return Task(
        game=Game(net, None, F.mse_loss),
        strategy=Reconstruct(perceptual=perceptual),
        data=data,
        batches=rounds,
        epochs=plan.rounds,
        optimizers=optimizers,
        schedulers=warm(20, cosine=True),
        validate=validate,
        clip=1.0,
    )


def perplexity(tokens: Tensor, codes: int) -> float:
    """How many codes are in use: e to the entropy of the tokens' frequencies, in [1, codes]."""
    p = torch.bincount(tokens.flatten(), minlength=codes).float()
    p = p / p.sum()
    return float((-(p * p.clamp_min(1e-12).log()).sum()).exp())


def floats(images: Tensor) -> Tensor:
    """Pictures of 0 to 255 as networks see them, in [-1, 1]."""
    return images.float() / 127.5 - 1


def pixels(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] as uint8; what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def colours_of(images: Tensor) -> Tensor | None:
    """The distinct colours `(k, c)` in [-1, 1] of uint8 pictures; None where there are more than 64."""
    found = unique_rows(images.transpose(0, 1).flatten(1).T.contiguous())
    return floats(found) if len(found) <= MOST_COLOURS else None


def built(plan: Mapping[str, Any]) -> Tokenizer:
    """An empty tokenizer of a `plan`, to be filled with weights."""
    channels, height, width = (int(v) for v in plan["shape"])
    if plan["kind"] == "palette":
        return Palette((channels, height, width), torch.zeros(int(plan["codes"]), channels))
    return ConvVQ((channels, height, width), Tokens(**plan["tokens"]))
