import pytest
import torch
from tests.systems.graph.graphs import blocks

from sparring.systems.graph.attacks.dice import Dice, RandomFlips
from sparring.systems.graph.attacks.edges import Goal, Relaxed, drawn, flipped, numbered, payoff
from sparring.systems.graph.attacks.features import FeaturePGD
from sparring.systems.graph.attacks.greedy import Greedy
from sparring.systems.graph.attacks.injection import Injection
from sparring.systems.graph.attacks.local import LocalPRBCD, local_budgets
from sparring.systems.graph.attacks.metattack import Metattack
from sparring.systems.graph.attacks.prbcd import PRBCD, onto_budget
from sparring.systems.graph.baselines import GCN
from sparring.systems.graph.graph import Graph


@pytest.fixture(scope="module")
def trained() -> tuple[Graph, GCN]:
    graph = blocks(90)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GCN(graph.features.width, 16, graph.classes, drop=0.2)
        optimiser = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(60):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(graph.inputs())[:30], graph.labels[:30]).backward()
            optimiser.step()
    return graph, model.eval()


def goal(graph: Graph, budget: int) -> Goal:
    nodes = torch.arange(30, graph.n)
    return Goal(nodes, graph.labels[nodes], budget)


ATTACKS = {
    "prbcd": PRBCD("scale-free", 20, 2000),
    "raw": PRBCD("raw", 20, 2000),
    "greedy": Greedy(rounds=6, block=3000),
    "local": LocalPRBCD(PRBCD(steps=10, block=2000, draws=0)),
    "random": RandomFlips(),
}


@pytest.mark.parametrize("name", [*ATTACKS, "dice"])
def test_edge_attacks_stay_within_budget_and_repeat(trained: tuple[Graph, GCN], name: str) -> None:
    graph, model = trained
    attack = ATTACKS.get(name) or Dice(graph.labels)
    aim = goal(graph, 25)
    one, two = (attack(model, graph.inputs(), aim, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape[1] <= 25
    assert len(numbered(one, graph.n).unique()) == one.shape[1]
    assert (one[0] != one[1]).all()


def test_gradients_find_more_than_chance_and_a_larger_budget_more_still(trained: tuple[Graph, GCN]) -> None:
    graph, model = trained
    inputs = graph.inputs()

    def left(name: str, budget: int) -> float:
        aim = goal(graph, budget)
        pairs = ATTACKS[name](model, inputs, aim, torch.Generator().manual_seed(0))
        return aim.accuracy(model, flipped(inputs, pairs))

    clean = goal(graph, 0).accuracy(model, inputs)
    assert clean > 0.85
    assert left("prbcd", 40) < left("prbcd", 12) < clean
    assert left("prbcd", 40) < left("random", 40) - 0.1
    assert left("greedy", 40) < clean - 0.1


def test_local_budgets_hold_at_every_node(trained: tuple[Graph, GCN]) -> None:
    graph, model = trained
    pairs = ATTACKS["local"](model, graph.inputs(), goal(graph, 40), torch.Generator().manual_seed(0))
    changed = torch.bincount(pairs.reshape(-1), minlength=graph.n)
    assert (changed <= local_budgets(graph.inputs())).all()
    assert pairs.shape[1] > 5


def test_flipping_twice_is_nothing_and_relaxing_fully_is_flipping() -> None:
    graph = blocks()
    inputs = graph.inputs()
    numbers = drawn(torch.arange(graph.n), graph.n, 300, torch.Generator().manual_seed(0))
    pairs = torch.stack([numbers // graph.n, numbers % graph.n])
    again = flipped(flipped(inputs, pairs), pairs)
    assert torch.equal(numbered(again.edges, graph.n).sort().values, numbered(inputs.edges, graph.n).sort().values)
    soft = Relaxed.of(inputs, numbers).inputs(inputs, torch.ones(len(numbers)))
    live = soft.weight != 0
    hard = flipped(inputs, pairs)
    assert torch.equal(
        numbered(soft.edges[:, live], graph.n).sort().values, numbered(hard.edges, graph.n).sort().values
    )


def test_the_budget_projection_is_the_nearest_point() -> None:
    share = torch.tensor([2.0, 0.5, 0.4, -1.0])
    found = onto_budget(share, 1.2)
    assert float(found.sum()) == pytest.approx(1.2, abs=1e-4)
    assert found.tolist() == pytest.approx([1.0, 0.15, 0.05, 0.0], abs=1e-4)
    assert torch.equal(onto_budget(torch.tensor([0.2, 0.3]), 5), torch.tensor([0.2, 0.3]))


def test_the_scale_free_payoff_ignores_the_size_of_logits() -> None:
    logits, labels = torch.randn((20, 3), generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    assert torch.allclose(payoff(logits, labels, "scale-free"), payoff(1e4 * logits, labels, "scale-free"), atol=1e-6)


@pytest.mark.parametrize("wiring", ["random", "tdgia", "meta"])
def test_injected_nodes_keep_to_their_budget(trained: tuple[Graph, GCN], wiring: str) -> None:
    graph, model = trained
    inputs, aim = graph.inputs(), goal(graph, 0)
    attack = Injection(wiring, 6, 5, 8, 2)  # type: ignore[arg-type]
    found = attack(model, inputs, aim, torch.Generator().manual_seed(0))
    assert found.n == graph.n + 6
    new = found.edges[:, inputs.edges.shape[1] :]
    assert torch.equal(found.edges[:, : inputs.edges.shape[1]], inputs.edges)
    assert new.shape[1] <= 30
    assert (new[1] >= graph.n).all()
    assert (new[0] < graph.n).all()
    assert torch.bincount(new[1] - graph.n, minlength=6).max() <= 5
    assert found.features.extra is not None
    assert found.features.extra.min() >= 0
    assert found.features.extra.max() <= 1
    assert aim.accuracy(model, found) <= aim.accuracy(model, inputs)


def test_feature_steps_stay_in_the_box_and_hurt(trained: tuple[Graph, GCN]) -> None:
    graph, model = trained
    inputs, aim = graph.inputs(), goal(graph, 0)
    found = FeaturePGD(0.3, 8)(model, inputs, aim, torch.Generator())
    moved = found.features.to_dense() - inputs.features.to_dense()
    assert moved.abs().max() <= 0.3 + 1e-6
    assert moved[:30].abs().max() == 0
    assert aim.accuracy(model, found) < aim.accuracy(model, inputs)


def test_poisoning_looks_at_training_labels_alone(trained: tuple[Graph, GCN]) -> None:
    graph, _ = trained
    attack, train = Metattack(rounds=3, steps=20, block=2000, channels=8), torch.arange(30)
    hidden = graph.labels.clone()
    hidden[30:] = 0
    one = attack(graph.inputs(), graph.labels, train, 20, torch.Generator().manual_seed(0))
    two = attack(graph.inputs(), hidden, train, 20, torch.Generator().manual_seed(0))
    assert torch.equal(one, two)
    assert one.shape[1] == 20
    between = graph.labels[one[0]] != graph.labels[one[1]]
    assert between.double().mean() > 0.5
