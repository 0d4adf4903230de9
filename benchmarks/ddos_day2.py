# pyright: basic
"""Bar 1: CIC-DDoS2019's records, day 1 to day 2, under actions recomputed on every field.

All are compared at 2 % false alarms on day 2's own benign rows, as the bar's anchors are: an oracle's threshold, which
nobody could have set beforehand. What the threshold of day 1 alone gives is measured beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sparring.attacks.search import ConstrainedSearch
from sparring.data import sources
from sparring.network import ActionSpace, action_space, cicflowmeter_file, read
from sparring.network.actionthreat import Acted, ActionThreat, pack
from sparring.network.detector import Detector, Rounds, StackSize, threshold
from sparring.network.detector.fit import fit_booster, fit_perceptron, fit_trees
from sparring.systems.ddos.adversary import partners
from sparring.systems.ddos.fit import columns, fit_flows

DAY_1 = "2018-12-01"


class Shifted(nn.Module):
    """A model that sees some columns, its threshold moved to 0."""

    def __init__(self, model: nn.Module, seen: Tensor, edge: float) -> None:
        super().__init__()
        self.model, self.seen, self.edge = model, seen, edge

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x[:, self.seen].float()).double() - self.edge


def measured(seed: int, quick: bool) -> dict[str, float]:
    """Recall and false alarms on day 2, clean and robust, of the hardened layers and of three single models."""
    rows = read(sources.locate("cic-ddos2019"), cicflowmeter_file())
    first = np.array([str(t)[:10] == DAY_1 for t in rows.keep["Timestamp"]])
    one, two = rows.take(first), rows.take(~first)
    schema = cicflowmeter_file().schema.fit(one.table)
    x1, y1 = torch.as_tensor(schema.encode(one.table)), torch.as_tensor(one.attack.astype(np.int64))
    x2, y2 = torch.as_tensor(schema.encode(two.table)), torch.as_tensor(two.attack.astype(np.int64))
    met = {row.tobytes() for row in x1.numpy()}
    fresh = torch.as_tensor(np.array([row.tobytes() not in met for row in x2.numpy()]))
    assert two.label is not None
    x2, y2, label = x2[fresh], y2[fresh], two.label[fresh.numpy()]
    g = torch.Generator().manual_seed(seed)
    attacks = (y1 == 1).nonzero().squeeze(1)
    attacks = attacks[torch.randperm(len(attacks), generator=g)[: 600 if quick else 3_000]]
    keep = torch.cat([(y1 == 0).nonzero().squeeze(1), attacks])
    x, y = x1[keep], y1[keep]
    rounds = Rounds(1, 200) if quick else Rounds(3, 1_000)
    space, size, queries = action_space(schema), StackSize(), 60 if quick else 600

    def hardened(actions: Sequence[str]) -> Detector:
        asked = partners(schema, x, y, 16 if quick else 120, actions)
        return fit_flows(schema, x, y, None, partners=asked, rounds=rounds, folds=3 if quick else 5, generator=g)

    bad = (y2 == 1).nonzero().squeeze(1)
    bad = bad[torch.randperm(len(bad), generator=torch.Generator().manual_seed(seed + 1))[: 60 if quick else 600]]
    ours = hardened(space.actions)
    models: dict[str, nn.Module] = {"hardened, day 1's threshold": ours, "hardened": ours.matched(x2[y2 == 0], 0.02)}
    if seed == 0:
        models["window left out"] = hardened(("pad", "stretch", "dummies")).matched(x2[y2 == 0], 0.02)
    seen, weight = columns(schema, "flows"), torch.ones(len(x))
    single = {
        "LightGBM": fit_booster(x[:, seen].float(), y, weight, size, seed),
        "ExtraTrees": fit_trees(x[:, seen].float(), y, weight, size, seed),
        "MLP": fit_perceptron(x[:, seen].float(), y, weight, size, g),
    }
    with torch.no_grad():
        for name, model in single.items():
            models[name] = Shifted(model, seen, threshold(model(x2[y2 == 0][:, seen].float()).double(), 0.02))
    out: dict[str, float] = {}
    for name, model in models.items():
        with torch.no_grad():
            clean = model(x2) > 0
        out[f"{name}: false alarms"] = float(clean[y2 == 0].double().mean())
        out[f"{name}: recall"] = float(clean[y2 == 1].double().mean())
        out[f"{name}: robust"] = robust(model, x2[bad], space, queries, seed)
    unseen = np.array([name in ("Portmap",) for name in label.tolist()]) & (y2.numpy() == 1)
    with torch.no_grad():
        out["hardened: recall on Portmap, a label of day 2 alone"] = float(
            (models["hardened"](x2[torch.as_tensor(unseen)]) > 0).double().mean()
        )
    if seed == 0:
        out["window left out: robust to the window"] = robust(
            models["window left out"], x2[bad], space.only("window"), queries, seed
        )
    return out


def robust(model: nn.Module, x: Tensor, space: ActionSpace, queries: int, seed: int) -> float:
    """Share of attack rows `x` still flagged after the search over all actions together; missed rows are lost."""
    y, attack = torch.ones(len(x), dtype=torch.int64), ConstrainedSearch(queries=queries)
    found = attack(
        Acted(model, space), (pack(x, space), y), ActionThreat(space), generator=torch.Generator().manual_seed(seed)
    )
    return float((~found.success).double().mean())
