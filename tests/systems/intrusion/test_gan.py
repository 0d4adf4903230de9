"""The generator learns to evade a detector that trusts a free field, and never leaves the threat."""

from __future__ import annotations

import pytest
import torch

from sparring.network import nslkdd_schema, sender
from sparring.systems.intrusion.gan import Forged, GanTraining, fit_generator


@pytest.fixture(scope="module")
def world():
    """NSL-KDD rows that differ in `count` alone: attacks 400 and more, benign below 50."""
    schema, g = nslkdd_schema(), torch.Generator().manual_seed(0)
    n = 200
    rows = {name: torch.zeros(n).numpy() for name in schema.names}
    rows |= {name: [schema[name].categories[0]] * n for name in ("protocol_type", "service", "flag")}
    rows["service"] = ["http"] * n
    count = torch.cat([torch.randint(400, 500, (100,), generator=g), torch.randint(1, 50, (100,), generator=g)])
    rows |= {"count": count.numpy(), "srv_count": count.numpy(), "same_srv_rate": torch.ones(n).numpy()}
    x = torch.from_numpy(schema.encode(rows))
    return schema, x[:100], x[100:]


def test_generator_evades_within_the_threat(world):
    schema, malicious, benign = world
    threat, column = sender(schema), schema.slices["count"].start
    training = GanTraining(steps=80, critic_steps=2, batch=64, hidden=32)

    def model(x):
        return 10 * (x[:, column] - 0.3)

    before = torch.get_rng_state()
    forger = fit_generator(model, malicious, benign, threat, training, generator=torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())
    batch = (malicious, torch.ones(100, dtype=torch.long))
    result = Forged(forger=forger)(model, batch, threat, generator=torch.Generator().manual_seed(2))
    assert (model(malicious) > 0).all()
    assert result.success.double().mean() > 0.9
    assert (threat.violation(result.x_adv, malicious) == 0).all()
    assert int(result.queries.forward.sum()) == 0


def test_a_narrow_threat_leaves_no_room(world):
    schema, malicious, benign = world
    threat, column = sender(schema, eps=0.1), schema.slices["count"].start

    def model(x):
        return 10 * (x[:, column] - 0.3)

    forger = fit_generator(
        model, malicious, benign, threat, GanTraining(steps=5), generator=torch.Generator().manual_seed(1)
    )
    batch = (malicious, torch.ones(100, dtype=torch.long))
    result = Forged(forger=forger)(model, batch, threat, generator=torch.Generator().manual_seed(2))
    assert not result.success.any()
