"""What a shop does with this system: `sparring search synthesize, inject, align, attack, ask, serve`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparring.errors import BadInput

if TYPE_CHECKING:
    from sparring.language.chat import Chat
    from sparring.systems.search.assistant import Assistant
    from sparring.systems.search.synthesize import Corpus

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""From a shop's catalogue to a search model that knows it and cannot be talked round.

**synthesize** writes training and test data, **inject** teaches a model the products in new blocks, **align** trains it
for the shop's tasks and against an adversary, **attack** lets a red team try, **ask** and **serve** use it.

A catalogue is .csv, .tsv, .jsonl or .parquet with an id, a name, a category and any attributes; `--map` says which
columns are which, e.g. `--map name=title --map category=kind`.
""",
)

ModelArg = Annotated[str, typer.Argument(help="A run folder, a transformers folder or a hub id.", show_default=False)]
Catalogue = Annotated[Path | None, typer.Option(help="The products; a run folder has its own.")]
Map = Annotated[
    list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Which column is what; may repeat.")
]
Data = Annotated[Path, typer.Option("--data", help="The folder that `synthesize` wrote.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", help="A new folder for the result.", show_default=False)]
Steps = Annotated[int, typer.Option(help="Training steps.", min=1)]
Batch = Annotated[int, typer.Option(help="Exchanges per step.", min=1)]
Rate = Annotated[float, typer.Option(help="Learning rate.", min=0)]
Seed = Annotated[int, typer.Option(help="The seed from which all randomness comes.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Facts = Annotated[
    bool | None,
    typer.Option(
        "--facts-in-prompt/--closed-book", help="Give the model the retrieved facts. Default: as it was trained."
    ),
]


@app.command()
def synthesize(
    catalogue: Annotated[Path, typer.Argument(help="The products.", show_default=False)],
    out: Out,
    mapping: Map = None,
    tree: Annotated[Path | None, typer.Option(help="Category tree: CSV child,parent or Best Buy's JSON.")] = None,
    log: Annotated[Path | None, typer.Option(help="Query log: CSV or TSV with columns query and product.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write train.jsonl, test.jsonl and a datasheet: facts, chains, tasks, absent facts, safety pairs.

    Products and question templates are split before anything is written, so that the test stays a test.
    """
    from sparring.systems.search.catalogue import Columns, read_shop
    from sparring.systems.search.store import write_catalogue
    from sparring.systems.search.synthesize import Plan, datasheet, write
    from sparring.systems.search.synthesize import synthesize as written

    _fresh(out)
    shop = read_shop(catalogue, Columns.parse(mapping or []), tree, log)
    corpus = written(shop, Plan(seed=seed))
    write(corpus, out)
    write_catalogue(out / "catalogue.jsonl", shop)
    if as_json:
        train = sum(r.split == "train" for r in corpus.records)
        _print({"train": train, "test": len(corpus.records) - train, "repeated": corpus.repeated, "out": str(out)})
    else:
        typer.echo(datasheet(corpus))


@app.command()
def inject(
    model: ModelArg,
    data: Data,
    out: Out,
    method: Annotated[Literal["expansion", "full", "lora"], typer.Option(help="New blocks, all weights, or LoRA.")]
    = "expansion",
    every: Annotated[int, typer.Option(help="A new block after each so many.", min=1)] = 4,
    replay: Annotated[float, typer.Option(help="Share of old knowledge in the batches.", min=0, max=0.9)] = 0.33,
    steps: Steps = 300,
    batch: Batch = 8,
    rate: Rate = 5e-4,
    seed: Seed = 0,
) -> None:  # fmt: skip
    """Teach a model the shop's products; the result is an ordinary transformers folder.

    Depth expansion starts as exactly the model that was given, and trains the new blocks alone.
    """
    from sparring.engine.run import Run
    from sparring.systems.search.corpusfiles import read
    from sparring.systems.search.inject import inject as injected
    from sparring.systems.search.synthesize import CLOSED
    from sparring.systems.search.training import Tuning

    corpus, chat = read(data), _chat(model)
    _fresh(out)
    told = [r.exchange for r in corpus.of(*CLOSED)]
    other = [r.exchange for r in corpus.of("unknown", "outside", "grounded")]
    with _scratch(out) as folder:
        run = Run(folder, seed)
        grown = injected(chat, told, other, method, Tuning(steps, rate, batch), run, method, every=every, replay=replay)
    grown.save(out)
    _exam(grown, corpus, seed)


@app.command()
def align(
    model: ModelArg,
    data: Data,
    out: Out,
    path: Annotated[
        Literal["plain", "adversarial"], typer.Option(help="Without or with the adversary.")
    ] = "adversarial",
    radius: Annotated[float, typer.Option(help="Shift of the embeddings, in mean token lengths.", min=0.01)] = 1.0,
    steps: Steps = 300,
    batch: Batch = 8,
    rate: Rate = 2e-4,
    seed: Seed = 0,
) -> None:
    """Train for the shop's tasks and its policy, against wrapped requests, shifted embeddings and a red team."""
    from dataclasses import replace

    from sparring.engine.run import Run
    from sparring.systems.search import align as aligning
    from sparring.systems.search.corpusfiles import read
    from sparring.systems.search.training import Tuning

    corpus, chat = read(data), _chat(model)
    _fresh(out)
    chosen = aligning.PLAIN if path == "plain" else replace(aligning.ADVERSARIAL, radius=radius)
    with _scratch(out) as folder:
        tuned = aligning.align(chat, corpus, chosen, Tuning(steps, rate, batch), Run(folder, seed), path)
    tuned.save(out)
    _exam(tuned, corpus, seed)


@app.command()
def attack(
    model: ModelArg,
    data: Data,
    requests: Annotated[int, typer.Option(help="Unsafe requests that are attacked.", min=1)] = 20,
    budget: Annotated[int, typer.Option(help="Proposals per request.", min=1)] = 200,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write one attempt a line as JSONL.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Let an adaptive red team try to get unsafe requests answered."""
    from sparring.files import write_text
    from sparring.systems.search.corpusfiles import read
    from sparring.systems.search.siege import lay
    from sparring.typed import integers

    corpus, chat = read(data), _chat(model)
    asked = [r.prompt for r in corpus.of("unsafe", split="test")][:requests]
    if not asked:
        raise BadInput(f"{data}: holds no unsafe requests to test with")
    found = lay(chat, asked, budget=budget, seed=seed)
    rows = [
        {"probe": request, "prompt": prompt, "passed": not broken, "proposals": spent, "seed": seed}
        for request, prompt, broken, spent in zip(
            asked, found.prompts, integers(found.broken), found.proposals, strict=True
        )
    ]
    if out is not None:
        write_text(out, "".join(json.dumps(row) + "\n" for row in rows))
    if as_json:
        _print({"success": found.success, "requests": len(asked), "budget": budget, "attempts": rows})
        return
    typer.echo(f"{int(found.broken.sum())} of {len(asked)} unsafe requests were answered, {budget} proposals each")
    for row in rows:
        if not row["passed"]:
            typer.echo(f"  {row['probe']}\n    by: {row['prompt']}")


@app.command()
def ask(
    model: ModelArg,
    question: Annotated[str, typer.Argument(help="What a shopper asks.", show_default=False)],
    catalogue: Catalogue = None,
    facts: Facts = None,
    as_json: Json = False,
) -> None:
    """Answer one question, with the facts it rests on or the reason it is refused."""
    reply = _assistant(model, catalogue, facts).ask(question)
    if as_json:
        from sparring.systems.search.assistant import told

        _print({"answer": reply.text, **told(reply)})
        return
    typer.echo(reply.text)
    if reply.supported is False and reply.said:
        typer.echo(f"(the model said {reply.said!r}, which the catalogue does not bear out)")
    for product in reply.products:
        typer.echo(f"  {product.name}: " + ", ".join(f"{a} {v}" for a, v in product.attributes.items()))


@app.command()
def serve(
    model: ModelArg,
    catalogue: Catalogue = None,
    facts: Facts = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    waiting: Annotated[int, typer.Option(help="Requests that may wait; the next one gets 429.", min=1)] = 64,
    seconds: Annotated[float, typer.Option(help="Longest time to an answer, else 504.", min=0.1)] = 30.0,
) -> None:
    """A page with a search box at /, and an OpenAI-compatible API at /v1."""
    try:
        import uvicorn

        from sparring.systems.search.serve import Limits, application
    except ImportError:
        raise BadInput("serving needs fastapi and uvicorn; pip install 'sparring[search]'") from None
    made = application(_assistant(model, catalogue, facts), Limits(waiting, seconds=seconds))
    typer.echo(f"http://{host}:{port}  (page) and http://{host}:{port}/v1  (OpenAI-compatible); Ctrl-C stops")
    uvicorn.run(made, host=host, port=port, log_level="warning")


def _assistant(model: str, catalogue: Path | None, facts: bool | None) -> Assistant:
    from sparring.systems.search.assistant import Assistant
    from sparring.systems.search.store import load

    chat, shop, trained = load(model, catalogue)
    return Assistant(chat, shop, facts_in_prompt=trained if facts is None else facts)


def _chat(model: str) -> Chat:
    from sparring.language.chat import Chat
    from sparring.language.packaged import smollm

    if model == "smollm2":
        return Chat.load(smollm())
    inside = Path(model) / "model"
    return Chat.load(inside if (inside / "config.json").is_file() else model)


def _exam(chat: Chat, corpus: Corpus, seed: int) -> None:
    """Exact match on what was trained and on the held-out templates."""
    from sparring.systems.search.exam import Papers, knowledge

    papers = Papers.of(corpus, seed, most=100)
    for name, right in knowledge(chat, papers).right.items():
        typer.echo(f"{name:32} {float(right.double().mean()):.3f}  ({len(right)} questions)")


def _scratch(out: Path) -> Any:
    import tempfile

    class Folder(tempfile.TemporaryDirectory[str]):
        def __enter__(self) -> Any:
            return Path(super().__enter__())

    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    return Folder(dir=out.absolute().parent, prefix=".sparring.")


def _fresh(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: exists already; choose a new folder with --out")


def _print(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
