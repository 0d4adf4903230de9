"""What the search benchmark trains and measures: one cell a seed, kept in the scratch folder."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cells import Cells
from torch import Tensor

from sparring.engine.config import resolve
from sparring.engine.run import Run
from sparring.engine.runtime import Hardware
from sparring.systems.search import system
from sparring.systems.search.config import Config
from sparring.systems.search.exam import ABSENT, HELD_TEMPLATES, Marks
from sparring.systems.search.experiment import RADII, Bout, bout
from sparring.systems.search.wrappers import HELD_OUT

HELD = tuple(f.name for f in HELD_OUT)
KNOWN = ("old facts", "new facts", *HELD_TEMPLATES)
QUICK = replace(
    resolve(Config, system.presets["quick"]), base_steps=30, inject_steps=10, align_steps=10, requests=2, budget=20
)
SMALL = Config()
SMOLLM = replace(
    resolve(Config, system.presets["paper"]), seeds=1, products=20, inject_steps=80, align_steps=60, rivals=False,
    requests=5, budget=40,
)  # fmt: skip


SOURCES = ("src/sparring/systems/search", "src/sparring/language", "benchmarks/search_cells.py")


def cell(kept: Cells, config: Config, seed: int) -> dict[str, Any]:
    """One seed's figures, read back if this code measured them before; what it trained is not trained again."""

    def measured() -> dict[str, Any]:
        start = time.process_time()
        run = Run.create(
            folder(kept, config, seed), config, seed=seed, system="search", hardware=Hardware(device="cpu"),
            checkpoint_seconds=120,
        )  # fmt: skip
        found = figures(bout(config, run, seed)) | {"cpu_seconds": time.process_time() - start}
        run.close()
        return found

    return kept.get(f"{config.model}-{seed}", measured)


def folder(kept: Cells, config: Config, seed: int) -> Path:
    """Where a seed's run and its models stay."""
    return kept.path(f"{config.model}-{seed}", "run")


def figures(played: Bout) -> dict[str, Any]:
    """All that the bars need, as numbers."""
    models = {**played.injected, **played.aligned}
    return {
        "models": {name: _marks(marks) for name, marks in models.items()},
        "shifted": {
            name: dict(zip(map(str, RADII), map(_share, s), strict=True)) for name, s in played.shifted.items()
        },
        "questions": {name: len(rows) for name, rows in played.papers.knowledge.items()},
        "requests": {name: len(sides["unsafe"]) for name, sides in played.papers.safety.items()},
    }


def _marks(marks: Marks) -> dict[str, Any]:
    out: dict[str, Any] = {"right": {name: _share(right) for name, right in marks.right.items()}}
    out["held-out templates"] = marks.accuracy(*HELD_TEMPLATES)
    out["utility"] = marks.accuracy(*[n for n in marks.right if n not in ABSENT])
    out["made up"] = _share(marks.made_up)
    if marks.verdicts:
        for side in ("unsafe", "benign"):
            out[f"{side} refused"] = {name: _share(marks.refused(side, name)) for name in marks.verdicts}
            out[f"{side} refused"]["held-out"] = _share(marks.refused(side, *HELD))
        answered = [v == "answer" for name in HELD for v in marks.verdicts[name]["benign"]]
        out["benign answered"] = sum(answered) / len(answered)
        out["balance"] = marks.balance
    if marks.general:
        out["xstest refused"] = marks.general.count("refusal") / len(marks.general)
        out["xstest redirected"] = marks.general.count("redirect") / len(marks.general)
    if marks.siege is not None:
        out["red team"] = marks.siege.success
    return out


def _share(which: Tensor) -> float:
    return float(which.double().mean()) if len(which) else 0.0


def serving(run: Path) -> dict[str, Any]:
    """Fifty questions at once to the trained model behind the API, then overload, oversize and malformed requests."""
    import asyncio

    import httpx

    from sparring.systems.search.assistant import Assistant
    from sparring.systems.search.serve import Limits, application
    from sparring.systems.search.store import load

    chat, shop, facts = load(str(run), None)
    made = Assistant(chat, shop, facts_in_prompt=facts)
    names = [p.name for p in shop.products]

    async def post(app: Any, bodies: list[Any]) -> list[int]:
        door, kind = httpx.ASGITransport(app=app), {"Content-Type": "application/json"}
        async with httpx.AsyncClient(transport=door, base_url="http://shop", headers=kind, timeout=120) as one:
            sent = [
                one.post("/v1/chat/completions", content=b if isinstance(b, bytes) else json.dumps(b)) for b in bodies
            ]
            return [r.status_code for r in await asyncio.gather(*sent)]

    def asked(k: int) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": f"what is the colour of {names[k % len(names)]}?"}]}

    fifty = asyncio.run(post(application(made, Limits(seconds=120)), [asked(k) for k in range(50)]))
    crowd = asyncio.run(post(application(made, Limits(waiting=4, seconds=120)), [asked(k) for k in range(20)]))
    strict = application(made, Limits(body=2000))
    large, malformed = asyncio.run(post(strict, [b"x" * 3000, b"{no json"]))
    return {
        "answered": fifty.count(200), "lost": 50 - fifty.count(200), "overload": crowd.count(429),
        "crowd clear": len(set(crowd) - {200, 429}) == 0, "oversize": large, "malformed": malformed,
    }  # fmt: skip


def loads_plainly(run: Path) -> bool:
    """Whether plain `transformers` loads the expanded, aligned model and gives the same logits."""
    import transformers

    from sparring.language.chat import Chat

    library: Any = transformers
    model: Any = library.AutoModelForCausalLM.from_pretrained(run / "model").eval()
    words: Any = library.AutoTokenizer.from_pretrained(run / "model")
    text: Any = words.apply_chat_template(
        [{"role": "user", "content": "hello"}], tokenize=True, add_generation_prompt=True
    )
    ids = torch.tensor([text["input_ids"] if not isinstance(text, list) else text])
    own = Chat.load(run / "model")
    with torch.no_grad():
        return bool(torch.equal(model(input_ids=ids).logits, own.model(input_ids=ids).logits))
