"""The detector: layers that each spend a share of one false-alarm budget, joined into one logit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.evaluation.statistics import beta_cdf
from sparring.network.detector.forest import Forest
from sparring.network.detector.layers import Autoencoder, Perceptron, Stack, View
from sparring.typed import integers, numbers, unique, unique_counts

_KNOTS = 256
_CHUNK = 1024  # rows at a time: what the layers compute then stays in the processor's cache


class Tail(nn.Module):
    """How rare a score is on benign traffic: score `(n,)` to `-log P(benign score >= score)`, float64.

    Piecewise linear through knots that are benign scores, exact on them and within a few percent of the
    probability between them, down to the five highest scores; linear beyond, so that it is strictly increasing
    and saturates nowhere.
    """

    score: Tensor
    surprise: Tensor

    def __init__(self, knots: int) -> None:
        super().__init__()
        self.register_buffer("score", torch.arange(knots, dtype=torch.float64))
        self.register_buffer("surprise", torch.arange(knots, dtype=torch.float64))

    @classmethod
    def fit(cls, benign: Tensor) -> Tail:
        """From scores of benign rows that the layer was not trained on, `(n,)`, at least two different ones."""
        ordered = benign.double().sort().values
        values, counts = unique_counts(ordered)
        if len(values) < 2:
            raise ValueError("a tail needs benign rows with at least two different scores")
        above = counts.flip(0).cumsum(0).flip(0)  # rows at or above each value
        wanted = torch.logspace(0, math.log10(5 / len(ordered)), _KNOTS, dtype=torch.float64) * len(ordered)
        first = torch.searchsorted(-above.double(), -wanted)  # the first value that is rarer than each wanted one
        picked = unique(torch.cat([first, first - 1]).clamp(0, len(values) - 1))
        if len(picked) < 2:
            picked = torch.tensor([0, len(values) - 1])
        knots, rare = values[picked], -torch.log(above[picked] / len(ordered))
        # Beyond the last knot the tail goes on as steeply as it rose over its upper half.
        middle = len(knots) // 2 if len(knots) > 2 else 0
        slope = (rare[-1] - rare[middle]) / (knots[-1] - knots[middle])
        tail = cls(len(knots) + 1)
        tail.score.copy_(torch.cat([knots, knots[-1:] + 1]))
        tail.surprise.copy_(torch.cat([rare, rare[-1:] + slope]))
        return tail

    def forward(self, score: Tensor) -> Tensor:
        score = score.double()
        at = torch.searchsorted(self.score, score.detach().contiguous()).clamp(1, len(self.score) - 1)
        (x0, x1), (y0, y1) = ((t[at - 1], t[at]) for t in (self.score, self.surprise))
        return y0 + (score - x0) * ((y1 - y0) / (x1 - x0))

    def check(self) -> None:
        """Raise `BadInput` unless the knots rise."""
        for name in ("score", "surprise"):
            knots = getattr(self, name)
            if not bool(torch.isfinite(knots).all() and (knots.diff() > 0).all()):
                raise BadInput(f"tail: tensor {name!r} does not rise; use the file as it was saved")


@dataclass(frozen=True)
class Explanation:
    """Why a row got its verdict.

    `layer` is the name of the layer with the highest logit; `features` are the columns that carry it, with the
    logit that is lost when the column is set to the benign reference, largest first.
    """

    layer: str
    logit: float
    features: tuple[tuple[str, float], ...]


class Detector(nn.Module):
    """One logit per row, positive = attack: the maximum over layers of `surprise + log(budget)`.

    A layer alarms where benign traffic would score as high with a probability below its `budget`; by the union
    bound the false-alarm rate is at most the sum of the budgets (on traffic like the calibration rows). The
    maximum is the cascade "layer 2 re-examines what layer 1 calls benign" written as one score, so an attacker
    who lowers it has beaten every layer.

    A layer with a finite `ceiling` c raises alarms like any other, but ranks them lower: its positive logits z
    become c z / (1 + z), strictly increasing and below c. An operator who needs fewer alarms then loses those of
    a layer that the attacker can see through before those of a layer that it cannot touch. `offset` is taken off
    the logit, see `matched`.
    """

    budget: Tensor
    ceiling: Tensor
    offset: Tensor
    reference: Tensor

    def __init__(
        self,
        layers: Mapping[str, View],
        tails: Sequence[Tail],
        budget: Sequence[float],
        reference: Tensor,
        ceiling: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.tails = nn.ModuleList(tails)
        self.register_buffer("budget", torch.tensor(budget, dtype=torch.float64))
        self.register_buffer("ceiling", torch.tensor(ceiling or [math.inf] * len(budget), dtype=torch.float64))
        self.register_buffer("offset", torch.zeros((), dtype=torch.float64))
        self.register_buffer("reference", reference.double())

    @property
    def names(self) -> tuple[str, ...]:
        """Layer names, in order."""
        return tuple(self.layers)

    def layer_logits(self, x: Tensor) -> Tensor:
        """Every layer's logit `(n, layers)`, float64; positive where the layer alone would alarm."""
        pairs = list(zip(self.layers.values(), self.tails, strict=True))
        parts = [torch.stack([tail(layer(rows)) for layer, tail in pairs], dim=1) for rows in torch.split(x, _CHUNK)]
        z = torch.cat(parts) + self.budget.log()
        ranked = torch.where(torch.isfinite(self.ceiling), self.ceiling.clamp(max=1e9) * z / (1 + z.clamp_min(0)), z)
        return torch.where(z > 0, ranked, z) - self.offset

    def forward(self, x: Tensor) -> Tensor:
        return self.layer_logits(x).amax(1)

    def certified(self, x: Tensor, fixed: Tensor) -> Tensor:
        """A lower bound `(n,)` of the logit of every row that agrees with `x` on the columns `fixed`.

        The maximum over the layers that see nothing else: the attacker cannot move these. Positive means that the
        row is called an attack whatever the attacker does with the other columns; -inf where no layer is blind.
        """
        logits = self.layer_logits(x)
        blind = [bool(torch.isin(cast(View, layer).columns, fixed).all()) for layer in self.layers.values()]
        return logits.masked_fill(~torch.tensor(blind, device=x.device), -math.inf).amax(1)

    def only(self, *names: str) -> Detector:
        """The detector with these layers alone, each with the budget it has (they share the modules)."""
        keep = [i for i, name in enumerate(self.names) if name in names]
        if len(keep) != len(names):
            raise ValueError(f"the layers are {', '.join(self.names)}; got {', '.join(names)}")
        return self._with(keep, self.budget[keep])

    def spend(self, *budget: float) -> Detector:
        """The detector with other false-alarm budgets, one a layer (they share the modules)."""
        if len(budget) != len(self.names) or not all(0 < b <= 1 for b in budget):
            raise ValueError(f"give {len(self.names)} budgets in (0, 1], got {budget}")
        return self._with(range(len(budget)), torch.tensor(budget))

    def _with(self, keep: Sequence[int], budget: Tensor) -> Detector:
        pairs, tails = list(self.layers.items()), list(self.tails)
        layers = {pairs[i][0]: cast(View, pairs[i][1]) for i in keep}
        ceiling = numbers(self.ceiling[list(keep)])
        chosen = [cast(Tail, tails[i]) for i in keep]
        other = Detector(layers, chosen, numbers(budget), self.reference, ceiling)
        other.offset.copy_(self.offset)
        return other.eval()

    @torch.no_grad()
    def matched(self, benign: Tensor, rate: float) -> Detector:
        """The detector with the threshold at which at most the share `rate` of the `benign` rows alarms.

        On held-out training rows this is calibration. On test rows it is an oracle: it compares detectors at equal
        false alarms, and no one could have set such a threshold beforehand.
        """
        moved = self._with(range(len(self.names)), self.budget)
        moved.offset.add_(threshold(self(benign), rate))
        return moved

    @torch.no_grad()
    def explain(self, x: Tensor, groups: Mapping[str, Sequence[int]], top: int = 3) -> list[Explanation]:
        """The deciding layer and top features of each row; `groups` maps feature names to their columns."""
        logits = self.layer_logits(x)
        deciding = logits.argmax(1)
        # Every row once for each group, with that group at the reference: few large calls instead of many small ones.
        usual = torch.zeros(len(groups), x.shape[1], dtype=torch.bool, device=x.device)
        for g, columns in enumerate(groups.values()):
            usual[g, list(columns)] = True
        size, parts = max(_CHUNK // max(len(groups), 1), 1), list[Tensor]()
        for at in range(0, len(x), size):
            rows, layer = x[at : at + size], deciding[at : at + size].unsqueeze(1)
            changed = torch.where(usual[None], self.reference.to(x.dtype), rows[:, None]).flatten(0, 1)
            other = self.layer_logits(changed).reshape(len(rows), len(groups), -1)
            loss = logits[at : at + size].unsqueeze(1).sub(other)
            parts.append(loss.gather(2, layer.unsqueeze(1).expand(-1, len(groups), 1)).squeeze(2))
        lost = torch.cat(parts)
        names, out = list(groups), list[Explanation]()
        for row in range(len(x)):
            best = lost[row].topk(min(top, len(names)))
            named = tuple((names[i], v) for v, i in zip(numbers(best.values), integers(best.indices), strict=True))
            index = int(deciding[row])
            out.append(Explanation(self.names[index], float(logits[row, index]), tuple(f for f in named if f[1] > 0)))
        return out

    def describe(self) -> dict[str, Any]:
        """The architecture as data: what `build` needs beside the tensors."""
        return {
            "width": len(self.reference),
            "layers": {name: _describe(cast(View, layer)) for name, layer in self.layers.items()},
            "knots": [len(cast(Tail, tail).score) for tail in self.tails],
        }

    @classmethod
    def build(cls, meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Detector:
        """The detector of `describe()` and `state_dict()`, checked. Raises `BadInput` for anything else."""
        try:
            width, layers = int(meta["width"]), {str(n): _blank(d) for n, d in meta["layers"].items()}
            tails = [Tail(int(knots)) for knots in meta["knots"]]
            model = cls(layers, tails, [1.0] * len(tails), torch.zeros(width, dtype=torch.float64))
            model.load_state_dict(dict(tensors))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(f"this is not a stored intrusion detector ({reason}); save the model again") from error
        for part in model.modules():
            if isinstance(part, Forest | Tail):
                part.check()
            elif isinstance(part, View) and not bool(((part.columns >= 0) & (part.columns < width)).all()):
                raise BadInput("detector: tensor 'columns' points outside the input; use the file as it was saved")
        sound = bool((model.budget > 0).all() and (model.ceiling > 0).all() and torch.isfinite(model.offset))
        if len(layers) != len(tails) or not sound:
            raise BadInput("detector: every layer needs a tail, a budget and a ceiling; use the file as it was saved")
        return model


def threshold(logits: Tensor, rate: float, confidence: float | None = None) -> float:
    """The lowest threshold that at most the share `rate` of the logits `(n,)` exceeds.

    With `confidence` (0.95: in 95 of 100 such samples) the share in the traffic that they are a sample of, not the one
    in the sample, is at most `rate`. Raises ValueError where so few rows cannot show that.
    """
    allowed = int(rate * len(logits)) if confidence is None else exceedances(len(logits), rate, confidence)
    ordered = logits.sort().values
    # A little above: many benign rows can share one score, and rounding must not let them alarm.
    return float(ordered[len(ordered) - 1 - allowed]) + 1e-9


def exceedances(n: int, rate: float, confidence: float) -> int:
    """How many of `n` benign rows may lie above a threshold that keeps `rate` with this confidence.

    The most whose upper bound after Clopper & Pearson (Biometrika 26, 1934) is at most `rate`.
    """
    if n == 0 or beta_cdf(rate, 1, n) < confidence:
        needed = math.ceil(math.log1p(-confidence) / math.log1p(-rate))
        raise ValueError(f"{n} benign rows cannot show {rate:.1%} with confidence {confidence:.0%}; give {needed:,}")
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if beta_cdf(rate, middle + 1, n - middle) >= confidence else (low, middle)
    return low


def _describe(layer: View) -> dict[str, Any]:
    columns = len(layer.columns)
    if isinstance(layer, Autoencoder):
        return {"kind": "autoencoder", "columns": columns, "hidden": list(layer.hidden), "members": layer.count}
    stack = cast(Stack, layer)
    forests = [[len(f.feature), len(f.root)] for f in (stack.booster, stack.trees)]
    return {"kind": "stack", "columns": columns, "forests": forests, "network": list(stack.network.sizes)}


def _blank(layer: Mapping[str, Any]) -> View:
    columns = torch.zeros(int(layer["columns"]), dtype=torch.int64)
    if layer["kind"] == "autoencoder":
        return Autoencoder(columns, [int(h) for h in layer["hidden"]], int(layer["members"]))
    if layer["kind"] != "stack":
        raise ValueError(f"unknown kind of layer {layer['kind']!r}")
    booster, trees = (Forest(len(columns), int(nodes), int(roots)) for nodes, roots in layer["forests"])
    return Stack(columns, booster, trees, Perceptron([int(size) for size in layer["network"]]))
