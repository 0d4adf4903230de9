"""Write a threat: an attacker who can turn the brightness of a whole picture up or down, and nothing else."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sparring import PGD
from sparring.threats.base import flat, slack


@dataclass(frozen=True)
class Brightness:
    """All of x times one factor in [1 - eps, 1 + eps]."""

    eps: float

    @property
    def radius(self) -> float:
        return self.eps

    def scaled(self, factor: float) -> Self:
        return replace(self, eps=self.eps * factor)

    def _factor(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The least-squares factor that turns x into x_adv, per sample."""
        rows = flat(x)
        return (flat(x_adv) * rows).sum(1) / rows.square().sum(1).clamp_min(1e-12)

    def _times(self, x: Tensor, factor: Tensor) -> Tensor:
        return (flat(x) * factor.clamp(1 - self.eps, 1 + self.eps).unsqueeze(1)).reshape(x.shape)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self._times(x, self._factor(x_adv, x))

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return self._times(x, 1 + self.eps * (2 * torch.rand(len(x), generator=generator).to(x) - 1))

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return (flat(x) * (flat(grad) * flat(x)).sum(1, keepdim=True).sign()).reshape(x.shape)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        off = flat(x_adv - self.project(x_adv, x)).abs().amax(1)
        return torch.where(off > slack(x), off, torch.zeros_like(off)).float()


def main() -> None:
    """Train a plain classifier on digits and turn the light down on it."""
    digits = load_digits()
    x = torch.tensor(digits.data / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[:1200]), y[:1200]).backward()
        optimiser.step()

    test = (x[1200:], y[1200:])
    for eps in (0.0, 0.5, 0.95):
        found = PGD(steps=20)(model, test, Brightness(eps), generator=torch.Generator().manual_seed(0))
        print(f"brightness ± {eps:.0%}: accuracy {1 - found.success.float().mean():.3f}")


if __name__ == "__main__":
    main()
