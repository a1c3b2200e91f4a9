"""The page that a command writes on: a terminal with colours and a width, or a pipe with neither.

Text that was recorded is not trusted: safe() takes every character out that could steer a terminal, and nothing is read as markup.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TextIO

from rich.cells import cell_len, set_cell_size

_STYLES = {
    "error": "1;31",
    "warning": "33",
    "strong": "1",
    "faint": "2",
    # Kinds: eight hues that colour-blind eyes tell apart on light and dark (after Okabe and Ito), from the palette of 256.
    "llm": "38;5;32",
    "tool": "38;5;172",
    "agent": "38;5;175",
    "decision": "38;5;36",
    "memory": "38;5;74",
    "git": "38;5;130",
    "execution": "38;5;103",
    "gate": "38;5;142",
}
"""Select Graphic Rendition codes. Status ok has none: silence is the good news."""

LONGEST_PADDING = 200
"""In a pipe nothing is cut; a cell longer than this moves the rest of its line instead of widening every other one."""

# C0 and C1 controls, line and paragraph separators, and what reorders text (Trojan Source, CVE-2021-42574).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\r\n\v\f\x85\u2028\u2029]+")


def safe(text: str) -> str:
    """The text on one line, with every control character written as its escape (``\\x1b``)."""
    return _UNSAFE.sub(_escape, _SPACE.sub(" ", text).strip())


def safe_lines(text: str) -> list[str]:
    """The same, keeping line ends and tabs."""
    return [_UNSAFE.sub(_escape, line).expandtabs(4) for line in text.replace("\r\n", "\n").split("\n")]


LONGEST_HEADLINE = 160
"""Characters of an error in a list; clew show has it whole."""


def headline(message: str) -> str:
    """The first line of a message that says something, with an ellipsis when there is more."""
    first, _, rest = message.strip().partition("\n")
    text = safe(first[: 2 * LONGEST_HEADLINE])
    if len(text) > LONGEST_HEADLINE:
        return text[: LONGEST_HEADLINE - 1] + "…"
    return f"{text} …" if rest.strip() else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def safe_json(data: bytes) -> str:
    """JSON text in which what safe() takes out is written as JSON's own escapes: the value stays the same."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", data.decode())


class Column(NamedTuple):
    title: str
    align: Literal["left", "right"] = "left"
    shrink_to: int | None = None
    """Least width when the page is too narrow; None: as wide as its widest cell."""
    drop: int = 0
    """Columns that may be left out on a narrow page, highest first; 0 stays."""


class Cell(NamedTuple):
    text: str
    style: str = ""


class Page:
    """Where a command's answer goes. ``width`` None means that lines are as long as they need to be."""

    def __init__(self, file: TextIO | None = None, *, width: int | None = None, colour: bool = False) -> None:
        self._file = file or sys.stdout
        self.width = width
        self.colour = colour

    @classmethod
    def of(cls, file: TextIO) -> Page:
        """The page for an output stream: what the terminal can do, and NO_COLOR, decide."""
        from rich.console import Console

        console = Console(file=file)
        if not console.is_terminal:
            return cls(file)
        return cls(file, width=console.width, colour=console.color_system is not None and not console.no_color)

    @property
    def is_terminal(self) -> bool:
        return self.width is not None

    def style(self, text: str, style: str) -> str:
        """``text`` in a style of the table above; a kind that has no colour of its own, and no style, leave it as it is."""
        code = _STYLES.get(style) if self.colour and text else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    def line(self, text: str = "") -> None:
        self._file.write(text + "\n")

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._file.write(line + "\n")

    def note(self, text: str) -> None:
        """A remark below an answer."""
        self.line(self.style(text, "faint"))

    def json(self, value: Any) -> None:
        """Any value of ours as JSON; indented on a terminal."""
        import msgspec

        data = msgspec.json.format(msgspec.json.encode(value), indent=2 if self.is_terminal else -1)
        self.line(safe_json(data))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Writes aligned columns, two spaces apart, fitted to the page's width."""
        self.lines(self._table(columns, rows))

    def _table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
        shown, widths = fit(columns, rows, self.width)
        heads = [Cell(columns[index].title, "faint") for index in shown]
        for row in (heads, *([row[index] for index in shown] for row in rows)):
            yield self.row([(cell, widths[index], columns[index].align) for index, cell in zip(shown, row, strict=True)])

    def row(self, cells: Sequence[tuple[Cell, int, str]]) -> str:
        """One line of cells, each in its width; the last one ends where its text does."""
        parts = []
        for cell, width, align in cells:
            text = cell.text if self.width is None else cut(cell.text, width)
            space = " " * (width - cell_width(text))
            styled = self.style(text, cell.style)
            parts.append(space + styled if align == "right" else styled + space)
        return "  ".join(parts).rstrip()


def fit(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> tuple[list[int], dict[int, int]]:
    """Which columns are shown, and how wide: columns without any text go, then the widest that may shrink shrink, then some are dropped."""
    widths = {
        index: max(cell_width(column.title), longest)
        for index, column in enumerate(columns)
        if (longest := max((cell_width(row[index].text) for row in rows), default=0)) or not column.drop
    }
    if width is None:
        return list(widths), {index: min(found, LONGEST_PADDING) for index, found in widths.items()}
    widths = {index: found if columns[index].shrink_to is None else min(found, width) for index, found in widths.items()}

    def excess() -> int:
        return sum(widths.values()) + 2 * (len(widths) - 1) - width

    while excess() > 0:
        shrinking = [index for index in widths if (least := columns[index].shrink_to) is not None and widths[index] > least]
        if shrinking:
            widest = max(shrinking, key=lambda index: widths[index])
            widths[widest] -= 1
            continue
        dropping = max(widths, key=lambda index: columns[index].drop)
        if columns[dropping].drop == 0:
            break
        del widths[dropping]
        for index in widths:  # there is room again
            if columns[index].shrink_to is not None:
                widths[index] = min(width, max([cell_width(columns[index].title), *(cell_width(row[index].text) for row in rows)]))
    return list(widths), widths


def cell_width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, width: int) -> str:
    """The text in at most ``width`` columns of a terminal, with an ellipsis when it is longer."""
    if cell_width(text) <= width:
        return text
    return text[: max(width - 1, 0)] + "…" if text.isascii() else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"
