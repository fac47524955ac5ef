"""What a run says while it goes on: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
)
from rich.progress import TimeElapsedColumn as Elapsed

Transfer = Callable[[str, int, int], None]

LOG_WIDTH = 120
# The bar must not take time from the run that it shows.
REFRESHES_PER_SECOND = 2


class Display:
    """Lines that stay, and on a terminal a bar below them."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        # A hosted log shows control codes as rubbish, and each refresh as a line.
        self.live = self.console.is_terminal and not os.environ.get("CI")
        if not self.console.is_terminal:
            self.console.width = LOG_WIDTH
        self._progress: Progress | None = None

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print a line that stays; in a log it is never broken."""
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def log(self, text: str) -> None:
        """Print what a part of the program reports on its way."""
        self.line(f"  {text}", style="dim")

    @contextlib.contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something without a measure goes on while the block runs; not in a log."""
        with self.console.status(text) if self.live else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def transfers(self) -> Iterator[Transfer | None]:
        """Yield what shows downloads, called with (name, bytes done, in all); None in a log."""
        if not self.live:
            yield None
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), Elapsed())
        with Progress(*columns, console=self.console, transient=True) as progress:
            tasks: dict[str, TaskID] = {}

            def show(name: str, done: int, total: int) -> None:
                if name not in tasks:
                    tasks[name] = progress.add_task(name)
                progress.update(tasks[name], completed=done, total=total or None)

            yield show

    @contextlib.contextmanager
    def bar(self, total: int) -> Iterator[None]:
        """Show a bar of `total` steps while the block runs; nothing in a log."""
        if not self.live:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
        self._progress = Progress(
            *columns,
            MofNCompleteColumn(),
            Elapsed(),
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )
        with self._progress:
            self._progress.add_task("", total=total)
            try:
                yield
            finally:
                self._progress.stop()
                self._progress = None

    def begin(self, title: str) -> None:
        """Say which step of the bar is under way."""
        if self._progress:
            self._progress.update(self._progress.task_ids[0], description=title)
        else:
            self.line(f"{title} ...")

    def done(self, text: str, style: str | None = None) -> None:
        """Say how a step ended."""
        self.line(text, style=style)
        if self._progress:
            self._progress.advance(self._progress.task_ids[0])
