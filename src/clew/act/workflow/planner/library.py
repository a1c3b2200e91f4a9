"""The workflows that a planner may choose from: the documents in some directories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clew.act.workflow import check
from clew.act.workflow import source as reader
from clew.act.workflow.document import Document
from clew.act.workflow.inputs import has_default
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.source import Source
from clew.errors import DocumentError

SUFFIXES: Final = (".yaml", ".yml", ".json")
MOST_KNOWN: Final = 100
"""Workflows that are offered to a model: more make its choice worse and each plan dearer."""
LONGEST_DESCRIPTION: Final = 500


@dataclass(frozen=True, slots=True)
class Known:
    """A workflow that is there already."""

    source: Source
    document: Document

    def offer(self, number: int) -> dict[str, Any]:
        """What a model is told of it. Secret inputs are not: words are no place for them."""
        return {
            "number": number,
            "name": self.document.name,
            "description": self.document.description[:LONGEST_DESCRIPTION],
            "inputs": {
                name: {
                    "type": declared.type,
                    "description": declared.description[:LONGEST_DESCRIPTION],
                    "required": declared.required and not has_default(declared),
                }
                for name, declared in self.document.inputs.items()
                if not declared.secret
            },
        }


@dataclass(frozen=True, slots=True)
class Library:
    """What was found."""

    known: Sequence[Known] = ()
    """At most MOST_KNOWN, by directory and name."""
    faults: Sequence[str] = ()
    """Documents that cannot be used, each with why, and how many were too many."""


def library(directories: Sequence[Path], types: Mapping[str, type[NodeType]]) -> Library:
    """The documents without mistakes in these directories, not below them; a directory that is not there is empty."""
    known: list[Known] = []
    faults: list[str] = []
    files = [file for directory in directories for file in _files(directory, faults)]
    for file in files[:MOST_KNOWN]:
        try:
            source = reader.read(file)
            known.append(Known(source, check.checked(source, types)))
        except DocumentError as error:
            more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            faults.append(f"{file} is not offered: {error.problems[0]}{more}; clew validate says what to do")
    if len(files) > MOST_KNOWN:
        faults.append(
            f"{len(files) - MOST_KNOWN} workflows are not offered: only the first {MOST_KNOWN} are; name a smaller directory with --workflows"
        )
    return Library(known, faults)


def _files(directory: Path, faults: list[str]) -> list[Path]:
    try:
        return sorted(file for file in directory.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(f"{directory} cannot be read: {error.strerror}")
        return []
