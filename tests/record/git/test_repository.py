"""``clew.git.repository()``: real git, run and recorded."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.errors import GitError
from clew.record.instruments.git.repository import Repository
from clew.record.instruments.git.results import Change, Conflict
from clew.record.metrics import derive, live
from clew.testing import Recording, recording

AUTHOR = "Test <test@example.org>"


@pytest.fixture
def record() -> Iterator[Recording]:
    live.forget()
    with recording() as recorded:
        derive.start()
        yield recorded
    derive.stop()
    live.forget()


@pytest.fixture
def repository(tmp_path: Path, record: Recording) -> Repository:
    """One commit on main, and a branch that changes the same line of a.txt, and adds b.txt."""
    made = Repository.init(tmp_path / "repository", author=AUTHOR)
    (made.path / "a.txt").write_text("one\n")
    made.commit("first")
    made.checkout("feature", create=True)
    (made.path / "a.txt").write_text("feature\n")
    (made.path / "b.txt").write_text("1\n2\n3\n")
    made.commit("feature")
    made.checkout("main")
    return made


def figures(name: str) -> dict[tuple[str, ...], float]:
    return {
        labels: series.count if metric.buckets else series.value
        for metric, found in live.reading()
        if metric.name == name
        for labels, series in found
    }


def diverge(repository: Repository) -> None:
    (repository.path / "a.txt").write_text("main\n")
    repository.commit("main goes on")


def test_a_commit_says_what_it_changed(repository: Repository, record: Recording) -> None:
    (repository.path / "a.txt").write_text("two\nthree\n")
    (repository.path / "a file.bin").write_bytes(b"\0\1\2")
    made = repository.commit("second")
    assert made.commit == repository.head
    assert (made.branch, made.change) == ("main", Change(("a file.bin", "a.txt"), 2, 1))
    span = record.spans[-1]
    assert (span.kind, span.name, span.status) == ("git", "commit", "ok")
    assert span.attributes["vcs.ref.head.revision"] == made.commit
    assert span.attributes["vcs.ref.head.name"] == "main"
    assert span.attributes["clew.git.paths"] == ["a file.bin", "a.txt"]
    assert (span.attributes["clew.git.insertions"], span.attributes["clew.git.deletions"]) == (2, 1)
    assert span.attributes["clew.git.repository"] == str(repository.path)


def test_the_first_commit_counts_all_of_it(tmp_path: Path, record: Recording) -> None:
    made = Repository.init(tmp_path / "new", author=AUTHOR)
    assert made.head is None
    (made.path / "x").write_text("1\n2\n")
    assert made.commit("first").change == Change(("x",), 2, 0)
    assert record.spans[0].name == "init"


def test_a_merge_without_conflicts(repository: Repository) -> None:
    merged = repository.merge("feature", fast_forward="never", message="Merge feature")
    assert (merged.result, merged.merged, merged.change) == ("success", True, Change(("a.txt", "b.txt"), 4, 1))
    assert merged.commit == repository.head
    assert figures("git_merge_total") == {("success",): 1}
    assert figures("git_files_modified_per_merge") == {(): 1}
    assert figures("git_lock_wait_duration_seconds") == {(): 1}
    assert figures("git_checkout_duration_seconds") == {(): 2}


def test_a_merge_with_conflicts_is_taken_back(repository: Repository, record: Recording) -> None:
    diverge(repository)
    before = repository.head
    merged = repository.merge("feature")
    assert (merged.result, merged.commit, merged.conflicts) == ("conflict", before, ("a.txt",))
    assert (repository.path / "a.txt").read_text() == "main\n"
    assert repository.head == before
    assert figures("git_merge_total") == {("conflict",): 1}
    assert figures("git_conflicts_per_merge") == {(): 1}
    assert record.spans[-1].attributes["clew.git.conflict_paths"] == ["a.txt"]


def test_conflicts_that_are_resolved_are_committed_and_still_count_as_conflict(repository: Repository, record: Recording) -> None:
    diverge(repository)

    def resolve(conflict: Conflict) -> bool:
        assert conflict.ref == "feature"
        with clew.llm("resolve", model="gpt-4o"):
            (conflict.directory / "a.txt").write_text("both\n")
        return True

    merged = repository.merge("feature", resolve=resolve, method="llm")
    assert (merged.result, merged.conflicts) == ("resolved", ("a.txt",))
    assert (repository.path / "a.txt").read_text() == "both\n"
    assert figures("git_merge_total") == {("conflict",): 1}
    assert figures("git_conflict_resolution_total") == {("success", "llm"): 1}
    assert figures("git_conflict_resolution_duration_seconds") == {(): 1}
    assert record.tree()[-3:] == ["git merge", "  git resolve", "    llm resolve"]


def test_a_resolver_that_gives_up_or_raises_leaves_the_repository_as_it_was(repository: Repository) -> None:
    diverge(repository)
    before = repository.head

    def broken(_: Conflict) -> bool:
        raise ValueError("no idea")

    assert repository.merge("feature", resolve=lambda _: False, method="llm").result == "conflict"
    with pytest.raises(ValueError, match="no idea"):
        repository.merge("feature", resolve=broken, method="llm")
    assert repository.head == before
    assert repository.run("status", "--porcelain") == ""
    assert figures("git_conflict_resolution_total") == {("failure", "llm"): 2}


def test_what_git_refuses_is_an_error_with_its_words(repository: Repository, record: Recording) -> None:
    with pytest.raises(GitError, match="not something we can merge"):
        repository.merge("no-such-branch")
    with pytest.raises(GitError, match="nothing to commit"):
        repository.commit("nothing")
    with pytest.raises(GitError, match=r"pathspec .* did not match"):
        repository.checkout("no-such-branch")
    assert figures("git_merge_total") == {("error",): 1}
    assert figures("git_conflicts_per_merge") == {}
    assert [span.status for span in record.spans[-3:]] == ["error"] * 3


def test_a_place_without_a_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="not a git repository"):
        clew.git.repository(tmp_path)
    with pytest.raises(GitError, match="there is no directory"):
        clew.git.repository(tmp_path / "nowhere")


def test_a_rebase(repository: Repository) -> None:
    repository.checkout("other", create=True)
    (repository.path / "c.txt").write_text("c\n")
    repository.commit("c")
    repository.checkout("main")
    diverge(repository)
    repository.checkout("other")
    done = repository.rebase("main")
    assert (done.result, done.change.paths) == ("success", ("c.txt",))
    repository.checkout("feature")
    before = repository.head
    stopped = repository.rebase("main")
    assert (stopped.result, stopped.conflicts, stopped.commit) == ("conflict", ("a.txt",), before)
    assert repository.branch == "feature"


def test_work_trees_are_repositories_of_their_own(repository: Repository, tmp_path: Path) -> None:
    other = repository.add_worktree(tmp_path / "wt", "task/1")
    (other.path / "d.txt").write_text("d\n")
    made = other.commit("d")
    assert (made.branch, repository.branch) == ("task/1", "main")
    assert repository.merge("task/1").change.paths == ("d.txt",)
    with pytest.raises(GitError):
        repository.add_worktree(tmp_path / "wt2", "main")
    repository.remove_worktree(tmp_path / "wt")
    assert figures("git_worktree_operations_total") == {("create", "success"): 1, ("create", "error"): 1, ("cleanup", "success"): 1}
    assert figures("git_worktree_creation_duration_seconds") == {(): 2}


def test_merges_of_several_threads_wait_for_each_other(repository: Repository, tmp_path: Path) -> None:
    branches = [f"task/{number}" for number in range(4)]
    for branch in branches:
        other = repository.add_worktree(tmp_path / branch, branch)
        (other.path / f"{branch[-1]}.txt").write_text(branch)
        other.commit(branch)
    failed: list[BaseException] = []

    def merge(branch: str) -> None:
        try:
            repository.merge(branch, fast_forward="never")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=merge, args=(branch,)) for branch in branches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert figures("git_merge_total") == {("success",): 4}
    assert figures("git_active_merges") == {(): 0}
    assert figures("git_merge_queue_depth") == {(): 0}
    assert figures("git_lock_wait_duration_seconds") == {(): 4}


def test_any_other_operation_is_recorded_by_its_name(repository: Repository, record: Recording) -> None:
    assert repository.run("tag", "v1") == ""
    assert repository.run("describe", "--tags") == "v1"
    span = record.spans[-1]
    assert (span.name, span.attributes["clew.git.operation"], span.attributes["clew.output"]) == ("describe", "describe", "v1")


def test_it_works_while_recording_is_off(tmp_path: Path) -> None:
    from clew.record import state

    with recording():
        state.use(None)
        made = Repository.init(tmp_path / "new", author=AUTHOR)
        (made.path / "x").write_text("1\n")
        made.commit("first")
        made.checkout("b", create=True)
        (made.path / "x").write_text("2\n")
        made.commit("second")
        made.checkout("main")
        assert made.merge("b").merged


def test_the_instrument_is_still_a_span_and_a_decorator(record: Recording) -> None:
    with clew.git("merge", branch="main"):
        pass

    @clew.git
    def fetch() -> Any:
        return subprocess.run(["git", "--version"], check=True, capture_output=True).returncode

    assert fetch() == 0
    assert record.tree() == ["git merge", "git fetch"]
