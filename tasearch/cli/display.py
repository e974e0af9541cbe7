"""Progress on stderr: a live panel on a terminal, plain lines elsewhere, nothing with -q."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tasearch.worker.progress import Display, Silent
from tasearch.worker.snapshot import Snapshot, panel_rows


class PlainLines:
    """One line per finished piece of work, for logs."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Nothing: a log has no use for a redrawn panel."""

    def line(self, text: str) -> None:
        """Print the line."""
        print(text, file=sys.stderr, flush=True)


class LivePanel:
    """A panel that is redrawn in place, with finished work scrolling above it."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def refresh(self, snapshot: Snapshot) -> None:
        """Redraw."""
        table = Table.grid(padding=(0, 2))
        for name, value in panel_rows(snapshot):
            # Text, not markup: study names and messages may hold brackets.
            table.add_row(Text(name, style="bold"), Text(value))
        self._live.update(table)

    def line(self, text: str) -> None:
        """Print the line above the panel."""
        self._live.console.print(Text(text))


@contextmanager
def make_display(*, quiet: bool) -> Iterator[Display]:
    """Give the display that suits stderr, closed at the end of the block."""
    console = Console(stderr=True)
    if quiet:
        yield Silent()
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield LivePanel(live)
    else:
        yield PlainLines()
