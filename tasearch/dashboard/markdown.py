"""Markdown that says what it is told to say: names and messages are text, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def escaped(text: str) -> str:
    """Return text on one line that Markdown shows as it is: every ASCII punctuation mark with a backslash.

    So there is no link, picture, HTML, formula or cell of a table in it; control characters become a placeholder.
    """
    line = " ".join(text.split())
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return _PUNCTUATION.sub(r"\\\1", printable)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown. The first column is left-aligned, the others right-aligned."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
