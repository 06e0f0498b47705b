"""What the shell prints: aligned tables or JSON on stdout, progress on stderr."""

import json
import sys
import time
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# Without a terminal there is no width to fit: a program that reads the table wants whole cells.
NO_LIMIT = 10_000
QUIET_SECONDS = 5.0


def plain(text: object) -> str:
    """Text that is safe on a terminal: control and direction characters are shown as escapes."""
    return "".join(character if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
                   else character.encode("unicode_escape").decode() for character in str(text))


def token(text: str) -> str:
    """A token in quotes, so that its spaces are seen."""
    return f"'{plain(text)}'"


def print_json(value: Any) -> None:
    """One JSON value; times in ISO format."""
    print(json.dumps(value, indent=2, default=datetime.isoformat))


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]], right: tuple[str, ...] = ()) -> None:
    """An aligned table; columns named in ``right`` hold numbers."""
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=NO_LIMIT, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)


def money(cost: float | None) -> str:
    """US dollars; an unknown price reads so."""
    return "unknown" if cost is None else f"${cost:.4f}" if cost < 1 else f"${cost:.2f}"


class Steps:
    """Progress as ``steps(step, fraction, detail)``: one moving line a step on a terminal, else a line now and then.

    Args:
        quiet: print nothing at all.
    """

    def __init__(self, quiet: bool = False):
        self.quiet, self.step, self.printed = quiet, "", 0.0
        self.bar = None
        if not quiet and sys.stderr.isatty():
            self.bar = Progress(TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.percentage:>3.0f}%"),
                                TextColumn("{task.fields[detail]}"), TimeElapsedColumn(), console=Console(stderr=True))
            self.task = None

    def __enter__(self) -> "Steps":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_error) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, step: str, fraction: float, detail: str = "") -> None:
        if self.quiet:
            return
        fraction, shown = min(max(fraction, 0.0), 1.0), plain(detail)
        new = step != self.step
        self.step = step
        if self.bar:
            if new:
                self.task = self.bar.add_task(plain(step), total=1.0, detail=shown)
            self.bar.update(self.task, completed=fraction, detail=Text(shown).markup)
        elif new or fraction == 1.0 or time.monotonic() - self.printed > QUIET_SECONDS:
            self.printed = time.monotonic()
            print(f"{plain(step)}: {fraction:4.0%} {shown}".rstrip(), file=sys.stderr, flush=True)
