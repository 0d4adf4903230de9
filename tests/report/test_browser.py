"""The pages in headless Chromium: no error, no request, no sideways scrolling, and what can be clicked works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.report.browser import MISSING, Browser

from sparring.evaluation.scorecard import Scorecard
from sparring.report import html, leaderboard

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

CARDS = ["intrusion", "unreliable", "minimal", "empty", "crowded", "hostile", "pictured"]
SHOWN = "getComputedStyle(document.body).backgroundColor"
FIRST_PLOT = "document.querySelector('figure[data-plot]')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(params=CARDS)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return html.write(request.getfixturevalue(request.param), tmp_path)


@pytest.fixture
def report(intrusion: Scorecard, tmp_path: Path) -> Path:
    return html.write(intrusion, tmp_path)


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    cards = [(name, request.getfixturevalue(name)) for name in ("unreliable", "intrusion", "crowded", "hostile")]
    return leaderboard.write(cards, tmp_path / "leaderboard.html")


def assert_clean(browser: Browser, page: Path) -> None:
    """No console message, no dialog, no address but the page itself and its own pictures, no sideways scrolling."""
    assert [entry["message"] for entry in browser.log("browser")] == []
    asked = browser.requests()
    assert asked[0] == page.resolve().as_uri()
    assert all(address.startswith("data:image/") for address in asked[1:])
    root = "document.documentElement"
    assert browser.run(f"return {root}.scrollWidth <= {root}.clientWidth")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_every_report_loads_cleanly_and_fits(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.open(page, width=width, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    assert_clean(browser, page)
    assert browser.run("return innerWidth") == width


@pytest.mark.parametrize("width", [360, 1280])
def test_the_leaderboard_loads_cleanly_and_fits(browser: Browser, board: Path, width: int) -> None:
    browser.open(board, width=width)
    assert_clean(browser, board)


def test_a_request_would_be_refused_and_seen(browser: Browser, report: Path) -> None:
    """The check of the check: a page that asks for a file is caught."""
    browser.open(report)
    browser.run("const p = new Image(); p.src = 'http://127.0.0.1:9/x.png'; document.body.append(p);")
    messages = " ".join(entry["message"] for entry in browser.log("browser"))
    assert "Content Security Policy" in messages


def test_the_theme_follows_the_system_and_the_button(browser: Browser, report: Path) -> None:
    browser.open(report, scheme="light")
    browser.run("try { localStorage.clear(); } catch {}")
    browser.open(report, scheme="dark")
    dark = browser.run(f"return {SHOWN}")
    assert dark == "rgb(19, 23, 28)"
    assert browser.run("return document.getElementById('theme').textContent") == "Light theme"
    browser.run("document.getElementById('theme').click()")
    assert browser.run(f"return {SHOWN}") == "rgb(255, 255, 255)"
    assert browser.run("return document.getElementById('theme').textContent") == "Dark theme"
    browser.run("document.getElementById('theme').click()")
    assert browser.run(f"return {SHOWN}") == dark
    browser.run("try { localStorage.clear(); } catch {}")


def test_the_keyboard_reads_a_curve(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run(f"{FIRST_PLOT}.querySelector('.plot').focus()")
    reading = f"return {FIRST_PLOT}.querySelector('.reading').textContent"
    values = f"return [...{FIRST_PLOT}.querySelectorAll('.at')].map((node) => node.textContent)"
    browser.press("ArrowRight")
    assert browser.run(reading) == "ε, share of each feature's range = 0"
    assert browser.run(values) == ["0.752 [0.722, 0.782]", "0.748 [0.723, 0.773]"]
    browser.press("End")
    assert browser.run(reading).endswith("= 0.5")
    browser.press("ArrowLeft")
    assert browser.run(values) == ["0.183 [0.153, 0.213]", "0.742 [0.717, 0.767]"]
    browser.press("Escape")
    assert browser.run(values) == ["", ""]


def test_the_mouse_reads_the_nearest_point(browser: Browser, report: Path) -> None:
    browser.open(report)
    x, y = browser.run(
        f"const plot = {FIRST_PLOT}.querySelector('svg'); plot.scrollIntoView({{behavior: 'instant'}});"
        "const box = plot.getBoundingClientRect(); return [box.left + 0.31 * box.width, box.top + 0.4 * box.height];"
    )
    browser.move(x, y)
    assert browser.run(f"return {FIRST_PLOT}.querySelector('.reading').textContent").endswith("= 0.1")


def test_a_series_can_be_hidden_and_shown(browser: Browser, report: Path) -> None:
    browser.open(report)
    shown = f"return getComputedStyle({FIRST_PLOT}.querySelector('g[data-series]')).display"
    button = f"{FIRST_PLOT}.querySelector('.legend button')"
    assert browser.run(shown) == "inline"
    browser.run(f"{button}.click()")
    assert browser.run(shown) == "none"
    assert browser.run(f"return {button}.getAttribute('aria-pressed')") == "false"
    browser.run(f"{button}.focus()")
    browser.press("Enter")
    assert browser.run(shown) == "inline"


def test_a_report_prints_light_with_everything_open(browser: Browser, report: Path) -> None:
    browser.open(report, width=1018, scheme="dark")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.cdp("Emulation.setEmulatedMedia", media="print")
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), "wider than A4 landscape"
    browser.cdp("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert browser.run("return document.querySelectorAll('details:not([open])').length") == 0
    assert browser.run(f"return {SHOWN}") == "rgb(255, 255, 255)"
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("return document.querySelectorAll('details[open]').length") == 0
    assert browser.run(f"return {SHOWN}") == "rgb(19, 23, 28)"


def test_the_leaderboard_sorts_and_keeps_unranked_runs_last(browser: Browser, board: Path) -> None:
    browser.open(board)
    order = "return [...document.querySelectorAll('table')[0].tBodies[0].rows].map((r) => r.cells[2].textContent)"
    head = "document.querySelectorAll('table')[0].tHead.rows[0].cells"
    before = browser.run(order)
    assert before == ["hardened", "baseline", "baseline", "hardened"]
    for direction, first in (("descending", "hardened"), ("ascending", "baseline")):
        browser.run(f"{head}[3].querySelector('button').click()")
        assert browser.run(f"return {head}[3].getAttribute('aria-sort')") == direction
        rows = browser.run(order)
        assert rows[0] == first
        assert rows[-1] == "hardened"
        assert browser.run("return document.querySelector('table').tBodies[0].rows[3].classList.contains('last')")
    assert browser.run(f"return {head}[0].getAttribute('aria-sort')") == "none"


def test_nothing_of_a_hostile_scorecard_runs(browser: Browser, hostile: Scorecard, tmp_path: Path) -> None:
    browser.open(html.write(hostile, tmp_path))
    assert browser.run("return document.querySelectorAll('script').length") == 2
    assert browser.run("return document.images.length") == 0
    assert [entry["message"] for entry in browser.log("browser")] == []


def test_regions_figures_and_controls_have_names(browser: Browser, report: Path) -> None:
    browser.open(report)
    tree = browser.cdp("Accessibility.getFullAXTree")["nodes"]
    named = {"region", "figure", "button", "img", "link", "heading"}
    for node in tree:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
