"""From outcomes to what people read: rows, checks, grids, curves, tables, limits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sparring.engine.run import Run
from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Check, Curve, Figure, Row, Series, Table
from sparring.systems.images.court import Court, Outcome
from sparring.systems.images.players import Player, described
from sparring.systems.images.sheets import evenly, sheet

TITLE = "One-step pictures: a masked-diffusion teacher, distilled, and refined by a critic"
PAPERS = (
    "Soft-Di[M]O: Improving One-Step Discrete Image Generation with Soft Embeddings, ICLR 2026, arXiv 2509.22925",
    "Di[M]O: Distilling Masked Diffusion Models into One-step Generator, ICCV 2025, arXiv 2503.15457",
    "Chang et al., MaskGIT: Masked Generative Image Transformer, CVPR 2022, arXiv 2202.04200",
    "Besnier et al., Halton Scheduler for Masked Generative Image Transformer, ICLR 2025, arXiv 2503.17076",
)
STUDENTS = {"distilled": "baseline", "refined": "hardened", "continued": "Di[M]O continued", "tuned": "tuned"}
"""Stage to the model's name in the scorecard; the baseline is Di[M]O, the hardened model Soft-Di[M]O."""
MEANING = {
    "baseline": "Di[M]O, one step",
    "hardened": "Soft-Di[M]O, one step",
    "Di[M]O continued": "Di[M]O trained on for the CPU-seconds that Soft-Di[M]O took, one step",
    "tuned": "Soft-Di[M]O tuned by a reward, one step",
}
NEW = "combinations not in training"
FID = "latent FID"
SHOWN = 48


def drawn(court: Court, players: Mapping[str, Player], run: Run) -> Figure:
    """The same prompts drawn by every model, beside real pictures and what the tokenizer makes of them."""
    at = list(evenly(min(court.samples, len(court.test)), SHOWN))
    prompts, real = court.test.prompts[at], court.test.images[at]
    panels = {"real": real, "tokenizer alone": court.again(real)}
    panels |= {name: court.pictures(p, prompts, run.seed_for("figure")) for name, p in players.items()}
    words = [" ".join(court.test.words[int(i)] for i in row if int(i)) for row in prompts[:4]]
    caption = f"Prompts of the test, the same in every panel; the first ones: {'; '.join(words)}."
    return sheet(panels, run.figure("grids.png"), "The same prompts, drawn by everybody", caption)


def rows(outcomes: Mapping[str, Outcome], seed: int) -> tuple[Row, ...]:
    """Latent FID, precision, recall, coverage, accuracy, and accuracy on new combinations where there are any."""
    out: list[Row] = []
    for model, found in outcomes.items():
        half = 1.96 * found.spread
        interval = (max(found.latent - half, 0.0), found.latent + half)
        out.append(_row(model, FID, found.latent, interval, len(found.right), seed, higher=False))
    for name in ("precision", "recall", "coverage"):
        for model, found in outcomes.items():
            share = float(getattr(found, name))
            n = found.near
            out.append(_row(model, name, share, statistics.wilson(round(share * n), n), n, seed))
    for model, found in outcomes.items():
        for right, adversary in ((found.right, None), (found.right_new, NEW)):
            if right:
                share = statistics.proportion(right)
                out.append(_row(model, "accuracy", share.value, share.interval, share.n, seed, adversary=adversary))
    for model, found in outcomes.items():
        cost = found.milliseconds["picture"]
        out.append(_row(model, "CPU-ms a picture", cost, (cost, cost), 1, seed, higher=False))
    return tuple(out)


def checks(court: Court, outcomes: Mapping[str, Outcome]) -> tuple[Check, ...]:
    """Can the judge tell anything, does the tokenizer leave room, was there something to distil?"""
    floors, kept, known = court.floors, court.reconstructed(), court.known()
    name = slowest(outcomes)
    one, many = outcomes["teacher, 1 step"].latent, outcomes[name].latent
    return (
        Check(
            model="judge",
            name="the judge knows real pictures",
            passed=known >= 0.8,
            detail=f"it names all of {known:.1%} of the test pictures (at least 80 % is asked for)",
        ),
        Check(
            model="tokenizer",
            name="the tokenizer leaves what counts",
            passed=kept >= 0.9 * court.possible(),
            detail=f"{kept:.1%} of reconstructed test pictures show their prompt, {court.possible():.1%} of real ones; "
            f"their distance to the pictures (rFID) is {floors['rFID']:.3g}, real to real {floors['real to real']:.3g}",
        ),
        Check(
            model="teacher, 1 step",
            name="there is something to distil",
            passed=many <= one / 2,
            detail=f"latent FID is {one:.3g} in one step and {many:.3g} of the {name} (at most half is asked for)",
        ),
    )


def slowest(outcomes: Mapping[str, Outcome]) -> str:
    """The teacher of the most steps."""
    teachers = [name for name in outcomes if name.startswith("teacher")]
    return max(teachers, key=lambda name: int(name.split()[1]))


def curves(run: Run, outcomes: Mapping[str, Outcome], players: Mapping[str, Player]) -> tuple[Curve, ...]:
    """Quality against CPU time, and how critic and student kept each other busy."""
    teacher = [(p.steps, outcomes[n]) for n, p in players.items() if n.startswith("teacher")]
    series = [_points("teacher", [f for _, f in sorted(teacher, key=lambda t: t[0])])]
    series += [_points(name, [outcomes[name]]) for name in STUDENTS.values() if name in outcomes]
    out = [
        Curve(
            title="Quality against cost", x_label="CPU-milliseconds a picture, decoder included", y_label=FID,
            series=tuple(series), log_x=True,
            note="The teacher in " + ", ".join(str(s) for s, _ in sorted(teacher, key=lambda t: t[0]))
            + " steps, each with settings of its own; students in one.",
        )
    ]  # fmt: skip
    critic = [line for line in _journal(run, "refined") if "critic_loss" in line]
    if critic:
        x = tuple(float(line["epoch"]) for line in critic)
        shown = {"critic's loss (chance: 1.386)": "critic_loss", "gap between real and made": "gap",
                 "share of the gradient from critic": "soft_share"}  # fmt: skip
        series = [Series(label=k, x=x, y=tuple(float(li[v]) for li in critic)) for k, v in shown.items()]
        out.append(Curve(title="The critic during refinement", x_label="round", y_label="", series=tuple(series)))
    return tuple(out)


def tables(
    court: Court, players: Mapping[str, Player], outcomes: Mapping[str, Outcome], seconds: Mapping[str, float]
) -> tuple[Table, ...]:
    """All measures side by side, every setting that was tried, what each stage cost."""
    measured = [
        (
            model, players[model].told, f"{o.latent:.3g}", f"{o.raw:.3g}", f"{o.kid:.3g}", f"{o.precision:.3f}",
            f"{o.recall:.3f}", f"{o.density:.3f}", f"{o.coverage:.3f}", f"{o.accuracy:.3f}",
            f"{o.milliseconds['tokens']:.2f}", f"{o.milliseconds['picture']:.2f}",
        )
        for model, o in outcomes.items()
    ]  # fmt: skip
    floors = court.floors
    return (
        Table(
            title="All measures, test",
            columns=("model", "setting", FID, "raw FID", "KID", "precision", "recall", "density", "coverage",
                     "accuracy", "ms tokens", "ms picture"),
            rows=tuple(measured),
            note=f"Features of a classifier of the same kind of pictures, trained here: these distances compare with "
            f"each other and with no published FID. Real to real {floors['real to real']:.3g}, tokenizer alone "
            f"(rFID) {floors['rFID']:.3g}.",
        ),
        Table(
            title="Settings tried on validation",
            columns=("model", "setting", FID),
            rows=tuple(described(players)),
            note="As many tries for each. The test was not looked at.",
        ),
        Table(
            title="Cost of the stages",
            columns=("stage", "CPU-seconds"),
            rows=tuple((name, f"{cost:.0f}") for name, cost in seconds.items()),
        ),
    )  # fmt: skip


def notes(court: Court, outcomes: Mapping[str, Outcome]) -> tuple[str, ...]:
    """What a reader of the figures needs."""
    soft, control, plain = (outcomes[STUDENTS[s]].latent for s in ("refined", "continued", "distilled"))
    teachers = {n: o.latent for n, o in outcomes.items() if n.startswith("teacher")}
    best = min(teachers, key=lambda n: teachers[n])
    slow = slowest(outcomes)
    faster = outcomes[slow].milliseconds["picture"] / outcomes["hardened"].milliseconds["picture"]
    return (
        f"Baseline is {MEANING['baseline']}; hardened is {MEANING['hardened']}; the control is "
        f"{MEANING['Di[M]O continued']}.",
        f"At equal CPU the critic changes latent FID by {soft / control - 1:+.0%} against the control ({soft:.3g} and "
        f"{control:.3g}; Di[M]O before both {plain:.3g}); one seed says little about differences below 10 %.",
        f"The best teacher is {best} with {teachers[best]:.3g}: one step of Soft-Di[M]O reaches "
        f"{soft / teachers[best]:.2f} times that.",
        f"It draws {faster:.1f} times as fast as the {slow}, decoder included.",
        "Intervals speak of the drawn pictures alone, not of another training.",
        "An independent implementation, at a size for two processor cores; no figure here is the papers'.",
    )


def _points(label: str, found: Sequence[Outcome]) -> Series:
    x, y = [o.milliseconds["picture"] for o in found], [o.latent for o in found]
    return Series(
        label=label, x=tuple(x), y=tuple(y),
        low=tuple(max(o.latent - 1.96 * o.spread, 0.0) for o in found),
        high=tuple(o.latent + 1.96 * o.spread for o in found),
    )  # fmt: skip


def _journal(run: Run, name: str) -> list[dict[str, float]]:
    if not run.journal.path.exists():
        return []
    lines = [json.loads(line) for line in run.journal.path.read_text("utf-8").splitlines()]
    return [line for line in lines if line["name"] == name and "epoch" in line]


def _row(
    model: str, metric: str, value: float, interval: tuple[float, float], n: int, seed: int,
    *, adversary: str | None = None, higher: bool = True,
) -> Row:  # fmt: skip
    return Row(
        model=model,
        metric=metric,
        condition="clean" if adversary is None else "adversary",
        adversary=adversary,
        seen=None if adversary is None else False,
        value=value,
        interval=interval,
        n=n,
        seeds=(seed,),
        higher_is_better=higher,
    )
