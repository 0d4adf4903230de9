# pyright: basic
"""The migration pages say what is true: every block runs, and both columns find about the same."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

PAGES = Path(__file__).parents[2] / "docs" / "migrate"
BLOCK = re.compile(r"^```python(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {
    "torchattacks": "torchattacks",
    "foolbox": "foolbox",
    "ART": "art",
    "adv-lib": "adv_lib.attacks",
    "AutoAttack": "pyautoattack",
}


def blocks(page: Path) -> list[tuple[str | None, str]]:
    return [(found["title"], found["code"]) for found in BLOCK.finditer(page.read_text("utf-8"))]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Other libraries' warnings are theirs; the global random state is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchattacks and adv-lib ask for torchvision, of which no attack here uses anything."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, Nothing(name))


class Nothing(ModuleType):
    """A module of which any part may be imported and none may be used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def subject() -> tuple[nn.Module, Tensor, Tensor]:
    """A net of ten classes that is right on all its samples."""
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / p.shape[-1] ** 0.5)
    x = torch.rand(32, 1, 8, 8, generator=generator)
    return model.eval(), x, model(x).argmax(1)


def available(name: str) -> bool:
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def share_standing(model: nn.Module, points: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model.eval()(points).argmax(1) == y).float().mean())


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda p: p.stem)
def test_every_block_runs_and_both_columns_find_the_same(page: Path) -> None:
    model, x, y = subject()
    space: dict[str, Any] = {"model": model, "x": x, "y": y}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    found = blocks(page)
    assert found
    skipped = []
    for title, code in found:
        if title in NEEDS and not available(NEEDS[title]):
            skipped.append(title)
            continue
        exec(compile(code, f"{page.name}", "exec"), space)
        if title != "sparring" or "ours" not in space:
            model.load_state_dict(state)
            continue
        ours = space.pop("ours")
        assert bool(space["result"].success.any())
        if "theirs" in space:
            theirs = torch.as_tensor(space.pop("theirs")).detach()
            assert share_standing(model, ours, y) <= share_standing(model, theirs, y) + 0.07
    if skipped:
        pytest.skip(f"our blocks ran; not installed beside this torch: {', '.join(sorted(set(skipped)))}")


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda p: p.stem)
def test_every_name_in_the_right_column_is_ours(page: Path) -> None:
    import sparring
    import sparring.evaluation.certificates
    import sparring.interop

    ours = set(sparring.__all__) | set(vars(sparring.evaluation.certificates)) | set(vars(sparring.interop))
    ours |= {"radius_curve", "evaluation", "interop", "certificates", "adv_lib", "sparring"}
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != 2 or not re.search(r"`[A-Z]", cells[1]):
            continue
        names = re.findall(r"\b([A-Z][A-Za-z0-9]+)\(", cells[1])
        assert set(names) <= ours, (page.name, line)
