"""``git_metrics``: merges and what surrounds them, where git is run by code of one's own; clew.git.repository() does it by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from clew.model import attributes as names
from clew.record.instruments.functions import git_span
from clew.record.metrics import inside
from clew.record.metrics.handles import Measure, metric

Metadata = dict[str, Any]


class GitMetrics:
    """The git metrics of the catalogue, and blocks that give them."""

    def __init__(self) -> None:
        self.merge_duration: Measure = metric("git_merge_duration_seconds")
        self.checkout_duration: Measure = metric("git_checkout_duration_seconds")
        self.conflict_resolution_duration: Measure = metric("git_conflict_resolution_duration_seconds")
        self.worktree_creation_duration: Measure = metric("git_worktree_creation_duration_seconds")
        self.merge_total: Measure = metric("git_merge_total")
        self.conflict_resolution_total: Measure = metric("git_conflict_resolution_total")
        self.worktree_operations_total: Measure = metric("git_worktree_operations_total")
        self.active_merges: Measure = metric("git_active_merges")
        self.merge_queue_depth: Measure = metric("git_merge_queue_depth")
        self.lock_wait_duration: Measure = metric("git_lock_wait_duration_seconds")
        self.files_modified_per_merge: Measure = metric("git_files_modified_per_merge")
        self.conflicts_per_merge: Measure = metric("git_conflicts_per_merge")

    @contextmanager
    def track_merge(self) -> Iterator[Metadata]:
        """A merge, as a span of kind git. What the block puts into the mapping that it is given is recorded at its end:

        ``result``: success, conflict or error; an exception makes it error. ``conflict_count``, ``files_modified``: how many files. A merge
        that met conflicts counts as ``conflict``, also when they were resolved and its result is success.
        """
        metadata: Metadata = {"result": "success", "conflict_count": 0, "files_modified": 0}
        span = git_span("merge")
        raised = False
        with inside.within(span), span:
            try:
                yield metadata
            except BaseException:
                raised = True
                if metadata["result"] == "success":
                    metadata["result"] = "error"
                raise
            finally:
                result, conflicts, files = metadata["result"], metadata["conflict_count"], metadata["files_modified"]
                told = span.attributes.get(names.GIT_CONFLICTS) or 0
                if result == "success" and (conflicts or told):
                    span.set(names.GIT_RESOLVED, True)
                    result = "conflict"
                span.set(names.GIT_RESULT, result)
                if conflicts or (result != "error" and not told):
                    span.set(names.GIT_CONFLICTS, conflicts)
                if files or result == "success":
                    span.set(names.GIT_FILES, files)
                if result == "error" and not raised:
                    span.fail("the merge failed")

    @contextmanager
    def track_checkout(self, branch: str | None = None) -> Iterator[None]:
        """A checkout, as a span of kind git."""
        with git_span("checkout", branch=branch):
            yield

    @contextmanager
    def track_conflict_resolution(self, method: Literal["llm", "auto", "manual"] = "manual") -> Iterator[Metadata]:
        """An attempt to resolve conflicts, as a span of kind git; ``result`` of the mapping: success or failure, which an exception makes it."""
        metadata: Metadata = {"result": "success"}
        span = git_span("resolve", **{names.GIT_METHOD: method})
        with inside.within(span), span:
            try:
                yield metadata
            except BaseException:
                metadata["result"] = "failure"
                raise
            finally:
                span.set(names.GIT_RESULT, metadata["result"])

    @contextmanager
    def track_worktree(self, operation: Literal["create", "cleanup"]) -> Iterator[None]:
        """A worktree that is added or removed, as a span of kind git."""
        with git_span("worktree_add" if operation == "create" else "worktree_remove"):
            yield

    @contextmanager
    def track_lock_wait(self) -> Iterator[None]:
        """The wait for a lock; the block only acquires it. Meanwhile one more waits in the merge queue."""
        self.merge_queue_depth.inc()
        began = time.perf_counter()
        try:
            yield
        finally:
            self.merge_queue_depth.dec()
            self.lock_wait_duration.observe(time.perf_counter() - began)


git_metrics: Final = GitMetrics()
