"""The report's picture: attack success of every model, one group an attack."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from sparring.errors import BadInput
from sparring.evaluation import statistics
from sparring.evaluation.scorecard import Figure
from sparring.files import write_bytes
from sparring.report.plots import COLOURS
from sparring.systems.backdoor.tell import Bout, share


def bars(bouts: Sequence[Bout], path: Path) -> Figure:
    """Success before and after repair, with the clean model's floor as a line across each group."""
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise BadInput("figures need matplotlib; pip install 'sparring[text]'") from None
    models = [m for m in dict.fromkeys(m for b in bouts for m in b.hit) if m != "clean model"]
    drawn: Any = Canvas(figsize=(1.2 + 1.9 * len(bouts), 3.6), layout="constrained")
    axes = drawn.add_subplot()
    width = 0.8 / len(models)
    for i, model in enumerate(models):
        for k, bout in enumerate(bouts):
            if model in bout.hit:
                est = statistics.proportion(bout.hit[model].numpy())
                at = k + (i - (len(models) - 1) / 2) * width
                error = [[max(0.0, est.value - est.interval[0])], [max(0.0, est.interval[1] - est.value)]]
                axes.bar(
                    at,
                    est.value,
                    width,
                    color=COLOURS[i % len(COLOURS)],
                    label=model if k == 0 else None,
                    yerr=error,
                    error_kw={"linewidth": 0.8, "ecolor": "#333333"},
                )
    for k, bout in enumerate(bouts):
        floor = share(bout.hit["clean model"])
        axes.plot(
            [k - 0.45, k + 0.45],
            [floor, floor],
            color="#111111",
            linestyle="--",
            linewidth=1.2,
            label="clean model (floor)" if k == 0 else None,
        )
    axes.set_xticks(range(len(bouts)), [b.family for b in bouts])
    axes.set(ylabel="attack success", ylim=(0, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    stream = BytesIO()
    drawn.savefig(stream, format="png", dpi=150, metadata={"Software": None})
    write_bytes(path, stream.getvalue())
    return Figure(
        title="Attack success before and after repair",
        path=f"figures/{path.name}",
        caption="Share of test texts of other labels that the trigger sends to the target; 95 % intervals. "
        "The dashed line is what a clean model does with the same texts.",
    )
