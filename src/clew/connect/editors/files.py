"""The files in a project: written where editors look, never over what a user changed, and checked."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from clew.connect.editors.declared import Workflow
from clew.connect.editors.formats import Editor
from clew.connect.editors.page import page

State = Literal["missing", "current", "outdated", "edited"]

_MARK: Final = re.compile(r"\n<!-- Written by clew workflows write; sha256 ([0-9a-f]{64}) -->\n\Z")
_BLOCK: Final = re.compile(r"^```(?:sh|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`(clew [^`\n]+)`")


@dataclass(frozen=True, slots=True)
class File:
    """One workflow's file for one editor, as it is now.

    :ivar state: ``missing``; ``current``: as it would be written now; ``outdated``: as it was written by an earlier version; ``edited``: a user
        changed it, or wrote it
    :ivar faults: commands in it that would be refused, with their lines
    """

    path: Path
    editor: str
    workflow: str
    state: State
    faults: tuple[str, ...] = field(default=())


def place(workflow: Workflow, editor: Editor, directory: Path) -> Path:
    return directory / editor.place.format(name=workflow.name)


def text_of(workflow: Workflow, editor: Editor) -> str:
    """The whole file."""
    text = page(workflow, editor)
    return f"{text}\n<!-- Written by clew workflows write; sha256 {_digest(text)} -->\n"


def write(workflow: Workflow, editor: Editor, directory: Path, *, force: bool = False) -> Literal["written", "unchanged", "kept"]:
    """Writes the file, unless a user changed it: then it is kept, except with ``force``.

    :raises OSError: it cannot be written
    """
    found = look(workflow, editor, directory)
    if found.state == "current":
        return "unchanged"
    if found.state == "edited" and not force:
        return "kept"
    found.path.parent.mkdir(parents=True, exist_ok=True)
    found.path.write_text(text_of(workflow, editor), "utf-8")
    return "written"


def look(workflow: Workflow, editor: Editor, directory: Path, fault: Callable[[Sequence[str]], str | None] = lambda words: None) -> File:
    """The file as it is.

    :param fault: what is wrong with a command line, given as words after ``clew``; None: nothing
    """
    path = place(workflow, editor, directory)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return File(path, editor.name, workflow.name, "missing")
    mark = _MARK.search(text)
    if text == text_of(workflow, editor):
        state: State = "current"
    else:
        state = "outdated" if mark and _digest(text[: mark.start()]) == mark[1] else "edited"
    return File(path, editor.name, workflow.name, state, tuple(_faults(text, fault)))


def commands(text: str) -> list[str]:
    """The commands that a page has carried out, in their order."""
    return [line for block in _BLOCK.findall(text) for line in block.splitlines() if line.startswith("clew ")]


def _faults(text: str, fault: Callable[[Sequence[str]], str | None]) -> Iterator[str]:
    for number, line in _all_commands(text):
        try:
            why = fault(shlex.split(line)[1:])
        except ValueError as error:  # an open quote
            why = str(error)
        if why:
            yield f"line {number}: {line}: {why}"


def _all_commands(text: str) -> Iterable[tuple[int, str]]:
    found = [(match.start(1), match[1]) for match in _INLINE.finditer(text)]
    for block in _BLOCK.finditer(text):
        at = block.start(1)
        for line in block[1].splitlines(keepends=True):
            if line.startswith("clew "):
                found.append((at, line.strip()))
            at += len(line)
    return [(text.count("\n", 0, at) + 1, line) for at, line in sorted(found)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
