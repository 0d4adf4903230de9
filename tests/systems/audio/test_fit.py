import pytest
import torch

from sparring.engine.run import Run
from sparring.systems.audio.fit import EXTRA, Ratings, Size, batches, fit, labelled, payoff
from sparring.systems.audio.methods import erm, flat, reversal, score_bin

SMALL = Size(hidden=16, width=8, dropout=0.0, passes=20, rate=5e-3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ratings(members: int = 2, n: int = 200, axes: int = 1) -> Ratings:
    x = torch.randn(members, n, 6, generator=rng(1))
    y = x[..., :axes] + 0.1 * torch.randn(members, n, axes, generator=rng(2)) + 3
    return Ratings(x, y, torch.randint(3, (members, n), generator=rng(3)), 3)


def test_labels_carry_scores_weights_bins_and_domains():
    clips = ratings()
    labels = labelled(clips, 4)
    assert labels.shape == (2, 200, 1 + EXTRA)
    assert torch.equal(labels[..., 0], clips.y[..., 0])
    assert torch.allclose(labels[..., 1].mean(1), torch.ones(2), atol=1e-5)
    assert torch.equal(labels[..., 2].unique(), torch.arange(4.0))
    assert torch.equal(labels[..., 3].long(), clips.domain)


def test_weights_make_bin_and_domain_independent():
    clips = ratings(1, 600)
    clips.y.add_(clips.domain.unsqueeze(2) * 0.5)
    labels = labelled(clips, 4)[0]
    table = torch.zeros(4, 3).index_put((labels[:, 2].long(), labels[:, 3].long()), labels[:, 1], accumulate=True)
    table = table / table.sum()
    assert torch.allclose(table, table.sum(1, keepdim=True) * table.sum(0, keepdim=True), atol=1e-3)


def test_payoff_takes_labels_by_member_and_flat():
    clips = ratings(axes=2)
    labels, outputs = labelled(clips, 3).transpose(0, 1), torch.randn(200, 2, 2, generator=rng())
    pay = payoff(2, False)
    target, domain = flat(labels)
    assert torch.equal(pay(outputs, labels), pay(outputs, target))
    assert domain.shape == (400,)
    assert torch.allclose(payoff(2, False, weighted=True)(outputs, labels), pay(outputs, labels) * target[:, 2])
    assert torch.equal(score_bin(outputs, target, bins=3).argmax(1), target[:, -1].long())


def test_every_member_sees_its_own_rows_once_a_pass():
    clips = ratings()
    labels = labelled(clips, 4)
    seen = [y[:, 1, 0] for _, y in batches(clips.x, labels, SMALL)(rng())]
    assert sum(map(len, seen)) == 5 * 200
    assert torch.equal(torch.cat(seen[:4]).sort().values, labels[1, :, 0].sort().values)


@pytest.mark.parametrize("gaussian", [False, True])
def test_a_training_learns_on_the_scale_of_the_ratings(tmp_path, gaussian):
    clips = ratings(axes=2)
    size = Size(hidden=16, width=8, dropout=0.0, passes=40, rate=5e-3, gaussian=gaussian)
    fitted = fit(erm(), clips, size, Run(tmp_path / "run", 0, quiet=True), "plain")
    x = torch.randn(50, 6, generator=rng(9))
    assert float((fitted.predict(x) - 3 - x[:, None, :2]).abs().mean()) < 0.3
    covariance = fitted.covariance(x)
    assert (covariance is not None) == gaussian
    if covariance is not None:
        assert torch.linalg.eigvalsh(covariance).min() > 0


def test_members_trained_together_are_as_good_as_trained_alone(tmp_path):
    clips = ratings()
    together = fit(erm(), clips, SMALL, Run(tmp_path / "a", 0, quiet=True), "m")
    one = Ratings(clips.x[:1], clips.y[:1], clips.domain[:1], 3)
    alone = fit(erm(), one, SMALL, Run(tmp_path / "b", 0, quiet=True), "m")
    x = torch.randn(200, 6, generator=rng(9))
    errors = [(f.predict(x)[:, 0, 0] - 3 - x[:, 0]).abs().mean() for f in (together, alone)]
    assert abs(float(errors[0] - errors[1])) < 0.1


def test_the_same_seed_gives_the_same_bits_and_a_finished_training_is_not_repeated(tmp_path):
    clips = ratings()
    runs = [Run(tmp_path / name, 3, quiet=True) for name in "ab"]
    first, second = (fit(reversal(0.3), clips, SMALL, run, "m").predict(clips.x[0]) for run in runs)
    assert torch.equal(first, second)
    lines = runs[0].journal.path.read_bytes()
    assert torch.equal(fit(reversal(0.3), clips, SMALL, runs[0], "m").predict(clips.x[0]), first)
    assert runs[0].journal.path.read_bytes() == lines


def test_frames_are_standardised_over_what_is_no_padding(tmp_path):
    x = torch.randn(1, 30, 5, 40, generator=rng()) * 7 + 2
    x[:, :, -1], x[:, ::2, :, 25:] = 1.0, 0.0
    clips = Ratings(x, torch.randn(1, 30, 1, generator=rng(1)), torch.zeros(1, 30, dtype=torch.long), 1)
    fitted = fit(erm(), clips, Size(hidden=4, width=4, passes=5), Run(tmp_path / "r", 0, quiet=True), "m")
    standard = fitted.model.standard.state_dict()
    assert torch.allclose(standard["mean"][0, :-1, 0], torch.full((4,), 2.0), atol=0.7)
    assert float(standard["mean"][0, -1, 0]) == 0.0
    assert float(standard["deviation"][0, -1, 0]) == 1.0
