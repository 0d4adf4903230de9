"""Weights from elsewhere, folders in the hub's convention, and the estimator."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from sparring import LInf, Standard, assess
from sparring.errors import BadInput
from sparring.evaluation.scorecard import Scorecard
from sparring.interop import from_pretrained, load_weights, push_to_hub, save_pretrained
from sparring.own import adversaries_for


def build(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_weights_of_the_usual_checkpoints(tmp_path: Path, wrap: Any, prefix: str) -> None:
    model = build()
    state = {prefix + k: v for k, v in model.state_dict().items()}
    torch.save(wrap(state), tmp_path / "m.pt")
    assert same(load_weights(build(), tmp_path / "m.pt"), model)
    safetensors.torch.save_file(state, tmp_path / "m.safetensors")
    assert same(load_weights(build(), tmp_path / "m.safetensors"), model)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def test_nothing_in_a_checkpoint_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.pt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    torch.save({"state_dict": Evil()}, "evil2.pt")
    torch.save({"a": 1}, "number.pt")
    torch.save([1], "list.pt")
    Path("noise.pth").write_bytes(b"\x80\x02noise")
    safetensors.torch.save_file({"0.weight": torch.ones(2)}, "other.safetensors")
    for name, match in [
        ("evil.pt", "not a file of weights"),
        ("evil2.pt", "not a file of weights"),
        ("number.pt", "no tensor"),
        ("list.pt", "no state dict"),
        ("noise.pth", "not a file|damaged"),
        ("absent.pt", "cannot be read"),
        ("other.safetensors", "architecture"),
    ]:
        with pytest.raises(BadInput, match=match):
            load_weights(build(), name)
    assert not Path("executed").exists()


@pytest.fixture(scope="module")
def card() -> Scorecard:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(20, 3, generator=g), torch.arange(20) % 2
    threat = LInf(0.1, 0, 1)
    return assess({"mine": build()}, (x, y), threat, adversaries=adversaries_for(threat)[:1], radii=())


def test_a_folder_in_the_hub_s_convention(tmp_path: Path, card: Scorecard) -> None:
    model = build(5)
    folder = save_pretrained(model, tmp_path / "m", config={"width": 5}, scorecard=card, license="mit")
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "scorecard.json",
    ]
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlicense: mit\n")
    assert "LInf" in text
    assert same(from_pretrained(build, folder), model)
    (folder / "config.json").write_text(json.dumps({"depth": 2}))
    with pytest.raises(BadInput, match="does not fit"):
        from_pretrained(build, folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(BadInput, match="arguments"):
        from_pretrained(build, folder)
    (folder / "config.json").unlink()
    with pytest.raises(BadInput, match=r"config\.json cannot be read"):
        from_pretrained(build, folder)


def test_the_hub_is_asked_for_what_the_folder_holds(
    tmp_path: Path, card: Scorecard, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []

    class HfApi:
        def __init__(self, token: str | None = None) -> None: ...

        def create_repo(self, name: str, **options: Any) -> None:
            calls.append((name, options))

        def upload_folder(self, **options: Any) -> None:
            calls.append(("upload", options))

    model = build()
    hub = ModuleType("huggingface_hub")
    hub.HfApi = HfApi  # type: ignore[attr-defined]
    hub.snapshot_download = lambda name, **options: str(tmp_path / "m")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    bare = save_pretrained(model, tmp_path / "bare")
    with pytest.raises(BadInput, match=r"lacks README\.md"):
        push_to_hub(bare, "me/mine")
    folder = save_pretrained(model, tmp_path / "m", scorecard=card)
    assert push_to_hub(folder, "me/mine", private=True) == "https://huggingface.co/me/mine"
    assert calls[0] == ("me/mine", {"private": True, "exist_ok": True})
    assert "scorecard.json" in calls[1][1]["allow_patterns"]
    assert same(from_pretrained(build, "me/mine"), model)
    with pytest.raises(BadInput, match="OWNER/NAME"):
        from_pretrained(build, "nowhere")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadInput, match=r"sparring\[hub\]"):
        from_pretrained(build, "me/mine")


def test_the_estimator_follows_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.base")
    from sparring.interop.estimator import RobustClassifier

    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(0.25, 0.08, (60, 2)), rng.normal(0.75, 0.08, (60, 2))])
    y = np.repeat(["no", "yes"], 60)
    made = RobustClassifier(threat=LInf(0.05), strategy=Standard(), epochs=15, batch_size=16, random_state=0)
    found = sklearn.clone(made).fit(x, y)
    assert found.score(x, y) > 0.95
    assert np.array_equal(sklearn.clone(made).fit(x, y).predict(x), found.predict(x))
    assert found.predict_proba(x).shape == (120, 2)
    assert np.allclose(found.predict_proba(x).sum(1), 1)
    assert found.decision_function(x).shape == (120,)
    threat = LInf(0.05)
    scores = found.assess(x, y, adversaries=adversaries_for(threat)[:1], radii=())
    assert scores.rows[0].value > 0.95
    with pytest.raises(ValueError, match="one class"):
        made.fit(x, ["no"] * 120)
    with pytest.raises(ValueError, match="never saw"):
        found.assess(x, ["maybe"] * 120)
