"""Markdown that says what it is told to say: names and messages are text, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<|~^$&@]|(?:(?<=www)|(?<=WWW))\.|:(?=\S))")
"""What means something wherever it stands, with the beginnings of web and mail addresses."""
_AT_START = re.compile(r"^(\d*)([-+=#>.)!:;])")
"""What makes a line a heading, a quotation or an item of a list."""


def escaped(text: str) -> str:
    """Return text on one line that Markdown shows as it is: no link, picture, HTML, formula or cell of a table in it.

    Control characters become a placeholder.
    """
    line = " ".join(text.split())
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return _AT_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", printable))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown. The first column is left-aligned, the others right-aligned."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
