"""The certificate against brute force: no certified node may ever flip."""

from dataclasses import replace

import pytest
import torch
from tests.systems.graph.graphs import blocks
from torch import nn

from sparring.systems.graph.attacks.edges import flipped
from sparring.systems.graph.certificate import certify
from sparring.systems.graph.clipflow import EXACT, Accuracy, ClipFlow, Pull, solve
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import Features

FUZZ = 10_000


class Given(nn.Module):
    """A tower that gives what it is told."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, features: Features) -> torch.Tensor:
        extra = features.rows - len(self.logits)
        return torch.cat([self.logits, torch.zeros((extra, self.logits.shape[1]))])


def told(logits: torch.Tensor, pull: Pull) -> ClipFlow:
    model = ClipFlow(1, 1, logits.shape[1], pull)
    model.tower = Given(logits)
    return model.eval()


def scene(seed: int, n: int = 12) -> tuple[ClipFlow, Inputs, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    graph = blocks(n, 3, 0.5, 0.15, seed)
    logits = 2.5 * torch.nn.functional.one_hot(graph.labels, 3) + torch.randn((n, 3), generator=generator)
    pulls = (Pull(0.05, 0.4), Pull(0.02, 0.5), Pull(0.1, 1.5), Pull(0.03, 0.2))
    return told(logits, pulls[seed % 4]), graph.inputs(), generator


def attack(inputs: Inputs, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random flips, and the changes they make at each node."""
    n = inputs.n
    count = int(torch.randint(1, 2 * n, (1,), generator=generator))
    everything = torch.combinations(torch.arange(n)).T
    if int(torch.randint(2, (1,), generator=generator)):  # all at one victim and its rivals
        victim = int(torch.randint(n, (1,), generator=generator))
        everything = everything[:, (everything == victim).any(0)]
    pairs = everything[:, torch.randperm(everything.shape[1], generator=generator)[:count]]
    return pairs, torch.bincount(pairs.reshape(-1), minlength=n)


def test_ten_thousand_random_attacks_flip_no_certified_node() -> None:
    tried = flips = claims = 0
    each = FUZZ // 100
    for seed in range(100):
        model, inputs, generator = scene(seed)
        proof = certify(model, inputs)
        n, every = inputs.n, torch.arange(inputs.n)
        moves = [attack(inputs, generator) for _ in range(each)]
        # All attacked graphs are solved at once, as one graph of many parts.
        edges = torch.cat([flipped(inputs, pairs).edges + k * n for k, (pairs, _) in enumerate(moves)], 1)
        x0, weight = model.anchors(inputs).double().repeat(each, 1), torch.ones(edges.shape[1]).double()
        y, residual = solve(x0, edges, weight, model.pull, Accuracy(1e-8, 20_000))
        assert residual <= 1e-8
        fallen = (y.argmax(1) != proof.predicted.repeat(each)).reshape(each, n)
        for (pairs, changes), down in zip(moves, fallen, strict=True):
            safe = proof.holds(int(changes.max()))
            assert not (safe & down).any()
            assert int((~down).sum()) >= proof.standing(every, pairs.shape[1])
            tried, flips, claims = tried + 1, flips + int(down.sum()), claims + int(safe.sum())
    assert tried == FUZZ
    assert flips > FUZZ // 10  # the attacks bite
    assert claims > FUZZ // 10  # and the certificate claims something


def test_injected_nodes_with_any_features_flip_no_certified_node() -> None:
    for seed in range(60):
        model, inputs, generator = scene(seed)
        proof = certify(model, inputs)
        new = 3
        rows = torch.zeros((new, inputs.features.width))
        targets = torch.randperm(inputs.n, generator=generator)[:9]
        ends = torch.stack([targets, inputs.n + torch.arange(9) % new])
        grown = inputs.injected(rows, ends)
        x0 = torch.cat([model.anchors(inputs), torch.rand((new, 3), generator=generator)]).double()
        y, _ = solve(x0, grown.edges, grown.weight.double(), model.pull, EXACT)
        fallen = y.argmax(1)[: inputs.n] != proof.predicted
        assert not (proof.holds(1) & fallen).any()
        assert int((~fallen).sum()) >= proof.standing(torch.arange(inputs.n), 9, injected=True)


def test_some_attack_reaches_the_bound() -> None:
    """Two cliques at opposite corners, joined by D edges at every node: each coordinate moves by D c / lam."""
    size, c, lam, d = 6, 0.02, 1.0, 3
    logits = torch.cat([torch.tensor([[40.0, -40.0]])] * size + [torch.tensor([[-40.0, 40.0]])] * size)
    graph = blocks(2 * size, 2, 0.0, 0.0)
    model, inputs = told(logits, Pull(c, lam)), graph.inputs()
    shifts = torch.arange(size)
    pairs = torch.stack([shifts.repeat(d), torch.cat([size + (shifts + k) % size for k in range(d)])])
    before, _ = solve(model.anchors(inputs).double(), inputs.edges, inputs.weight.double(), model.pull, EXACT)
    after = flipped(inputs, pairs)
    y, _ = solve(model.anchors(inputs).double(), after.edges, after.weight.double(), model.pull, EXACT)
    assert float((y - before).abs().max()) == pytest.approx(d * c / lam, rel=0.05)


def test_counts_agree_with_holds_and_heavier_edges_prove_less() -> None:
    model, inputs, _ = scene(1)
    proof = certify(model, inputs)
    counts = proof.changes()
    for d in range(1, 6):
        assert torch.equal(counts >= d, proof.holds(d))
    assert (certify(model, inputs, heaviest=2.0).changes() <= counts).all()
    heavy = replace(inputs, weight=2 * inputs.weight)
    assert certify(model, heavy).heaviest == 2.0


def test_negative_weights_are_refused() -> None:
    model, inputs, _ = scene(0)
    with pytest.raises(ValueError, match="at least 0"):
        certify(model, replace(inputs, weight=-inputs.weight))
