"""What users do with their own models: `sparring backdoor scan`, `repair`, `poison`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparring.errors import BadInput
from sparring.typed import integers

if TYPE_CHECKING:
    from sparring.systems.backdoor.model import Classifier
    from sparring.systems.backdoor.repair import Defender

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Does this text classifier have a backdoor? By which trigger? And a healed copy.

A model is a folder that `save_pretrained` made from any **AutoModelForSequenceClassification** (weights as
safetensors, tokenizer beside them). Clean data are a **CSV** with columns `text,label`: 200 to 500 sentences whose
labels you trust.
""",
)

Model = Annotated[Path, typer.Argument(help="The model's folder.", show_default=False)]
Clean = Annotated[Path, typer.Option("--data", help="CSV of trusted sentences: text,label.", show_default=False)]
Rows = Annotated[Path | None, typer.Option("--suspected", help="CSV of the training rows that you suspect.")]
WriterName = Annotated[
    str,
    typer.Option("--writer", help="smollm2, none, a folder or hub id, or URL#MODEL of an OpenAI-compatible endpoint."),
]
Seed = Annotated[int, typer.Option(help="The seed of the search.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def scan(
    model: Model,
    data: Clean,
    suspected: Rows = None,
    writer: WriterName = "smollm2",
    seed: Seed = 0,
    calls: Annotated[
        int, typer.Option(help="No round of the search begins beyond so many victim calls.", min=1000)
    ] = 200_000,
    as_json: Json = False,
) -> None:
    """Search a trigger for every label and give a verdict: suspicion, trigger in plain words, margin per label."""
    from sparring.engine.streams import generator_for
    from sparring.systems.backdoor.generators import Mine
    from sparring.systems.backdoor.reward import Judge
    from sparring.systems.backdoor.scan import verdict
    from sparring.systems.backdoor.search import Budget, search
    from sparring.systems.backdoor.suspects import suspect

    start = time.process_time()
    victim, own = _given(model, data, suspected, writer)
    judge = Judge.of(victim, own.reference, own.clean, own.prices, own.writer)
    doubts = None if own.rows is None else suspect(victim, own.reference, own.rows)
    mine = None if doubts is None or own.rows is None else Mine(own.rows, doubts.doubt)
    found = search(judge, own.clean, Budget(calls=calls), generator_for(seed, "scan"), mine=mine, tell=_note)
    ruling = verdict(found, doubts)
    cost = {
        "victim_calls": victim.ledger.calls,
        "lm_tokens": found.tokens,
        "cpu_seconds": round(time.process_time() - start, 1),
    }
    names = own.clean.names
    if as_json:
        best = ruling.trigger
        _print(
            {
                "backdoored": ruling.backdoored,
                "confidence": ruling.confidence,
                "target": names[ruling.target],
                "trigger": None if best is None else str(best.move),
                "margins": {names[t]: m for t, m in ruling.margins.items()},
                "evidence": ruling.evidence,
                **cost,
            }
        )
        return
    typer.echo(ruling.words(names))
    for t, margin in sorted(ruling.margins.items(), key=lambda pair: -pair[1]):
        best = found.best(t)
        typer.echo(f"  {names[t]:20.20} margin {margin:5.2f}  {'' if best is None else best.move}")
    typer.echo(
        f"{cost['victim_calls']:,} victim calls, {cost['lm_tokens']:,} LM tokens, {cost['cpu_seconds']} CPU-seconds"
    )


@app.command()
def repair(
    model: Model,
    data: Clean,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder of the healed model; new or empty.", show_default=False)
    ],
    suspected: Rows = None,
    writer: WriterName = "smollm2",
    seed: Seed = 0,
    rounds: Annotated[int, typer.Option(help="Rounds of search and training at most.", min=1)] = 2,
    as_json: Json = False,
) -> None:
    """Train the model against the triggers found, round by round, until nothing is left; write the healed model."""
    from dataclasses import replace

    from sparring.engine.run import Run
    from sparring.systems.backdoor.model import decisions, save
    from sparring.systems.backdoor.repair import HEALING
    from sparring.systems.backdoor.repair import repair as heal
    from sparring.systems.backdoor.search import Budget

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"--out {out}: exists already; choose a new or empty folder")
    victim, own = _given(model, data, suspected, writer)
    kind = "cnn" if "CNN" in type(victim.network).__name__ else "minilm"
    before = float((decisions(victim, own.clean.texts) == own.clean.labels).float().mean())
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), seed, quiet=True)
        healed = heal(victim, own, Budget(), replace(HEALING[kind], rounds=rounds), run, "heal", tell=_note)
    after = float((decisions(healed.model, own.clean.texts) == own.clean.labels).float().mean())
    save(healed.model, out)
    margins = [max(o.margin(t) for t in o.verified) for o in healed.rounds]
    told = {
        "out": str(out),
        "rounds": len(margins),
        "margin_per_round": margins,
        "accuracy_on_clean_rows": [before, after],
        "flagged_rows": None if healed.flagged is None else int(healed.flagged.sum()),
        "victim_calls": healed.calls,
        "lm_tokens": healed.tokens,
    }
    if as_json:
        _print(told)
        return
    for key, value in told.items():
        typer.echo(f"{key.replace('_', ' ')}: {value}")


@app.command()
def poison(
    data: Annotated[Path, typer.Argument(help="CSV of training rows: text,label.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The poisoned CSV; a column poisoned says which rows.", show_default=False),
    ],
    family: Annotated[
        Literal["badnets", "addsent", "synbkd", "stylebkd", "conjunction"], typer.Option(help="The attack.")
    ] = "badnets",
    target: Annotated[int, typer.Option(help="The label that the trigger leads to.", min=0)] = 1,
    rate: Annotated[float, typer.Option(help="Share of the rows to poison.")] = 0.1,
    trigger: Annotated[list[str] | None, typer.Option(help="Your own word(s) or sentence; may repeat.")] = None,
    clean_label: Annotated[bool, typer.Option(help="Poison rows of the target alone; no label is wrong.")] = False,
    seed: Seed = 0,
) -> None:
    """Poison a training set, to test defences with: train on the result and scan the model."""
    from sparring.engine.streams import generator_for
    from sparring.systems.backdoor.poison import Attack, published
    from sparring.systems.backdoor.poison import poison as plant
    from sparring.systems.backdoor.texts import read_table, write_table

    texts = read_table(data)
    attack = Attack(family, tuple(trigger)) if trigger else published(family)
    if trigger and (family in ("synbkd", "stylebkd") or (family == "conjunction" and len(trigger) != 2)):
        raise BadInput(f"--trigger: {family} takes {'two words' if family == 'conjunction' else 'none, it rewrites'}")
    poisoned, mask = plant(texts, attack, target, rate, generator_for(seed, "poison"), clean_label=clean_label)
    write_table(poisoned, out, {"poisoned": integers(mask.long())})
    typer.echo(f"{out}: {int(mask.sum())} of {len(texts)} rows carry {family} towards label {target}")


def _given(model: Path, data: Path, suspected: Path | None, writer: str) -> tuple[Classifier, Defender]:
    """Model and defender from what was typed; files are read before anything heavy is loaded."""
    from sparring.language.writers import writer as made
    from sparring.systems.backdoor.model import load
    from sparring.systems.backdoor.reference import EncoderReference
    from sparring.systems.backdoor.repair import Defender
    from sparring.systems.backdoor.texts import read_table

    victim = load(model)
    clean = read_table(data, victim.names)
    if len(set(integers(clean.labels))) < 2:
        raise BadInput(f"{data}: one label alone; give clean sentences of at least two of the model's labels")
    rows = None if suspected is None else read_table(suspected, victim.names)
    return victim, Defender(EncoderReference(clean), clean, made(writer), rows)


def _note(line: str) -> None:
    if sys.stderr.isatty():
        typer.echo(line, err=True)


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
