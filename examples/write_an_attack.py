"""Write an attack: random restarts without any gradient, the weakest honest baseline there is."""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sparring import PGD, Attack, LInf, ThreatModel
from sparring.attacks.base import Oracle


@dataclass(frozen=True, kw_only=True)
class RandomSearch(Attack):
    """The best of `tries` random members of the threat."""

    tries: int = 50

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        rows = torch.arange(len(x), device=x.device)
        best, highest = x.clone(), torch.full((len(x),), -torch.inf, device=x.device)
        for _ in range(self.tries):
            trial = threat.sample(x[rows], generator=generator)
            value, fallen = oracle.score(trial, y[rows], rows)
            better = value > highest[rows]
            best[rows[better]], highest[rows[better]] = trial[better], value[better].to(highest)
            best[rows[fallen]] = trial[fallen]
            rows = rows[~fallen]  # the active set: a fallen sample costs no further query
            if len(rows) == 0:
                break
        return best


def main() -> None:
    """Compare it with PGD on a plain classifier of digits."""
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

    test, threat = (x[1200:], y[1200:]), LInf(0.15, low=0, high=1)
    for attack in (RandomSearch(), PGD(steps=20)):
        found = attack(model, test, threat, generator=torch.Generator().manual_seed(0))
        passes = (found.queries.forward + found.queries.backward).float().mean()
        print(
            f"{type(attack).__name__:13} accuracy {1 - found.success.float().mean():.3f}, {passes:.1f} passes a sample"
        )


if __name__ == "__main__":
    main()
