from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report.cards import HOSTILE

from sparring.errors import BadInput
from sparring.evaluation.scorecard import Figure, Scorecard
from sparring.report import html, page, summary

CARDS = ["intrusion", "unreliable", "minimal", "empty", "crowded", "hostile"]
VOID = {"meta", "link", "img", "br", "rect", "line", "path"}


class Outline(HTMLParser):
    """Elements, attributes and visible text of a page; fails on tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            self.scripts.append(data)
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def scorecard(request: pytest.FixtureRequest) -> Scorecard:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("scorecard", CARDS, indirect=True)
def test_a_report_is_one_small_well_formed_page_that_names_no_other_file(scorecard: Scorecard, tmp_path: Path) -> None:
    path = html.write(scorecard, tmp_path)
    assert path == tmp_path / "report.html"
    assert path.stat().st_size < 500_000
    outline = Outline(path.read_text("utf-8"))
    for tag, attributes in outline.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name)
            if value is not None:
                assert value.startswith(("data:", "#")) or tag == "a", (tag, value)
    assert "url(" not in page._file("style.css")


def test_the_report_says_what_was_asked_found_and_how_to_repeat_it(intrusion: Scorecard, tmp_path: Path) -> None:
    words = Outline(html.render(intrusion, tmp_path)).words
    for expected in (
        summary.question(intrusion), summary.finding(intrusion), "upper bound (no flags)", intrusion.command,
        "held out",
        "LInf(eps=0.3)",
        "transfer", "≤ 0.742 [0.715, 0.769]", "≥ 0.717 [0.689, 0.745]", "4,211 + 100", "packets sent",
        "4 of 8 fields changed",
        "benign (0.31) (turned)", "6 of 6 checks", "embedded", "9f" * 32, "2.13.0+cpu", "capgd",
        "23 November 2026, 21:40 UTC",
        "2 min 51 s",
    ):  # fmt: skip
        assert expected in words, expected
    assert words.count("(turned)") == 1, "another score of the same verdict has not turned"


def test_an_example_that_lists_changed_fields_alone_counts_none(intrusion: Scorecard, tmp_path: Path) -> None:
    example = intrusion.examples[0]
    moved = tuple(c for c in example.changes if c.before != c.after)
    card = intrusion.model_copy(update={"examples": (example.model_copy(update={"changes": moved}),)})
    words = Outline(html.render(card, tmp_path)).words
    assert "Fields that changed" in words
    assert f"{len(moved)} of {len(moved)} fields changed" not in words


def test_an_unreliable_result_prints_flags_instead_of_figures(unreliable: Scorecard, tmp_path: Path) -> None:
    text = html.render(unreliable, tmp_path)
    before, _, after = text.partition("Every measured row")
    assert "This evaluation is unreliable" in before
    assert "black box beats white box" in before
    for row in unreliable.rows:
        if row.model == "hardened" and row.condition == "adversary":
            assert f"{row.value:.3f} <span" not in before
            assert f'"num">{row.value:.3f}<' in after
    assert after.count("✗ unreliable") == 6


def test_figures_of_a_reliable_model_are_kept_beside_an_unreliable_one(unreliable: Scorecard, tmp_path: Path) -> None:
    assert "≤ 0.183 [0.159, 0.207]" in Outline(html.render(unreliable, tmp_path)).words


def test_nothing_of_the_scorecard_becomes_markup(hostile: Scorecard, tmp_path: Path) -> None:
    text = html.render(hostile, tmp_path)
    outline = Outline(text)
    assert [tag for tag, _ in outline.elements if tag in {"img", "a"} and tag == "img"] == []
    assert "\x1b" not in text
    assert "\u202e" not in text
    scripts = [attributes for tag, attributes in outline.elements if tag == "script"]
    assert len(scripts) == 2
    assert scripts[1] == {"type": "application/json"}
    assert not any("alert(1)" in script for script in outline.scripts)
    assert all(a.get("href", "").startswith(("#", "http://evil.example")) for t, a in outline.elements if t == "a")  # type: ignore[union-attr]
    assert summary.plain(HOSTILE) in outline.words


def test_the_policy_admits_the_own_script_and_style_and_nothing_else(hostile: Scorecard, tmp_path: Path) -> None:
    text = html.render(hostile, tmp_path)
    policy = next(a["content"] for t, a in Outline(text).elements if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.S)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_headings_descend_one_level_at_a_time_and_anchors_are_met(intrusion: Scorecard, tmp_path: Path) -> None:
    elements = Outline(html.render(intrusion, tmp_path)).elements
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for t, a in elements if t == "a" and (a["href"] or "").startswith("#")}  # type: ignore[index]
    assert targets <= set(ids)
    tables = sum(tag == "table" for tag, _ in elements)
    assert tables > 8


def test_pictures_are_set_inline(pictured: Scorecard, tmp_path: Path) -> None:
    outline = Outline(html.render(pictured, tmp_path))
    sources = [a["src"] or "" for tag, a in outline.elements if tag == "img"]
    assert [s.split(",")[0] for s in sources] == ["data:image/png;base64", "data:image/svg+xml;base64"]
    assert base64.b64decode(sources[0].split(",")[1]) == (tmp_path / "figures" / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("path", "mend"),
    [("figures/none.png", "restore it"), ("../outside.png", "put it inside"), ("notes.txt", "PNG nor an SVG")],
)
def test_a_figure_that_cannot_be_shown_is_bad_input(intrusion: Scorecard, tmp_path: Path, path: str, mend: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "outside.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no picture")
    card = intrusion.model_copy(update={"figures": (Figure(title="ROC", path=path),)})
    with pytest.raises(BadInput, match=mend) as error:
        html.write(card, folder)
    assert "figure 'ROC'" in str(error.value)
    assert not (folder / "report.html").exists()


def test_rendering_twice_gives_the_same_bytes(intrusion: Scorecard, tmp_path: Path) -> None:
    assert html.render(intrusion, tmp_path) == html.render(intrusion, tmp_path)


def test_papers_become_links_and_all_else_is_escaped() -> None:
    text = str(page.link("A <b> & B, arXiv 2603.10413v2 (https://example.org/x?a=1&b=2), javascript:alert(1)."))
    assert '<a href="https://arxiv.org/abs/2603.10413v2" rel="noreferrer">arXiv 2603.10413v2</a>' in text
    assert '<a href="https://example.org/x?a=1&amp;b=2" rel="noreferrer">' in text
    assert text.startswith("A &lt;b&gt; &amp; B, ")
    assert text.count("<a ") == 2


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-11-23T23:40:07+02:00", "23 November 2026, 21:40 UTC"),
        ("2026-01-02T03:04:05Z", "2 January 2026, 03:04 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_times_are_shown_in_utc(created: str, shown: str) -> None:
    assert page.moment(created) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(41.6, "42 s"), (171.4, "2 min 51 s"), (7500.0, "2 h 05 min")])
def test_durations(seconds: float, shown: str) -> None:
    assert page.duration(seconds) == shown


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1, 2])
def test_contrast_is_at_least_4_5_for_text_and_3_for_lines_in_both_themes(theme: int) -> None:
    """WCAG 2.2, success criteria 1.4.3 and 1.4.11."""
    blocks = re.findall(r"color-scheme: (?:light|dark);(.*?)\}", page._file("style.css"), re.S)
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", blocks[theme]))
    for ink in ("ink", "soft", "link", "bad", "good", "warn"):
        for ground in ("page", "panel"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for name in ("good", "bad", "warn"):
        assert _contrast(colours[name], colours[f"{name}-bg"]) >= 4.5, name
    assert _contrast(colours["ink"], colours["mark"]) >= 4.5
    for i in range(8):
        assert _contrast(colours[f"s{i}"], colours["page"]) >= 3, i


def test_templates_are_part_of_the_package() -> None:
    names = {p.name for p in (Path(html.__file__).parent / "templates").iterdir()}
    assert {"report.html.j2", "leaderboard.html.j2", "style.css", "theme.js", "report.js", "leaderboard.js"} <= names
