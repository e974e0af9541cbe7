"""Escaped text, read by a Markdown parser of its own."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasearch.dashboard.markdown import escaped, table

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = "\\`*_{}[]()<>#+-.!|~&:@$^=/\"'0123456789aw \n\t"


def shown(markdown: str) -> str:
    """Return the text of one paragraph without any other element."""
    rendered = PARSER.render(markdown)
    assert rendered.startswith("<p>")
    assert rendered.endswith("</p>\n")
    inner = rendered.removeprefix("<p>").removesuffix("</p>\n")
    assert "<" not in inner
    return html.unescape(inner)


@given(st.text(alphabet=MARKS, min_size=1).filter(str.strip))
def test_text_is_shown_as_it_is(text: str) -> None:
    assert shown(escaped(text)) == " ".join(text.split())


@given(st.text(alphabet=MARKS, min_size=1).filter(str.strip))
def test_a_cell_stays_one_cell(text: str) -> None:
    rendered = PARSER.render(table(("a", "b"), [(escaped(text), "2")]))
    assert (rendered.count("<td"), rendered.count("<tr>")) == (2, 2)


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example", "a@evil.example", "$x^2$"])
def test_what_extensions_of_markdown_would_read_is_broken_up(text: str) -> None:
    assert "\\" in escaped(text)


@pytest.mark.parametrize(
    "text", ["plain10 > plain6 > plain2 (temperature 4, KD weight 0.9): +0.9 points", "a-b/c 1.5%"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


def test_control_characters_are_replaced() -> None:
    assert escaped("a\x1b[31mb\x00") == "a\N{REPLACEMENT CHARACTER}\\[31mb\N{REPLACEMENT CHARACTER}"


def test_a_table_has_a_row_for_each() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --: |\n| 1 | 2 |"
