"""The page: what is recorded cannot steer the terminal, and tables fit."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cli.terminal import LONGEST_HEADLINE, Cell, Column, Page, cell_width, cut, headline, safe, safe_json, safe_lines

STEERING = ("Cc", "Zl", "Zp", "Cs")


def written(page: Page) -> str:
    file = page._file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def page(width: int | None = None, *, colour: bool = False) -> Page:
    return Page(io.StringIO(), width=width, colour=colour)


def test_escape_sequences_are_shown_not_obeyed() -> None:
    assert safe("a\x1b[31mred\x1b]0;title\x07\x9b2J") == "a\\x1b[31mred\\x1b]0;title\\x07\\x9b2J"
    assert safe("file\u202egnp.exe") == "file\\u202egnp.exe"
    assert safe("two\nlines\tand\r\n more ") == "two lines and more"
    assert safe_lines("a\r\nb\tc\rd") == ["a", "b   c\\x0dd"]


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    for line in (safe(text), *safe_lines(text)):
        assert [char for char in line if unicodedata.category(char) in STEERING] == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_keeps_the_value(text: str) -> None:
    data = safe_json(json.dumps(text, ensure_ascii=False).encode())
    assert json.loads(data) == text
    assert not set(data) & {"\x9b", "\u2028", "\u202e", "\x7f"}


@given(st.text(), st.integers(1, 40))
def test_a_cut_text_is_no_wider_than_its_column(text: str, width: int) -> None:
    assert cell_width(cut(safe(text), width)) <= max(width, 1)


COLUMNS = (Column("id"), Column("name", shrink_to=6), Column("agent", shrink_to=4, drop=2), Column("cost", "right"), Column("note", drop=1))
ROWS = [
    [Cell("a1"), Cell("summarise the issue"), Cell("planner"), Cell("$0.0001"), Cell("")],
    [Cell("b2"), Cell("日本語", "strong"), Cell(""), Cell("–"), Cell("late", "error")],
]


def table(width: int | None, *, colour: bool = False) -> list[str]:
    on = page(width, colour=colour)
    on.table(COLUMNS, ROWS)
    return written(on).splitlines()


def test_a_table_in_a_pipe_is_aligned_and_whole() -> None:
    assert table(None) == [
        "id  name                 agent       cost  note",
        "a1  summarise the issue  planner  $0.0001",
        "b2  日本語                              –  late",
    ]


def test_a_table_on_a_terminal_shrinks_then_drops() -> None:
    assert table(40) == [
        "id  name          agent       cost  note",
        "a1  summarise t…  planner  $0.0001",
        "b2  日本語                       –  late",
    ]
    assert table(28) == [
        "id  name          cost  note",
        "a1  summaris…  $0.0001",
        "b2  日本語           –  late",
    ]


@pytest.mark.parametrize("width", range(20, 60))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_width(line) for line in table(width)) <= width


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b" not in "".join(table(80))
    assert table(80, colour=True)[2].endswith("\x1b[1;31mlate\x1b[0m")


def test_one_huge_cell_does_not_widen_the_others() -> None:
    on = page()
    on.table((Column("name", shrink_to=8), Column("n")), [[Cell("x" * 100_000), Cell("1")], [Cell("y"), Cell("2")]])
    lines = written(on).splitlines()
    assert lines[1] == "x" * 100_000 + "  1"
    assert len(lines[2]) < 300


def test_markup_is_text() -> None:
    on = page(80, colour=True)
    on.table((Column("name"),), [[Cell(safe("[red]not markup[/red]"))]])
    assert "[red]not markup[/red]" in written(on)


def test_a_headline_is_the_first_line_and_says_that_there_is_more() -> None:
    assert [headline(text) for text in ("", "quota", "quota\n", "\n quota\t exceeded\n====\n", "x\x1b[2J")] == [
        "",
        "quota",
        "quota",
        "quota exceeded …",
        "x\\x1b[2J",
    ]
    assert headline("x" * 1000 + "\nmore") == "x" * (LONGEST_HEADLINE - 1) + "…"
