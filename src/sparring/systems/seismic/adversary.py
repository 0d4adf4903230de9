"""The critic: a network that learns to tell observed gathers from simulated ones, and what it gets to see.

Its input gradient at the simulated gather is the adjoint source, in place of a residual. What it sees decides what it
is good for: on raw gathers it behaves like an unsquared L2, with L2's cycle skipping; integrated in time (and in
several bands) its distance is flatter against shifts, as a norm of H^-1 kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.game import Batch, Game, State, StepResult
from sparring.opponents import held, linear
from sparring.systems.seismic.filters import FULL, integrated, lowpass
from sparring.systems.seismic.misfits import Misfit
from sparring.systems.seismic.parameters import conv
from sparring.typed import on_gradient


@dataclass(frozen=True)
class Sight:
    """What the critic is shown of gathers `(n, receivers, samples)`: `(n, bands, receivers', samples')`.

    One channel a band: low-passed at so many Hz, integrated in time if so, divided by three times the root mean
    square of the *observed* gather in that channel, thinned to every `each`-th receiver and `every`-th sample after
    averaging. `noise (shots,)` is the standard deviation of white noise that is added to simulated gathers, anew each
    time, so that its absence does not give them away.
    """

    dt: float
    bands: tuple[float, ...] = (FULL,)
    integrate: bool = True
    every: int = 6
    each: int = 2
    noise: Tensor | None = None
    level: bool = False
    """Give every shot's adjoint source the same norm, 1: needed where the critic's word is added to a misfit's."""

    def __call__(
        self, real: Tensor, fake: Tensor, inputs: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The view of `strategies.Alternating`; `inputs` are the shots' numbers."""
        if self.noise is not None:
            white = torch.randn(fake.shape, generator=generator, device=fake.device, dtype=fake.dtype)
            fake = fake + self.noise[inputs][:, None, None] * white
        if self.level:
            fake = levelled(fake)
        shown = [self._channel(real, fake, band) for band in self.bands]
        return torch.stack([r for r, _ in shown], 1), torch.stack([f for _, f in shown], 1), ()

    def shape(self, receivers: int, samples: int) -> tuple[int, int, int]:
        """Channels, receivers and samples of what is shown."""
        return len(self.bands), receivers // self.each, samples // self.every

    def _channel(self, real: Tensor, fake: Tensor, band: float) -> tuple[Tensor, Tensor]:
        seen = [self._thinned(lowpass(x, band, self.dt)) for x in (real, fake)]
        scale = 3 * seen[0].square().mean((-2, -1), keepdim=True).sqrt() + 1e-12
        return seen[0] / scale, seen[1] / scale

    def _thinned(self, x: Tensor) -> Tensor:
        x = integrated(x, self.dt) if self.integrate else x
        n, receivers, samples = x.shape
        r, t = receivers // self.each, samples // self.every
        x = x[:, : r * self.each, : t * self.every]
        return x.reshape(n, r, self.each, t, self.every).mean((2, 4))


class GatherCritic(nn.Module):
    """`(n, bands, receivers, samples)` to a score `(n,)`, high for observed.

    Blocks of conv 3x3 - max pool 2 - leaky ReLU 0.1 with `width`, 2 `width`, ... channels, then a hidden layer: the
    form of FWIGAN's critic (six blocks from 32 channels, 254 million weights on its gathers) at a thousandth of the
    size.
    """

    def __init__(
        self, shape: tuple[int, int, int], *, generator: torch.Generator, width: int = 12, blocks: int = 4,
        hidden: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        bands, receivers, samples = shape
        if min(receivers, samples) < 16:
            raise BadInput(
                f"the critic would see {receivers} receivers x {samples} samples; it needs 16 x 16: thin less "
                "(critic.every, critic.each) or record more"
            )
        layers: list[nn.Module] = []
        channels = bands
        for k in range(blocks):
            layers += [conv(channels, width * 2**k, 3, generator=generator), nn.MaxPool2d(2), nn.LeakyReLU(0.1)]
            channels, receivers, samples = width * 2**k, receivers // 2, samples // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            linear(channels * receivers * samples, hidden, generator=generator),
            nn.LeakyReLU(0.1),
            linear(hidden, 1, generator=generator),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        return self.head(self.features(x).flatten(1))[:, 0]


class SiameseLens(nn.Module):
    """A small network through which both gathers are compared; 1,130 weights in SiameseFWI, about as many here.

    Saad, Harsuko, Alkhalifah, "SiameseFWI", JGR: Machine Learning and Computation 2024. Its layers are reconstructed
    from the description (the text was not at hand): two 3x3 convolutions around a residual connection.
    """

    def __init__(self, *, generator: torch.Generator, channels: int = 10) -> None:
        super().__init__()
        self.first = conv(1, channels, 3, generator=generator)
        self.second = conv(channels, channels, 3, generator=generator)

    def forward(self, gathers: Tensor) -> Tensor:
        """Latent gathers `(n, channels, receivers, samples)`."""
        x = torch.tanh(self.first(gathers[:, None]))
        return gathers[:, None] + self.second(x)


@dataclass(frozen=True)
class Siamese:
    """The strategy of SiameseFWI: lens and velocity both descend one distance, measured behind the lens.

    No adversary (the lens helps): it stands here because it learns. Players "defender" and "opponent" (the lens).
    """

    misfit: Misfit

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        inputs, real = batch
        fake = game.defender(inputs)
        state.descend(self._distance(game.adversary, fake.detach(), real), "opponent")
        lens = state.unwrap(game.adversary)
        with held(lens):
            loss = self._distance(lens, fake, real)
        state.descend(loss, "defender")
        return StepResult(loss.detach())

    def _distance(self, lens: nn.Module, fake: Tensor, real: Tensor) -> Tensor:
        ours, theirs = lens(fake).flatten(0, 1), lens(real).flatten(0, 1)
        return self.misfit(ours, theirs).mean()


def levelled(gathers: Tensor) -> Tensor:
    """The gathers themselves; on the way back every shot's gradient is divided by its own norm."""
    same = gathers.view_as(gathers)
    if not same.requires_grad:
        return same
    n = len(gathers)

    def level(grad: Tensor) -> Tensor:
        return grad / (n * grad.square().sum((-2, -1), keepdim=True).sqrt() + 1e-20)

    on_gradient(same, level)
    return same
