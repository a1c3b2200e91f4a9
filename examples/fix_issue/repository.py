"""A real git repository with a bug: a till that loses cents when guests split the bill. Each git operation is a span."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import clew

ISSUE = "Bill does not add up: split(1000, 3) gives three shares of 333, so one cent of every such bill is lost."

FILES = {
    "README.md": "# till\n\nSplits a bill between guests. All amounts are in cents.\n",
    "till/__init__.py": "",
    "till/split.py": '''"""Splitting a bill."""


def split(total: int, people: int) -> list[int]:
    """Shares of ``total`` cents for ``people``."""
    return [total // people] * people
''',
    "tests/__init__.py": "",
    "tests/test_split.py": """import unittest

from till.split import split


class SplitTest(unittest.TestCase):
    def test_shares_add_up_to_the_bill(self):
        for total in (0, 1, 100, 1000, 9999):
            self.assertEqual(sum(split(total, 3)), total)

    def test_shares_differ_by_one_cent_at_most(self):
        shares = split(101, 3)
        self.assertLessEqual(max(shares) - min(shares), 1)
""",
}

# Nothing of the user's own git settings takes part: no signing, no hooks, no other name for the first branch.
GIT = (
    *("git", "-c", "user.name=Clew example", "-c", "user.email=example@example.org"),
    *("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", "-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"),
)


class ToolError(Exception):
    """What a tool could not do; the agent reads it and tries again."""


class TestsFailed(ToolError):
    """The repository's tests failed; the message is their output."""


class Repository:
    """The repository at ``path``, made anew with the bug in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init")
        for name, text in FILES.items():
            self.write(name, text)
        self.commit("Split a bill between guests")

    def git(self, operation: str, *arguments: str, branch: str | None = None) -> str:
        """Runs one git operation and returns what it printed."""
        with clew.git(operation, branch=branch) as span:
            done = subprocess.run([*GIT, operation, *arguments], cwd=self.path, capture_output=True, text=True)
            if done.returncode:
                raise ToolError(f"git {operation}: {done.stderr.strip()}")
            span.output(done.stdout)
            if operation in ("commit", "merge"):
                span.set("vcs.ref.head.revision", self.head())
            return done.stdout

    def head(self) -> str:
        return subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=self.path, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    # The agents' tools.

    def search_code(self, text: str) -> str:
        """Lines of the repository that contain a text."""
        found = subprocess.run([*GIT, "grep", "-n", "--fixed-strings", "-e", text], cwd=self.path, capture_output=True, text=True)
        return found.stdout or "nothing found"

    def read_file(self, path: str) -> str:
        """A file of the repository."""
        file = self._inside(path)
        if not file.is_file():
            raise ToolError(f"there is no file {path}")
        return file.read_text()

    def write_file(self, path: str, content: str) -> str:
        """Write a file of the repository, whole."""
        self.write(path, content)
        return f"{path}: {len(content)} characters written"

    def run_tests(self) -> str:
        """Run the repository's tests."""
        done = subprocess.run(
            [sys.executable, "-B", "-m", "unittest", "--quiet"], cwd=self.path, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            summary = done.stderr.strip().rpartition("\n")[2]
            raise TestsFailed(f"tests {summary}\n{done.stderr}")
        return done.stderr.strip()

    def write(self, path: str, text: str) -> None:
        file = self._inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _inside(self, path: str) -> Path:
        file = (self.path / path).resolve()
        if not file.is_relative_to(self.path.resolve()) or ".git" in file.relative_to(self.path.resolve()).parts:
            raise ToolError(f"{path} is outside the repository")
        return file
