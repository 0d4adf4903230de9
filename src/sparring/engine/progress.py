"""Progress on standard error: a bar on a terminal, one line an epoch elsewhere. Standard output stays free."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager


class Progress:
    """A running piece of work; `advance` moves it, `note` reports figures worth a line."""

    def __init__(self, label: str, total: int, *, done: int = 0) -> None:
        self.label, self.total, self.done = label, total, done

    def advance(self, steps: int = 1) -> None:
        """So many more steps are done."""
        self.done += steps

    def note(self, title: str, figures: Mapping[str, float]) -> None:
        """One line, e.g. `hardened epoch 3/10  loss 0.412  accuracy 0.93`."""
        print(_line(self.label, title, figures), file=sys.stderr, flush=True)


class _Silent(Progress):
    def note(self, title: str, figures: Mapping[str, float]) -> None:
        """Says nothing."""


@contextmanager
def progress(label: str, total: int, *, done: int = 0, quiet: bool = False) -> Generator[Progress]:
    """Follow `total` steps of work, `done` of them already behind."""
    if quiet:
        yield _Silent(label, total, done=done)
    elif not sys.stderr.isatty():
        yield Progress(label, total, done=done)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(label, total=total, completed=done)

            class Bar(Progress):
                def advance(self, steps: int = 1) -> None:
                    super().advance(steps)
                    bars.advance(task, steps)

                def note(self, title: str, figures: Mapping[str, float]) -> None:
                    bars.console.print(_line(self.label, title, figures), markup=False, highlight=False)

            yield Bar(label, total, done=done)


def _line(label: str, title: str, figures: Mapping[str, float]) -> str:
    return f"{label} {title}  " + "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
