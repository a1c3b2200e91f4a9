"""What git operations give back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Change:
    """What lies between two commits. Lines of binary files are not counted."""

    paths: tuple[str, ...] = ()
    insertions: int = 0
    deletions: int = 0

    @property
    def files(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that was made."""

    commit: str
    """Its hash."""
    branch: str | None
    """None on no branch."""
    change: Change


@dataclass(frozen=True, slots=True)
class Merge:
    """How a merge went.

    ``success``: there were no conflicts. ``resolved``: there were, and they were resolved; it is committed. ``conflict``: there were, and the
    repository is as before.
    """

    result: Literal["success", "resolved", "conflict"]
    commit: str
    """What the branch is at now."""
    change: Change
    conflicts: tuple[str, ...] = ()
    """Paths that were in conflict."""

    @property
    def merged(self) -> bool:
        return self.result != "conflict"


@dataclass(frozen=True, slots=True)
class Rebase:
    """How a rebase went; after conflicts the branch is as before."""

    result: Literal["success", "conflict"]
    commit: str
    change: Change
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """A merge that stopped: what a resolver is given. The files have git's conflict markers."""

    directory: Path
    paths: tuple[str, ...]
    ref: str
    """What is merged."""
