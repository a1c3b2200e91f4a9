"""Markdown whose recorded texts stay texts: names in code spans, contents in fences that they cannot close."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from clew.cli.terminal import safe, safe_lines

LONGEST_NAME = 60


def shorten(text: str, most: int) -> str:
    """About ``most`` bytes of UTF-8 at most: the beginning and the end, and how much is left out between them."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text
    head = most * 3 // 5
    beginning, end = data[:head].decode("utf-8", "ignore").rstrip(), data[head - most :].decode("utf-8", "ignore").lstrip()
    return f"{beginning} […{len(data) - most:,} bytes…] {end}"


def name(text: str, most: int = LONGEST_NAME) -> str:
    """Recorded text on one line as a code span."""
    line = safe(text).replace("`", "'")
    if len(line) > most:
        line = line[: most - 1] + "…"
    return f"`{line}`" if line else "(no name)"


def fence(text: str, most: int) -> list[str]:
    """Recorded text as a fenced block, shortened to about ``most`` bytes."""
    lines = shorten("\n".join(line.rstrip() for line in safe_lines(text.strip("\n"))), most).split("\n")
    longest = max((len(run) for run in re.findall(r"`+", "\n".join(lines))), default=0)
    mark = "`" * max(3, longest + 1)
    return [mark + "text", *lines, mark]


def row(cells: Sequence[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table_head(titles: Sequence[str], right: int) -> list[str]:
    """The head of a table; the columns from the ``right``-th on are aligned to the right."""
    return [row(titles), "|" + "|".join("---" if index < right else "---:" for index in range(len(titles))) + "|"]


@dataclass(slots=True)
class Section:
    """A part of a page that can be made shorter item by item, from its end."""

    title: str
    items: list[str]
    """Each one or more lines."""
    weight: int
    """Its share of the page, compared with the other sections', when not everything fits."""
    head: list[str] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)
    more: Callable[[int], str] = "… and {:,} more".format
    """What to say of the items that are left out."""
    hidden: int = 0
    """Items that were left out before."""

    def lines(self, left_out: int) -> Iterator[str]:
        if self.title:
            yield from (f"## {self.title}", "")
        yield from self.head
        yield from self.items[: len(self.items) - left_out]
        if left_out + self.hidden:
            if self.head:  # a table ends with an empty line
                yield ""
            yield self.more(left_out + self.hidden)
        if self.foot:
            yield from ("", *self.foot)
        yield ""


def fitted(sections: Sequence[Section], most_bytes: int) -> str:
    """The page of these sections in at most ``most_bytes`` of UTF-8, as far as their heads and first items allow.

    What is too much is taken from the end of the section that is longest for its weight, again and again; it says how much that was.
    """
    left_out = [0] * len(sections)
    texts = ["\n".join(section.lines(0)) + "\n" for section in sections]
    sizes = [len(text.encode()) for text in texts]
    while sum(sizes) > most_bytes:
        shorter = [index for index, section in enumerate(sections) if len(section.items) - left_out[index] > 1]
        if not shorter:
            break
        chosen = max(shorter, key=lambda index: (sizes[index] / sections[index].weight, -index))
        left_out[chosen] += 1
        texts[chosen] = "\n".join(sections[chosen].lines(left_out[chosen])) + "\n"
        sizes[chosen] = len(texts[chosen].encode())
    return "".join(texts).rstrip("\n") + "\n"
