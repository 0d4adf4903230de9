import subprocess
import sys

import pytest

from sparring import registry
from sparring.errors import BadInput

NINE = {"ddos", "intrusion", "driving", "audio", "images", "seismic", "search", "backdoor", "graph"}


def test_the_nine_systems_are_listed():
    assert {e.name for e in registry.entries()} >= NINE


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(BadInput, match="intrusion"):
        registry.load("intrusoin")


def test_an_unfinished_system_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "_BUILT_IN", (registry.Entry("draft", "to come", False, ""),))
    with pytest.raises(BadInput, match="'draft' is not built yet"):
        registry.load("draft")


@pytest.mark.parametrize("entry", [e for e in registry.entries() if e.ready], ids=lambda e: e.name)
def test_a_ready_system_loads_under_its_own_name(entry):
    assert registry.load(entry.name).name == entry.name


def test_listing_imports_no_system_and_no_torch():
    code = (
        "import sys; from sparring import registry; registry.entries()\n"
        "print([m for m in sys.modules if m in ('torch', 'pandas') or m.startswith('sparring.systems')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
