"""An orchestrator of agents: git, tasks, model requests, the dispatch loop."""

from __future__ import annotations

from typing import Final

from clew.model import attributes as names
from clew.model.catalogue.metric import COST, MODEL_CALL, REFUSED, STATUS, Derived, Label, Metric

_DONE: Final = {"ok": "success", "unset": "success"}


def _git(*operations: str) -> dict[str, tuple[str, ...]]:
    return {names.GIT_OPERATION: operations}


_MERGE: Final = _git("merge")
_RESOLVE: Final = _git("resolve")
_WORKTREE: Final = _git("worktree_add", "worktree_remove")

GIT: Final = (
    Metric(
        "git_merge_duration_seconds",
        "histogram",
        "Time to merge a branch",
        unit="s",
        buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120),
        derived=(Derived("git", "duration", where=_MERGE),),
    ),
    Metric(
        "git_checkout_duration_seconds",
        "histogram",
        "Time to check out a branch",
        unit="s",
        buckets=(0.01, 0.05, 0.1, 0.5, 1, 2),
        derived=(Derived("git", "duration", where=_git("checkout")),),
    ),
    Metric(
        "git_conflict_resolution_duration_seconds",
        "histogram",
        "Time to resolve the conflicts of a merge",
        unit="s",
        buckets=(1, 5, 10, 30, 60, 120, 300),
        derived=(Derived("git", "duration", where=_RESOLVE),),
    ),
    Metric(
        "git_worktree_creation_duration_seconds",
        "histogram",
        "Time to add a worktree",
        unit="s",
        buckets=(0.1, 0.5, 1, 2, 5),
        derived=(Derived("git", "duration", where=_git("worktree_add")),),
    ),
    Metric(
        "git_merge_total",
        "counter",
        "Merges; one that met conflicts counts as conflict, resolved or not",
        (Label("result", (names.GIT_RESULT, STATUS), ("success", "conflict", "error"), _DONE),),
        derived=(Derived("git", "count", where=_MERGE),),
    ),
    Metric(
        "git_conflict_resolution_total",
        "counter",
        "Attempts to resolve the conflicts of a merge",
        (
            Label("result", (names.GIT_RESULT, STATUS), ("success", "failure"), {**_DONE, "error": "failure"}),
            Label("method", (names.GIT_METHOD,), ("llm", "auto", "manual"), default="manual"),
        ),
        derived=(Derived("git", "count", where=_RESOLVE),),
    ),
    Metric(
        "git_worktree_operations_total",
        "counter",
        "Worktrees added and removed",
        (
            Label("operation", (names.GIT_OPERATION,), ("create", "cleanup"), {"worktree_add": "create", "worktree_remove": "cleanup"}),
            Label("result", (names.GIT_RESULT, STATUS), ("success", "error"), _DONE),
        ),
        derived=(Derived("git", "count", where=_WORKTREE),),
    ),
    Metric("git_active_merges", "gauge", "Merges under way", derived=(Derived("git", "active", where=_MERGE),)),
    Metric("git_merge_queue_depth", "gauge", "Merges that wait for their turn"),
    Metric(
        "git_lock_wait_duration_seconds",
        "histogram",
        "Time that an operation waited for the repository's lock",
        unit="s",
        buckets=(0.01, 0.1, 0.5, 1, 2, 5, 10, 30),
    ),
    Metric(
        "git_files_modified_per_merge",
        "histogram",
        "Files that a merge changed",
        unit="file",
        buckets=(1, 2, 5, 10, 20, 50, 100),
        derived=(Derived("git", "value", (names.GIT_FILES,), where=_MERGE),),
    ),
    Metric(
        "git_conflicts_per_merge",
        "histogram",
        "Files in conflict of a merge; not of a merge that failed before it could have any",
        unit="file",
        buckets=(0, 1, 2, 5, 10, 20),
        derived=(Derived("git", "value", (names.GIT_CONFLICTS,), where=_MERGE),),
    ),
)

_PROFILE: Final = Label("worker_profile", (names.WORKER_PROFILE,))
_PHASE: Final = Label("phase", (names.TASK_PHASE,))

TASK: Final = (
    Metric(
        "task_execution_duration_seconds",
        "histogram",
        "Time that a worker took for a task",
        (_PROFILE, _PHASE),
        unit="s",
        buckets=(1, 5, 10, 30, 60, 120, 300, 600),
        derived=(Derived("task", "duration"),),
        also=("task_duration_seconds",),
    ),
    Metric(
        "director_cycle_duration_seconds",
        "histogram",
        "Time of one cycle of the director",
        unit="s",
        buckets=(0.1, 0.5, 1, 2, 5, 10),
    ),
    Metric(
        "task_completion_total",
        "counter",
        "Tasks that came to an end; error is one whose worker raised",
        (Label("status", (names.TASK_STATUS, STATUS), ("success", "failed", "retry", "error"), _DONE), _PROFILE),
        derived=(Derived("task", "count"),),
        also=("task_total",),
    ),
    Metric(
        "task_retry_count",
        "histogram",
        "Retries of a task until its end",
        unit="retry",
        buckets=(0, 1, 2, 3, 4, 5),
        derived=(Derived("task", "value", (names.TASK_RETRIES,)),),
    ),
    Metric("tasks_by_state", "gauge", "Tasks in each state", (Label("status"),), across="last"),
    Metric("active_workers", "gauge", "Workers that have a task in hand", (_PROFILE,), derived=(Derived("task", "active"),)),
    Metric("phoenix_retry_total", "counter", "Tasks that were started anew after a failure", (Label("phase"), Label("attempt"))),
    Metric("hitl_escalation_total", "counter", "Tasks that were handed to a person", (Label("reason"),)),
)

_MODEL: Final = Label("model", (names.REQUEST_MODEL, names.RESPONSE_MODEL))
_PROVIDER: Final = Label("provider", (names.PROVIDER,))
RESULT: Final = Label("result", (names.ERROR_TYPE, STATUS), ("success", "rate_limit", "error", "timeout"), _DONE)

LLM: Final = (
    Metric(
        "llm_requests_total",
        "counter",
        "Requests to models",
        (_MODEL, _PROVIDER, RESULT),
        derived=(Derived("llm", "count", unless=REFUSED),),
    ),
    Metric(
        "llm_tokens_total",
        "counter",
        "Tokens of model calls, inclusive of cached and reasoning ones, those of failed calls too",
        (_MODEL, Label("type", values=("prompt", "completion"))),
        unit="token",
        derived=(
            Derived(MODEL_CALL, "value", (names.INPUT_TOKENS,), const={"type": "prompt"}),
            Derived(MODEL_CALL, "value", (names.OUTPUT_TOKENS,), const={"type": "completion"}),
        ),
        also=("llm_tokens_used",),
    ),
    Metric(
        "llm_cost_dollars_total",
        "counter",
        "Cost of model calls as far as it is known: reported by the provider, else tokens x price when the call was counted",
        (_MODEL, _PROVIDER),
        unit="USD",
        derived=(Derived(MODEL_CALL, "value", (COST,)),),
    ),
    Metric(
        "llm_request_duration_seconds",
        "histogram",
        "Time of a request to a model",
        (_MODEL, _PROVIDER),
        unit="s",
        buckets=(0.5, 1, 2, 5, 10, 20, 30, 60),
        derived=(Derived("llm", "duration", unless=REFUSED),),
        also=("llm_response_time",),
    ),
    Metric(
        "llm_rate_limit_events_total",
        "counter",
        "Requests that a provider refused because there were too many",
        (_MODEL, _PROVIDER),
        derived=(Derived("llm", "count", where={names.ERROR_TYPE: ("rate_limit",)}),),
    ),
    Metric(
        "llm_retry_attempts_total",
        "counter",
        "Requests that were made again after a failure",
        (_MODEL, _PROVIDER, Label("error_type")),
    ),
)

DISPATCH: Final = (
    Metric("dispatch_loop_iterations_total", "counter", "Cycles of the dispatch loop", (Label("run_id"),)),
    Metric(
        "dispatch_loop_cycle_duration_seconds",
        "histogram",
        "Time of one cycle of the dispatch loop",
        unit="s",
        buckets=(0.1, 0.5, 1, 2, 5, 10),
    ),
    Metric(
        "dispatch_tasks_dispatched_per_cycle",
        "histogram",
        "Tasks that one cycle handed out",
        unit="task",
        buckets=(0, 1, 2, 5, 10, 20),
    ),
    Metric(
        "dispatch_worker_completions_per_cycle",
        "histogram",
        "Workers that were found to be done in one cycle",
        unit="worker",
        buckets=(0, 1, 2, 5, 10, 20),
    ),
)

METRICS: Final = (*GIT, *TASK, *LLM, *DISPATCH)
