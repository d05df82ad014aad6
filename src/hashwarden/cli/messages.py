"""What a scan says on standard error: one line per bad object, and progress where a person watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from hashwarden.serve.scan.pipeline import Progress
from hashwarden.serve.scan.result import Problem
from hashwarden.serve.scan.text import printable, shorten_path

__all__ = ["Messages"]


@final
class Messages:
    """Standard error, with a line of progress under the messages if it is a terminal.

    Parameters
    ----------
    quiet : bool
        Show no progress.

    Attributes
    ----------
    live : bool
        Whether progress is shown.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self.live = sys.stderr.isatty() and not quiet
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Bar(*columns, console=self._console, transient=True, disable=not self.live)
        self._task = self._bar.add_task("starting")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print one line; whatever the text holds, it stays one."""
        self._console.print(Text(f"hashwarden: {printable(text)}"), soft_wrap=True)

    def problem(self, problem: Problem) -> None:
        """Say what could not be judged, and what to do."""
        self.say(problem.line())

    def progress(self, state: Progress) -> None:
        """Show where the reading stands."""
        numbers = f"{state.kernels:,} kernels, {state.code_bytes / 1e6:,.0f} MB of code"
        width = max(self._console.width - len(numbers) - 16, 10)
        name = shorten_path(printable(state.now or state.name), width)
        self._bar.update(self._task, description=Text(f"{numbers}  {name}").markup)
