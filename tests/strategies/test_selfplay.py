import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring.game import Game, StepResult
from sparring.proposals import CategoricalProposer, PolicyGradient, Preference
from sparring.schedules import Constant
from sparring.strategies.selfplay import SelfPlay

# What the column player (the adversary) wins: rock, paper, scissors, with rock worth twice as much.
WINS = torch.tensor([[0.0, 1.0, -2.0], [-1.0, 0.0, 1.0], [2.0, -1.0, 0.0]])
EVEN = torch.full((1, 3), 1 / 3).log()


class Mixed(nn.Module):
    """A mixed strategy over three actions, the same for every context."""

    def __init__(self, start: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), 3)


def loss_to(outputs: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
    return (F.softmax(outputs, 1) * WINS[:, move].T).sum(1)


class Plain:
    """The inner strategy: descend the payoff of the batch as played."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def step(self, game, batch, state) -> StepResult:
        self.seen.append(batch[1])
        loss = game.payoff(game.defender(batch[0]), batch[1]).mean()
        state.descend(loss, "defender")
        return StepResult(loss.detach(), {"payoff": float(loss.detach())})


def play(defender, batch, moves):
    outputs = defender(batch[0])
    return torch.stack([loss_to(outputs, moves[:, j]) for j in range(moves.shape[1])], 1)


def respond(batch, move, active):
    return batch[0], torch.where(active, move, batch[1])


def make_game(improver, start=(3.0, 0.0, 0.0), explore=0.0) -> Game:
    proposer = CategoricalProposer(EVEN, play=play, respond=respond, improver=improver, explore=explore)
    return Game(Mixed(list(start)), proposer, loss_to)


def optimizers(game):
    return {
        "defender": torch.optim.SGD(game.defender.parameters(), 0.3),
        "opponent": torch.optim.Adam(game.adversary.parameters(), 0.1),
    }


BATCH = torch.zeros(32, dtype=torch.int64), torch.ones(32, dtype=torch.int64)


def exploitability(law: torch.Tensor) -> float:
    """What a best response wins against the defender's mixed strategy; the game's value is 0."""
    return float((law @ WINS).max())


@pytest.mark.parametrize(
    ("improver", "explore", "pool", "latest"),
    [
        (Preference(temperature=0.1), 0.5, 0, 1.0),
        (Preference(temperature=0.1), 0.5, 50, 0.2),
        (PolicyGradient(temperature=0.3), 0.0, 20, 0.3),
    ],
    ids=["preference", "preference-pool", "policy-gradient-pool"],
)
def test_self_play_makes_the_defender_hard_to_exploit(plain_state, improver, explore, pool, latest):
    torch.set_num_threads(1)
    game = make_game(improver, explore=explore)
    start = exploitability(F.softmax(game.defender.logits.detach(), 0))
    assert start > 0.8
    state = plain_state(
        game,
        lambda g: {
            "defender": torch.optim.SGD(g.defender.parameters(), 0.1),
            "opponent": torch.optim.Adam(g.adversary.parameters(), 0.3 if explore else 0.1),
        },
        total_steps=400,
    )
    strategy = SelfPlay(inner=Plain(), candidates=6, every=2, rounds=5, pool=pool, latest=latest, ramp=Constant(1.0))
    laws = []
    for _ in range(400):
        strategy.step(game, BATCH, state)
        state.step += 1
        laws.append(F.softmax(game.defender.logits.detach(), 0))
    assert exploitability(torch.stack(laws[100:]).mean(0)) < 0.25 * start


def test_phases_and_pool_follow_the_settings(plain_state):
    game = make_game(PolicyGradient(temperature=0.5))
    state = plain_state(game, optimizers)
    strategy = SelfPlay(inner=Plain(), every=3, rounds=2, pool=2)
    for _ in range(7):
        strategy.step(game, BATCH, state)
        state.step += 1
    assert state.descents == (["opponent"] * 2 + ["defender"] * 3) * 2 + ["opponent"] * 2 + ["defender"]
    assert int(state.memory["selfplay.pool.size"]) == 3
    assert {name.split(".")[2] for name in state.memory} == {"size", "0", "1"}
    # Three phases, two slots: the third copy, the present adversary, took the place of the first.
    assert torch.equal(state.memory["selfplay.pool.0.f"], game.adversary.f)
    assert not torch.equal(state.memory["selfplay.pool.1.f"], game.adversary.f)


def test_the_past_plays_with_its_own_weights_and_the_present_comes_back(plain_state):
    game = make_game(PolicyGradient(temperature=0.5))
    state = plain_state(game, optimizers)
    state.step = 1  # no adversary phase in this step
    with torch.no_grad():
        game.adversary.f.copy_(torch.tensor([[50.0, 0.0, 0.0]]))
    state.memory["selfplay.pool.size"] = torch.tensor(1)
    state.memory["selfplay.pool.0.f"] = torch.tensor([[0.0, 0.0, 50.0]])
    state.memory["selfplay.pool.0.log_prior"] = EVEN
    inner = Plain()
    settings = {"inner": inner, "every": 1000, "ramp": Constant(1.0)}
    past = SelfPlay(**settings, latest=0.0).step(game, BATCH, state)
    present = SelfPlay(**settings, latest=1.0).step(game, BATCH, state)
    assert inner.seen[0].tolist() == [2] * 32
    assert inner.seen[1].tolist() == [0] * 32
    assert past.metrics["past_self"] == 1.0
    assert present.metrics["past_self"] == 0.0
    assert game.adversary.f.tolist() == [[50.0, 0.0, 0.0]]


def test_the_ramp_is_the_share_of_samples_that_are_attacked(plain_state):
    game = make_game(PolicyGradient(temperature=0.5))
    state = plain_state(game, optimizers, total_steps=100)
    batch = torch.zeros(4000, dtype=torch.int64), torch.ones(4000, dtype=torch.int64)
    shares = []
    for step in (0, 25, 50, 99):
        state.step = step
        shares.append(SelfPlay(inner=Plain(), every=1000).step(game, batch, state).metrics["attacked"])
    assert shares == pytest.approx([0.0, 0.45, 0.9, 0.9], abs=0.03)


def test_samples_that_are_not_attacked_stay_as_they_are(plain_state):
    game, inner = make_game(PolicyGradient(temperature=0.5)), Plain()
    SelfPlay(inner=inner, ramp=Constant(0.0)).step(game, BATCH, plain_state(game, optimizers))
    assert torch.equal(inner.seen[0], BATCH[1])


def test_a_run_that_goes_on_from_its_memory_is_the_same_run(plain_state):
    def go(state, game, steps):
        for _ in range(steps):
            SelfPlay(inner=Plain(), every=2, pool=3).step(game, BATCH, state)
            state.step += 1

    whole, first = make_game(PolicyGradient(temperature=0.5)), make_game(PolicyGradient(temperature=0.5))
    one, two = plain_state(whole, optimizers), plain_state(first, optimizers)
    go(one, whole, 10)
    go(two, first, 5)
    second = make_game(PolicyGradient(temperature=0.5))
    second.defender.load_state_dict(first.defender.state_dict())
    second.adversary.load_state_dict(first.adversary.state_dict())
    three = plain_state(second, optimizers)
    for name, optimizer in two.optimizers.items():
        three.optimizers[name].load_state_dict(optimizer.state_dict())
    three.memory = {name: value.clone() for name, value in two.memory.items()}
    three.generators, three.step = two.generators, two.step
    go(three, second, 5)
    assert torch.equal(second.defender.logits, whole.defender.logits)
    assert torch.equal(second.adversary.f, whole.adversary.f)


def test_a_proposer_without_gradients_and_with_text_moves_fits(plain_state):
    class Phrases:
        """Universal text moves; learning is remembering the best one."""

        def __init__(self) -> None:
            self.best = "aa"

        def propose(self, context, k, *, generator):
            extra = torch.randint(97, 123, (k - 1, 2), generator=generator)
            return [self.best, *("".join(map(chr, row)) for row in extra.tolist())]

        def score(self, defender, batch, moves):
            return torch.tensor([[float(sum(map(ord, move))) for move in moves]])

        def improve(self, context, moves, utility, state):
            self.best = moves[int(utility[0].argmax())]
            return {"best": float(utility.max())}

        def respond(self, batch, moves, active):
            return batch[0], torch.where(active, ord(moves[0][0]) % 3, batch[1])

        def state_dict(self):
            return {"best": torch.tensor(list(self.best.encode()), dtype=torch.uint8)}

        def load_state_dict(self, state_dict):
            self.best = bytes(state_dict["best"].tolist()).decode()

    game = Game(Mixed([0.0, 0.0, 0.0]), Phrases(), loss_to)
    state = plain_state(game, lambda g: {"defender": torch.optim.SGD(g.defender.parameters(), 0.1)})
    best = []
    for _ in range(20):
        best.append(SelfPlay(inner=Plain(), latest=0.5).step(game, BATCH, state).metrics["best"])
        state.step += 1
    assert best == sorted(best)
    assert best[-1] > best[0]


def test_wrong_settings_and_states_are_named(plain_state):
    with pytest.raises(ValueError, match="pool at least 0"):
        SelfPlay(inner=Plain(), pool=-1)
    with pytest.raises(ValueError, match="probability"):
        SelfPlay(inner=Plain(), latest=1.5)
    game = make_game(PolicyGradient(temperature=0.5))
    game.adversary.state_dict = lambda: {"best": "text"}
    with pytest.raises(TypeError, match="'best' is str"):
        SelfPlay(inner=Plain()).step(game, BATCH, plain_state(game, optimizers))
