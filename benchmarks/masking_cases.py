# pyright: basic
"""The models of the masking bench: broken defences around one honest model, and honest models of many kinds.

The task is scikit-learn's digits under L∞ 0.15: a plainly trained network is right on 98 % of the clean images and
on a fifth of the attacked ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sparring.attacks import EOT, PGD, Attack
from sparring.game import Batch
from sparring.objectives import cross_entropy
from sparring.threats.lp import LInf

EPS = 0.15


@dataclass(frozen=True)
class Case:
    """One model of the bench. `behind` is the undefended model, whose adversarial examples transfer.

    With `scores` the checks are given a plain function without a gradient.
    """

    name: str
    model: nn.Module
    broken: bool
    data: Batch
    behind: nn.Module | None = None
    attack: Attack | None = None
    extra: bool = False
    scores: bool = False


def digits(seed: int = 0) -> tuple[Batch, Batch]:
    """Training and test images `(n, 1, 8, 8)` in [0, 1], 1,297 and 500 of them."""
    found = load_digits()
    x = torch.tensor(found.data, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    y = torch.tensor(found.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train, test = order[500:], order[:500]
    return (x[train], y[train]), (x[test], y[test])


def even(data: Batch) -> Batch:
    """The same images with the binary target "is even"."""
    return data[0], (data[1] % 2 == 0).long()


# Networks -------------------------------------------------------------------------------------------------------


def mlp(act: Callable[[], nn.Module], width: int = 128, outputs: int = 10, dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width),
        act(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        act(),
        nn.Dropout(dropout),
        nn.Linear(width, outputs),
    )


def cnn(act: Callable[[], nn.Module], norm: bool = False) -> nn.Module:
    def block(i: int, o: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, 3, stride, 1), *([nn.BatchNorm2d(o)] if norm else []), act()]

    return nn.Sequential(
        *block(1, 16, 1), *block(16, 32, 2), nn.Flatten(), nn.Linear(512, 64), act(), nn.Linear(64, 10)
    )


class OneLogit(nn.Module):
    """A detector: outputs `(n,)`, positive means class 1."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).squeeze(1)


class Scaled(nn.Module):
    """Logits times a constant."""

    def __init__(self, body: nn.Module, factor: float) -> None:
        super().__init__()
        self.body, self.factor = body, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) * self.factor


def train(
    make: Callable[[], nn.Module], data: Batch, *, seed: int, epochs: int, eps: float = 0.0, decay: float = 0.0
) -> nn.Module:
    """Adam on cross entropy; with `eps`, on PGD points with seven steps (Madry et al., 2018)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=decay)
        attack, threat = PGD(steps=7, active_set=False), LInf(eps, 0, 1)
        x, y = data
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=generator).split(128):
                points = x[rows]
                if eps:
                    points = attack.perturb(model, (points, y[rows]), threat, generator=generator)
                optimiser.zero_grad()
                cross_entropy(model(points), y[rows]).mean().backward()
                optimiser.step()
    return model.eval()


# Broken defences ------------------------------------------------------------------------------------------------


class Defended(nn.Module):
    """A model behind something done to its input, and before something done to its output."""

    def __init__(
        self,
        body: nn.Module,
        before: Callable[[Tensor], Tensor] | None,
        after: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.body, self.before, self.after = body, before, after

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(x if self.before is None else self.before(x))
        return out if self.after is None else self.after(out)


def quantised(x: Tensor, levels: int = 8) -> Tensor:
    return (x * (levels - 1)).round() / (levels - 1)


def noisy(x: Tensor, sigma: float = 0.3) -> Tensor:
    return (x + sigma * torch.randn_like(x)).clamp(0, 1)


def median_filtered(x: Tensor) -> Tensor:
    """Outside the graph, as with an image library: a soft 3 × 3 median."""
    a = F.pad(x.detach(), (1, 1, 1, 1), mode="replicate").numpy()
    patches = torch.from_numpy(a).unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    return 0.8 * x.detach() + 0.2 * patches.median(-1).values


def clipped(z: Tensor, most: float = 1.0) -> Tensor:
    """No logit is further than `most` behind the largest: the decision stays, the gradient of a clear one is gone."""
    return (z - z.detach().amax(1, keepdim=True)).clamp_min(-most)


class DeadReLU(nn.Module):
    """The right class is unmoved and no gradient passes: logits that leave through a ReLU far below zero."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        z = self.body(x)
        winner = F.one_hot(z.detach().argmax(1), z.shape[1]).to(z.dtype)
        return winner * 5 + F.relu(z - 1e3)


def rippled(x: Tensor, height: float = 0.02, waves: float = 2000.0) -> Tensor:
    """A shattered gradient: a small ripple whose slope is forty times the identity's."""
    return x + height * torch.sin(waves * x)


def thermometer(x: Tensor, levels: int = 10) -> Tensor:
    """Thermometer code by hard steps, read back as the mean of its bits (Buckman et al., ICLR 2018)."""
    steps = torch.arange(levels, dtype=x.dtype) + 0.5
    return (x.unsqueeze(-1) * levels > steps).to(x.dtype).mean(-1)


class Detached(nn.Module):
    """The decision is computed from a detached copy; an unrelated path carries the gradient."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.decoy = nn.Linear(64, 10)
        with torch.no_grad():
            self.decoy.weight.copy_(torch.randn(10, 64, generator=torch.Generator().manual_seed(5)) * 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.detach()) + self.decoy(x.flatten(1))


class RandomActivation(nn.Module):
    """Hidden units are switched off at random in evaluation too (stochastic activation pruning's idea)."""

    def __init__(self, body: nn.Module, rate: float = 0.3) -> None:
        super().__init__()
        self.body, self.rate = body, rate

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.body.children():
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                x = F.dropout(x, self.rate, training=True)
        return x


class Snap(torch.autograd.Function):
    """Rounds on the way forward; on the way back it gives the gradient's negative."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return (x * 63).round() / 63

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
        return -grad


def straight_through(x: Tensor) -> Tensor:
    """Eight-bit input with a straight-through gradient: an honest model, attacked by BPDA."""
    return x + ((x * 255).round() / 255 - x).detach()


def defences(body: nn.Module, test: Batch) -> Iterator[Case]:
    """Eight that must be flagged."""

    def case(name: str, model: nn.Module) -> Case:
        return Case(name, model.eval(), True, test, behind=body)

    yield case("logits x 10,000", Scaled(body, 1e4))
    yield case("input in 8 levels", Defended(body, quantised))
    yield case("randomised input", Defended(body, noisy))
    yield case("median filter outside the graph", Defended(body, median_filtered))
    yield case("dead ReLU", DeadReLU(body))
    yield case("clipped logits", Defended(body, None, clipped))
    yield case("softmax at temperature 1/100", Defended(body, None, lambda z: F.softmax(z * 100, 1)))
    yield case("shattered gradient", Defended(body, rippled))


def further_defences(body: nn.Module, test: Batch) -> Iterator[Case]:
    """Variants of the same failures, to see that the checks do not fit the eight alone."""

    def case(name: str, model: nn.Module) -> Case:
        return Case(name, model.eval(), True, test, behind=body, extra=True)

    yield case("thermometer code", Defended(body, thermometer))
    yield case("detached, with a decoy gradient", Detached(body))
    yield case("random activations", RandomActivation(body))
    yield case("rounding with a reversed gradient", Defended(body, Snap.apply))
    yield case("logits x 300", Scaled(body, 300.0))
    yield case("logits rounded to tenths", Defended(body, None, lambda z: (10 * z).round() / 10))
    yield case("labels as one-hot outputs", Defended(body, None, lambda z: F.one_hot(z.argmax(1), 10).float()))
    yield case("input in 32 levels", Defended(body, partial(quantised, levels=32)))
    yield case("tiny random noise", Defended(body, partial(noisy, sigma=0.02)))


def honest(data: Batch, test: Batch, *, seed: int, epochs: int) -> Iterator[Case]:
    """Eight that must pass."""

    def fit(make: Callable[[], nn.Module], eps: float = 0.0, on: Batch = data) -> nn.Module:
        return train(make, on, seed=seed + 1, epochs=epochs if eps else 2 * epochs, eps=eps)

    def case(name: str, model: nn.Module, on: Batch = test) -> Case:
        return Case(name, model.eval(), False, on)

    yield case("MLP ReLU", fit(partial(mlp, nn.ReLU)))
    yield case("MLP tanh", fit(partial(mlp, nn.Tanh)))
    yield case("MLP GELU with dropout, PGD-trained", fit(partial(mlp, nn.GELU, dropout=0.2), EPS))
    yield case("CNN ReLU with batch norm", fit(partial(cnn, nn.ReLU, norm=True)))
    yield case("CNN ReLU, PGD-trained", fit(partial(cnn, nn.ReLU), EPS))
    yield case("one logit, PGD-trained", fit(lambda: OneLogit(mlp(nn.ReLU, outputs=1)), EPS, even(data)), even(test))
    yield case("logits x 2", Scaled(fit(partial(mlp, nn.SiLU)), 2.0))
    yield case("logits / 20", Scaled(fit(partial(mlp, nn.LeakyReLU), EPS), 0.05))


def further_honest(data: Batch, test: Batch, *, seed: int, epochs: int) -> Iterator[Case]:
    """Further honest models, to see that the checks do not fit the eight alone."""

    def fit(make: Callable[[], nn.Module], eps: float = 0.0, on: Batch = data, decay: float = 0.0) -> nn.Module:
        return train(make, on, seed=seed + 1, epochs=epochs if eps else 2 * epochs, eps=eps, decay=decay)

    def case(name: str, model: nn.Module, on: Batch = test, attack: Attack | None = None) -> Case:
        return Case(name, model.eval(), False, on, attack=attack, extra=True)

    hard = fit(partial(cnn, nn.ReLU), EPS)
    yield case(
        "one logit, plainly trained",
        fit(lambda: OneLogit(mlp(nn.Tanh, outputs=1)), 0.0, even(data)),
        even(test),
    )
    yield case("two classes", fit(partial(mlp, nn.ReLU, outputs=2), 0.0, even(data)), even(test))
    yield case("linear", fit(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10))))
    yield case("linear, PGD-trained", fit(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), EPS))
    yield case("CNN tanh, PGD-trained at twice the radius", fit(partial(cnn, nn.Tanh), 2 * EPS))
    yield case("narrow MLP, weight decay", fit(partial(mlp, nn.ReLU, width=16), 0.0, decay=1e-3))
    yield case("sigmoid MLP", fit(partial(mlp, nn.Sigmoid)))
    yield case("softplus CNN, PGD-trained", fit(partial(cnn, nn.Softplus), EPS))
    yield case("probabilities as log-softmax", Defended(hard, None, lambda z: F.log_softmax(z, 1)))
    yield case("8-bit input, straight-through", Defended(hard, straight_through))
    yield case("random noise, EOT", Defended(hard, partial(noisy, sigma=0.05)), attack=EOT(attack=PGD(), draws=10))


# Scores alone ---------------------------------------------------------------------------------------------------


class ScoresAlone(nn.Module):
    """What a remote detector gives: the outputs of a model, cut off from its gradient; called as a plain function."""

    def __init__(self, body: nn.Module, answer: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.body, self.answer = body, answer

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            out = self.body(x)
        return out if self.answer is None else self.answer(out)


def answers_without_scores(body: nn.Module, detector: nn.Module, test: Batch) -> Iterator[Case]:
    """Models that give an adversary nothing to search by, examined through their answers alone: must be flagged."""

    def case(name: str, model: nn.Module, on: Batch, behind: nn.Module) -> Case:
        return Case(name, model.eval(), True, on, behind=behind, extra=True, scores=True)

    parity = even(test)
    yield case("labels as one-hot answers", ScoresAlone(body, lambda z: F.one_hot(z.argmax(1), 10).float()), test, body)
    yield case("saturated softmax", ScoresAlone(body, lambda z: F.softmax(1e4 * z, 1)), test, body)
    yield case("sign of the score", ScoresAlone(detector, torch.sign), parity, detector)
    yield case("clamped score", ScoresAlone(detector, lambda z: (1e3 * z).clamp(-1, 1)), parity, detector)


def honest_scores(cases: Sequence[Case]) -> Iterator[Case]:
    """The honest models again, by their scores alone: must pass."""
    for case in cases:
        if case.attack is None:
            yield replace(case, name=f"{case.name}, by scores", model=ScoresAlone(case.model).eval(), scores=True)
