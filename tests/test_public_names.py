import importlib
import pkgutil
import subprocess
import sys

import pytest

import sparring


def test_every_public_name_loads_and_is_documented():
    for name in sparring.__all__:
        value = getattr(sparring, name)
        assert name.startswith("__") or value.__doc__, f"{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sparring.nonsense


def test_importing_the_package_does_not_import_torch():
    code = "import sys, sparring; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_every_module_imports_and_says_what_it_is():
    for module in pkgutil.walk_packages(sparring.__path__, "sparring."):
        assert (importlib.import_module(module.name).__doc__ or "").strip(), f"{module.name} has no docstring"


def test_the_parts_of_the_package_stay_cheap_to_import():
    """FSDP brings sympy and two CPU-seconds; only a run that shards may pay them."""
    code = "import sys; from sparring import assess, harden; print('torch.distributed.fsdp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
