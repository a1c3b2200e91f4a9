"""A git node does real git operations in a real repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clew.act.workflow.nodes.git import OPERATIONS
from clew.testing import recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run

ADA = "Ada <ada@example.org>"


@pytest.fixture
def repository(run: Run, base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit on ``main``; the user's own settings of git take no part."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    assert run("git", operation="init", repository="repo", name="main").results["branch"] == "main"
    (base / "repo" / "a.txt").write_text("one\n")
    run("git", operation="add", repository="repo")
    assert run("git", operation="commit", repository="repo", message="Add a", author=ADA).error is None
    return base / "repo"


def head(repository: Path) -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True).stdout.strip()


def test_a_commit_is_made_under_the_given_name(run: Run, repository: Path) -> None:
    (repository / "b c.txt").write_text("two\n")
    run("git", operation="add", repository="repo", paths=["b c.txt"])
    done = run("git", operation="commit", repository="repo", message="Add b\n\nBecause.", author=ADA)
    assert done.results == {"commit": head(repository), "branch": "main", "output": ""}
    commits = run("git", operation="log", repository="repo").results["commits"]
    assert [(commit["subject"], commit["body"], commit["author"], commit["email"]) for commit in commits] == [
        ("Add b", "Because.", "Ada", "ada@example.org"),
        ("Add a", "", "Ada", "ada@example.org"),
    ]
    assert commits[0]["commit"] == head(repository)
    assert len(run("git", operation="log", repository="repo", count=1).results["commits"]) == 1
    assert [commit["subject"] for commit in run("git", operation="log", repository="repo", paths=["a.txt"]).results["commits"]] == ["Add a"]


def test_status_names_every_file_as_it_is_called(run: Run, repository: Path) -> None:
    assert run("git", operation="status", repository="repo").results["clean"] is True
    (repository / "a.txt").rename(repository / "ä b.txt")
    (repository / "new").mkdir()
    (repository / "new" / "x").touch()
    found = run("git", operation="status", repository="repo").results
    assert found["clean"] is False
    assert sorted((file["path"], file["status"]) for file in found["files"]) == [("a.txt", "D"), ("new/x", "??"), ("ä b.txt", "??")]
    run("git", operation="add", repository="repo")
    assert ("ä b.txt", "R") in [
        (file["path"], file["status"]) for file in run("git", operation="status", repository="repo").results["files"]
    ]


def test_diff_shows_what_changed(run: Run, repository: Path) -> None:
    assert run("git", operation="diff", repository="repo").results["empty"] is True
    (repository / "a.txt").write_text("one\ntwo\n")
    found = run("git", operation="diff", repository="repo").results
    assert found["files"] == ["a.txt"]
    assert found["empty"] is False
    assert "+two" in found["diff"]
    assert run("git", operation="diff", repository="repo", staged=True).results["empty"] is True
    run("git", operation="add", repository="repo")
    assert run("git", operation="diff", repository="repo", staged=True).results["files"] == ["a.txt"]


def test_branches_are_made_checked_out_and_merged(run: Run, repository: Path) -> None:
    assert run("git", operation="checkout", repository="repo", name="fix", create=True).results["branch"] == "fix"
    (repository / "a.txt").write_text("one\ntwo\n")
    run("git", operation="commit", repository="repo", message="Add two", all=True, author=ADA)
    run("git", operation="checkout", repository="repo", name="main")
    run("git", operation="branch", repository="repo", name="later")
    assert run("git", operation="branch", repository="repo").results["branches"] == ["fix", "later", "main"]
    done = run("git", operation="merge", repository="repo", ref="fix", fast_forward="never", message="Merge fix", author=ADA)
    assert done.error is None
    assert run("git", operation="log", repository="repo", count=1).results["commits"][0]["subject"] == "Merge fix"
    assert (repository / "a.txt").read_text() == "one\ntwo\n"


def test_tags_are_made_and_listed(run: Run, repository: Path) -> None:
    run("git", operation="tag", repository="repo", name="v1.0", message="First", author=ADA)
    assert run("git", operation="tag", repository="repo", name="plain").error is None
    assert run("git", operation="tag", repository="repo").results["tags"] == ["plain", "v1.0"]
    assert "First" in run("git", operation="show", repository="repo", ref="v1.0").results["output"]


def test_a_branch_is_pushed_fetched_and_pulled(run: Run, repository: Path, base: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", base / "remote"], check=True)
    subprocess.run(["git", "remote", "add", "origin", base / "remote"], cwd=repository, check=True)
    run("git", operation="tag", repository="repo", name="v1")
    assert run("git", operation="push", repository="repo", ref="main", tags=True).error is None
    subprocess.run(["git", "clone", "--quiet", "--branch", "main", base / "remote", base / "copy"], check=True)
    assert run("git", operation="fetch", repository="copy").error is None
    assert run("git", operation="pull", repository="copy", fast_forward="only").results["commit"] == head(repository)
    assert run("git", operation="tag", repository="copy").results["tags"] == ["v1"]


def test_what_git_says_is_the_message(run: Run, repository: Path, base: Path) -> None:
    done = run("git", operation="checkout", repository="repo", name="gone")
    assert done.message == f"git checkout in {repository}: fatal: invalid reference: gone"
    assert run("git", operation="status", repository="nowhere").message == f"git status: there is no directory {base / 'nowhere'}"
    assert "nothing to commit" in run("git", operation="commit", repository="repo", message="x", author=ADA).message
    assert run("git", operation="commit", repository="repo", message="x", author=ADA, allow_empty=True).error is None


def test_a_conflict_fails_the_node_and_names_the_file(run: Run, repository: Path) -> None:
    run("git", operation="checkout", repository="repo", name="fix", create=True)
    for branch, text in (("fix", "theirs\n"), ("main", "ours\n")):
        run("git", operation="checkout", repository="repo", name=branch)
        (repository / "a.txt").write_text(text)
        run("git", operation="commit", repository="repo", message=branch, all=True, author=ADA)
    assert "CONFLICT (content): Merge conflict in a.txt" in run("git", operation="merge", repository="repo", ref="fix", author=ADA).message


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"operation": "commit"}, "git commit needs message"),
        ({"operation": "status", "message": "x", "all": True}, "git status does not take all, message; it takes nothing else"),
        ({"operation": "tag", "count": 3}, "git tag does not take count; it takes name, message, ref, author"),
        ({"operation": "checkout", "name": "--force"}, "is not usable; expected a text like"),
        ({"operation": "merge", "ref": "--upload-pack=x"}, "is not usable; expected a text like"),
        ({"operation": "rebase"}, "is not usable; expected init, status"),
    ],
)
def test_parameters_that_do_not_fit_are_named(run: Run, params: dict[str, object], message: str) -> None:
    assert message in run("git", **params).message


def test_every_operation_publishes_what_it_says(run: Run, repository: Path) -> None:
    (repository / "a.txt").write_text("changed\n")
    for operation in ("status", "log", "diff", "tag", "branch"):
        declared = {key for key, _ in OPERATIONS[operation].publishes}
        assert set(run("git", operation=operation, repository="repo").results) == declared | {"output", "commit", "branch"}


def test_the_record_has_the_operation_with_commit_and_branch(run: Run, repository: Path) -> None:
    with recording() as record:
        run("git", operation="log", repository="repo")
        run("git", operation="checkout", repository="repo", name="gone")
    done, failed = record.spans
    assert (done.kind, done.name, done.status) == ("git", "log", "ok")
    assert done.attributes["vcs.ref.head.revision"] == head(repository)
    assert done.attributes["vcs.ref.head.name"] == "main"
    assert done.attributes["clew.git.operation"] == "log"
    assert (failed.name, failed.status) == ("checkout", "error")
