"""A git repository whose operations are run and recorded: commit, size of the change, files and conflicts, joined to the agent, decision and
model calls around them by the trace."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from clew import settings
from clew.errors import GitError
from clew.model import attributes as names
from clew.record.instruments.functions import git_span
from clew.record.instruments.git.results import Change, Commit, Conflict, Merge, Rebase
from clew.record.instruments.orchestrator.merges import git_metrics

MOST_PATHS: Final = 100
"""Paths of one operation that are recorded; their number always is."""

Method = Literal["llm", "auto", "manual"]
FastForward = Literal["allow", "never", "only"]
_FAST_FORWARD: Final = {"allow": "--ff", "never": "--no-ff", "only": "--ff-only"}


class Repository:
    """A work tree. Every operation is a git command and a span of kind git.

    Operations that change branches wait for each other, in this process and in others, by a lock in the repository: the wait is
    ``git_lock_wait_duration_seconds``, those who wait are ``git_merge_queue_depth``.

    :param path: the work tree, or a directory in it
    :param author: ``Name <address>`` for what makes a commit, instead of git's own settings
    :raises GitError: git is not installed, or there is no repository
    """

    def __init__(self, path: str | Path = ".", *, author: str | None = None) -> None:
        self._identity = _identity(author)
        self.path = Path(path)
        self.path = Path(self._run("rev-parse", "--show-toplevel"))
        self._author = author

    @classmethod
    def init(cls, path: str | Path, *, branch: str = "main", author: str | None = None) -> Repository:
        """Makes a repository with a first branch; one that is there stays as it is."""
        directory = Path(path)
        directory.mkdir(parents=True, exist_ok=True)
        with git_span("init", **{names.GIT_REPOSITORY: str(directory)}):
            _git(directory, {}, "init", "--quiet", f"--initial-branch={branch}")
        return cls(directory, author=author)

    # --- what there is ----------------------------------------------------------------------------------------------------------------

    @property
    def head(self) -> str | None:
        """Hash of the commit; None before the first."""
        return self._run("rev-parse", "--verify", "--quiet", "HEAD", check=False) or None

    @property
    def branch(self) -> str | None:
        """None on no branch."""
        return self._run("symbolic-ref", "--short", "--quiet", "HEAD", check=False) or None

    def change(self, old: str | None, new: str) -> Change:
        """What lies between two commits; ``old`` None: everything up to ``new``."""
        base = old or self._run("hash-object", "-t", "tree", os.devnull)
        lines = self._run("diff", "--numstat", "--no-renames", "-z", base, new).split("\0")
        rows = [line.split("\t", 2) for line in lines if line]
        return Change(
            tuple([path for _, _, path in rows]),
            sum([int(added) for added, _, _ in rows if added != "-"]),
            sum([int(removed) for _, removed, _ in rows if removed != "-"]),
        )

    # --- operations -------------------------------------------------------------------------------------------------------------------

    def commit(self, message: str, *, paths: Sequence[str | Path] | None = None, allow_empty: bool = False) -> Commit:
        """Commits.

        :param paths: what is added first; None: every change of the work tree
        :raises GitError: nothing is changed, or git refuses
        """
        with self._operation("commit") as span:
            before = self.head
            self._run("add", "--", *map(str, paths)) if paths is not None else self._run("add", "--all")
            self._run("commit", "--quiet", "-m", message, *(["--allow-empty"] if allow_empty else []))
            made = self._must("commit")
            change = self.change(before, made)
            self._say(span, change)
            return Commit(made, self.branch, change)

    def checkout(self, ref: str, *, create: bool = False) -> None:
        """Checks out a branch or commit; ``create`` makes the branch.

        :raises GitError: there is no such branch, or changes are in the way
        """
        with self._operation("checkout", **{names.GIT_REF: ref}):
            self._run("checkout", "--quiet", *(["-b"] if create else []), ref)

    def merge(
        self,
        ref: str,
        *,
        message: str | None = None,
        fast_forward: FastForward = "allow",
        resolve: Callable[[Conflict], bool] | None = None,
        method: Method = "manual",
    ) -> Merge:
        """Merges ``ref`` into the current branch.

        :param resolve: called when there are conflicts, with the repository in the middle of the merge: it writes the files and says whether
            they are right, which is then committed. None or False: the merge is taken back. What it raises takes the merge back too
        :param method: how ``resolve`` does it, for the record
        :raises GitError: git refuses for another reason than conflicts
        """
        with self._locked(), self._operation("merge", **{names.GIT_REF: ref}) as span:
            before = self._must("merge")
            told = ["-m", message] if message else ["--no-edit"]
            done = self._try("merge", "--quiet", _FAST_FORWARD[fast_forward], *told, ref)
            conflicts = self._conflicts()
            if done.returncode and not conflicts:
                raise GitError(_said("merge", self.path, done))
            span.set(names.GIT_CONFLICTS, len(conflicts))
            if conflicts:
                span.set(names.GIT_RESULT, "conflict")
                span.set(names.GIT_CONFLICT_PATHS, conflicts[:MOST_PATHS])
                resolved = self._resolved(Conflict(self.path, conflicts, ref), resolve, method)
                span.set(names.GIT_RESOLVED, resolved)
                if not resolved:
                    return Merge("conflict", before, Change(), conflicts)
            else:
                span.set(names.GIT_RESULT, "success")
            made = self._must("merge")
            change = self.change(before, made)
            self._say(span, change)
            return Merge("resolved" if conflicts else "success", made, change, conflicts)

    def rebase(self, onto: str) -> Rebase:
        """Rebases the current branch; after conflicts it is taken back.

        :raises GitError: git refuses for another reason than conflicts
        """
        with self._locked(), self._operation("rebase", **{names.GIT_REF: onto}) as span:
            before = self._must("rebase")
            done = self._try("rebase", "--quiet", onto)
            conflicts = self._conflicts()
            if done.returncode:
                self._try("rebase", "--abort")
                if not conflicts:
                    raise GitError(_said("rebase", self.path, done))
                self._say_conflicts(span, conflicts)
                return Rebase("conflict", before, Change(), conflicts)
            made = self._must("rebase")
            change = self.change(onto, made)
            span.set(names.GIT_RESULT, "success")
            self._say(span, change)
            return Rebase("success", made, change)

    def add_worktree(self, path: str | Path, branch: str, *, base: str | None = None) -> Repository:
        """Another work tree of this repository, on a branch of its own; the branch is made (from ``base``, else the current commit) where it
        is not there.

        :raises GitError: the directory or the branch is in use
        """
        with self._operation("worktree_add", **{names.GIT_REF: branch}):
            is_there = self._try("show-ref", "--verify", "--quiet", f"refs/heads/{branch}").returncode == 0
            where = os.fspath(Path(path).absolute())
            self._run("worktree", "add", "--quiet", *([where, branch] if is_there else ["-b", branch, where, *([base] if base else [])]))
        return Repository(where, author=self._author)

    def remove_worktree(self, path: str | Path, *, force: bool = False) -> None:
        """Removes a work tree; its branch stays.

        :raises GitError: it has changes (``force`` drops them), or is none
        """
        with self._operation("worktree_remove"):
            self._run("worktree", "remove", *(["--force"] if force else []), os.fspath(Path(path).absolute()))

    def run(self, operation: str, *arguments: str) -> str:
        """Any other git command, recorded under its name; gives what it printed.

        :raises GitError: with what git said
        """
        with self._operation(operation) as span:
            output = self._run(operation, *arguments)
            span.output(output)
            return output

    # --- how ----------------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _operation(self, operation: str, **attributes: Any) -> Iterator[Any]:
        """One span, which says where the repository is at its end, also of an operation that failed."""
        with git_span(operation, **{names.GIT_REPOSITORY: str(self.path), **attributes}) as span:
            try:
                yield span
            except GitError:
                span.set(names.GIT_RESULT, "error")
                raise
            finally:
                with contextlib.suppress(GitError):
                    span.set(names.GIT_COMMIT, self.head)
                    span.set(names.GIT_BRANCH, self.branch)

    def _resolved(self, conflict: Conflict, resolve: Callable[[Conflict], bool] | None, method: Method) -> bool:
        """Whether the conflicts were resolved and committed; else the merge is taken back."""
        done = False
        try:
            if resolve is not None:
                with git_metrics.track_conflict_resolution(method) as resolution:
                    done = bool(resolve(conflict))
                    resolution["result"] = "success" if done else "failure"
            if done:
                self._run("add", "--", *conflict.paths)
                self._run("commit", "--quiet", "--no-edit")
        except BaseException:
            done = False
            raise
        finally:
            if not done:
                self._try("merge", "--abort")
        return done

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time changes branches."""
        import fcntl

        place = Path(self._run("rev-parse", "--path-format=absolute", "--git-common-dir")) / "clew.lock"
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with git_metrics.track_lock_wait():
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _conflicts(self) -> tuple[str, ...]:
        return tuple([path for path in self._run("diff", "--name-only", "--diff-filter=U", "-z").split("\0") if path])

    def _say_conflicts(self, span: Any, conflicts: tuple[str, ...]) -> None:
        span.set(names.GIT_RESULT, "conflict")
        span.set(names.GIT_CONFLICTS, len(conflicts))
        span.set(names.GIT_CONFLICT_PATHS, conflicts[:MOST_PATHS])

    def _say(self, span: Any, change: Change) -> None:
        span.set(names.GIT_FILES, change.files)
        span.set(names.GIT_PATHS, change.paths[:MOST_PATHS])
        span.set(names.GIT_INSERTIONS, change.insertions)
        span.set(names.GIT_DELETIONS, change.deletions)

    def _must(self, operation: str) -> str:
        head = self.head
        if head is None:
            raise GitError(f"git {operation} in {self.path}: there is no commit yet; make one first")
        return head

    def _run(self, *arguments: str, check: bool = True) -> str:
        return _git(self.path, self._identity, *arguments, check=check)

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _started(self.path, self._identity, *arguments)


def _git(directory: Path, environment: dict[str, str], *arguments: str, check: bool = True) -> str:
    done = _started(directory, environment, *arguments)
    if done.returncode and check:
        raise GitError(_said(arguments[0], directory, done))
    return done.stdout.strip("\n") if not done.returncode else ""


def _started(directory: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    # Nobody is there to answer: no editor, no pager, no question for a password.
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C", **environment}
    try:
        return subprocess.run(
            ["git", "--no-pager", "-c", "core.quotepath=off", *arguments],
            cwd=directory,
            env=settings.child_environment(quiet),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except NotADirectoryError:
        raise GitError(f"git {arguments[0]}: {directory} is no directory") from None
    except FileNotFoundError:
        reason = "git is not installed, or not in PATH; install it" if directory.is_dir() else f"there is no directory {directory}"
        raise GitError(f"git {arguments[0]}: {reason}") from None


def _said(operation: str, directory: Path, done: subprocess.CompletedProcess[str]) -> str:
    return f"git {operation} in {directory}: {done.stderr.strip() or done.stdout.strip() or f'exit code {done.returncode}'}"


def _identity(author: str | None) -> dict[str, str]:
    if author is None:
        return {}
    name, _, rest = author.partition("<")
    values = {"NAME": name.strip(), "EMAIL": rest.rstrip(">").strip()}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in values.items()}
