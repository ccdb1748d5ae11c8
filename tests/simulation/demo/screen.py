"""What the person sees while it runs: live bars in a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from tests.simulation.demo.connected import CONNECTED
from tests.simulation.demo.progress import Pace, Progress

PLAIN_EVERY_S = 3.0
PLAIN_WIDTH = 150
_TITLES = {connected.name: connected.title for connected in CONNECTED}


def open_console() -> Console:
    """Answers with the console; where there is no terminal it is wide enough for the tables."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


class Screen:
    """Says things, and shows progress below them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began = time.monotonic()

    def chapter(self, title: str) -> None:
        """Begins a part of the demo."""
        self.console.print()
        self.console.rule(f"[bold]{title}[/bold] [dim]{self._elapsed()}[/dim]", align="left", style="dim")

    def say(self, text: str) -> None:
        """Says one thing."""
        self.console.print(f"  {text}", soft_wrap=True)

    @contextmanager
    def following(self, *, plain_every_s: float = PLAIN_EVERY_S) -> Iterator[Callable[[Sequence[Progress]], None]]:
        """Yields what shows the latest progress; `plain_every_s` is for where there is no terminal."""
        paces = {connected.name: Pace() for connected in CONNECTED}
        if not self.console.is_terminal:
            yield _PlainLines(self.console, paces, every_s=plain_every_s).show
            return
        with Live(console=self.console, refresh_per_second=8) as live:
            yield lambda found: live.update(_bars(found, paces))

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.0f} s"


class _PlainLines:
    """A line per application when something changed, at most every few seconds."""

    def __init__(self, console: Console, paces: dict[str, Pace], *, every_s: float) -> None:
        self._console = console
        self._paces = paces
        self._every_s = every_s
        self._last: dict[str, str] = {}
        self._next_at = 0.0

    def show(self, found: Sequence[Progress]) -> None:
        """Prints what changed."""
        now = time.monotonic()
        rates = {
            progress.application: self._paces[progress.application].note(progress.done, now=now) for progress in found
        }
        quiet = all(progress.pending == 0 for progress in found)
        if now < self._next_at and not quiet:
            return
        self._next_at = now + self._every_s
        for progress in found:
            counts = f"{progress.done} of {progress.total} done, {progress.pending} pending, {progress.failed} failed"
            counts += f", {progress.held} held" if progress.held else ""
            counts += f", {progress.status}" if progress.status != "Active" else ""
            if self._last.get(progress.application) == counts:
                continue
            self._last[progress.application] = counts
            rate = rates[progress.application]
            more = f", {rate:.1f}/s, {_left(progress, rate)} left" if progress.pending and rate else ""
            self._console.print(f"    {_TITLES[progress.application]}: {counts}{more}")


def _bars(found: Sequence[Progress], paces: dict[str, Pace]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=20)
    table.add_column(width=30)
    for _ in range(6):
        table.add_column(justify="right", no_wrap=True)
    now = time.monotonic()
    for progress in found:
        rate = paces[progress.application].note(progress.done, now=now)
        bar = ProgressBar(
            total=progress.total or None,
            completed=progress.done + progress.held + progress.failed,
            width=30,
            pulse=progress.total == 0,
            complete_style="cyan" if progress.pending else "green",
            finished_style="green",
        )
        status = "" if progress.status == "Active" else f"[red]{progress.status}[/red]"
        table.add_row(
            f"  {_TITLES[progress.application]} {status}",
            bar,
            f"{progress.done}/{progress.total} done" if progress.total else "[dim]reading[/dim]",
            f"[yellow]{progress.pending} pending[/yellow]" if progress.pending else "[dim]0 pending[/dim]",
            f"[red]{progress.failed} failed[/red]" if progress.failed else "[dim]0 failed[/dim]",
            f"[magenta]{progress.held} held[/magenta]" if progress.held else "",
            f"{rate:.1f}/s" if progress.pending and rate else "",
            f"{_left(progress, rate)} left" if progress.pending and rate else "",
        )
    return table


def _left(progress: Progress, rate: float) -> str:
    seconds = round(progress.pending / rate)
    return f"{seconds // 60}:{seconds % 60:02d}"
