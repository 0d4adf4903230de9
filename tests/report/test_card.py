from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sparring.evaluation.scorecard import Scorecard
from sparring.report import card


def front(text: str) -> tuple[dict[str, Any], str]:
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_metadata_is_what_the_hub_reads(intrusion: Scorecard) -> None:
    metadata, _ = front(card.render(intrusion, license="apache-2.0"))
    assert metadata["license"] == "apache-2.0"
    assert metadata["library_name"] == "sparring"
    assert "intrusion" in metadata["tags"]
    (index,) = metadata["model-index"]
    results = {r["metrics"][0]["name"]: r["metrics"][0]["value"] for r in index["results"]}
    assert results["recall at 3 % FPR, clean"] == 0.748
    assert results["recall at 3 % FPR, strongest adversary tried (free box of TM-B, held out)"] == 0.726
    assert results["recall at 3 % FPR, certified (everything the attacker controls)"] == 0.717
    for result in index["results"]:
        assert result["task"]["type"]
        assert result["dataset"] == {"type": "generated-flows-held-out-days", "name": "generated flows, held-out days"}


def test_the_card_tells_threat_figures_flags_data_use_and_limits(intrusion: Scorecard) -> None:
    _, body = front(card.render(intrusion))
    assert "| constrained APGD | LInf(eps=0.3) | 0.3 | adaptive | seen in training | 101 + 100 |" in body
    assert "| free box of TM-B | held out | 1,000 | ≤ 0.000 \\[0.000, 0.000\\] | ≤ 0.726 \\[0.698, 0.754\\] |" in body
    headings = [line[3:] for line in body.splitlines() if line.startswith("## ")]
    assert headings == [
        "Model", "Threat model", "Figures", "Flags and checks", "Data", "Intended use", "Limits",
        "How to repeat it", "Papers",
    ]  # fmt: skip
    assert "6 of 6 checks of the evaluation passed" in body
    assert "upper bounds: a stronger adversary may leave less" in body
    assert intrusion.command in body


def test_an_unreliable_model_has_no_robust_figure_anywhere(unreliable: Scorecard) -> None:
    text = card.render(unreliable)
    metadata, body = front(text)
    names = [r["metrics"][0]["name"] for r in metadata["model-index"][0]["results"]]
    assert all(name.endswith("clean") for name in names)
    assert "0.726" not in text
    assert "0.717" not in text
    assert "no robust figure of this model may be quoted" in body
    assert "failed: hardened, zero gradients: 981 of 1,000 gradients are zero" in body


def test_hostile_text_stays_text(hostile: Scorecard) -> None:
    metadata, body = front(card.render(hostile))
    assert metadata["library_name"] == "sparring"
    outside = "".join(part for i, part in enumerate(body.split("```")) if i % 2 == 0)
    assert "<script" not in outside.replace("\\<", "")
    assert "[x](" not in outside.replace("\\]", "")
    assert "\x1b" not in body
    lines = [line for line in outside.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {7, 6}


def test_a_fence_is_longer_than_any_inside(minimal: Scorecard) -> None:
    text = card.render(minimal.model_copy(update={"command": "echo ````\n# not a heading"}))
    assert "`````bash\necho ````\n# not a heading\n`````" in text


@pytest.mark.parametrize("name", ["minimal", "empty", "crowded"])
def test_every_scorecard_makes_a_card(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = card.write(request.getfixturevalue(name), tmp_path)
    assert path.name == "MODEL_CARD.md"
    metadata, body = front(path.read_text("utf-8"))
    assert "sparring" in metadata["tags"]
    assert "\n\n\n" not in body
