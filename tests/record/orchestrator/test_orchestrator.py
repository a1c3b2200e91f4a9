"""The first design's examples for an orchestrator work as written, and give right figures where the original gave wrong ones."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import clew
from clew import dispatch_metrics, estimate_llm_cost, git_metrics, llm_metrics, task_metrics, update_task_state_gauges
from clew.errors import MissingExtra
from clew.record.metrics import derive, live
from clew.testing import Recording, recording
from tests.record.orchestrator.samples import (
    GitManager,
    MergeResult,
    ModelConfig,
    RateLimitError,
    Resolver,
    Task,
    WorkerResult,
    continuous_dispatch_loop,
    invoke_llm,
    worker_node,
)


@pytest.fixture
def record() -> Iterator[Recording]:
    with recording() as recorded:
        derive.start()
        yield recorded


def figures(name: str) -> dict[tuple[str, ...], float]:
    """Values by labels; of histograms how many figures there are."""
    return {
        labels: series.count if metric.buckets else series.value
        for metric, found in live.reading()
        if metric.name == name
        for labels, series in found
    }


def sums(name: str) -> dict[tuple[str, ...], float]:
    return {labels: series.value for metric, found in live.reading() if metric.name == name for labels, series in found}


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", directory, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose main and whose branches task/<id> change the same line."""
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q", "--initial-branch=main")
    git(path, "config", "user.name", "Test")
    git(path, "config", "user.email", "test@example.org")
    (path / "a.txt").write_text("one\n")
    git(path, "add", ".")
    git(path, "commit", "-qm", "first")
    return path


def manager(repository: Path, tasks: dict[str, str], resolver: Resolver | None = None) -> GitManager:
    """Work trees of tasks, each of which has changed a.txt or added a file."""
    made = GitManager(repository, resolver)
    for task_id, content in tasks.items():
        info = made.create_worktree(task_id)
        name = "a.txt" if content.startswith("a ") else f"{task_id}.txt"
        (info.path / name).write_text(content)
        info.files_modified = [name]
        git(info.path, "add", ".")
        git(info.path, "commit", "-qm", task_id)
    return made


def merge(made: GitManager, task_id: str) -> MergeResult:
    return asyncio.run(made.merge_to_main(task_id))


def resolving(repo: Path, files: list[str]) -> bool:
    for name in files:
        (repo / name).write_text("both\n")
    return True


@pytest.mark.usefixtures("record")
def test_merges_are_counted_and_timed(repository: Path) -> None:
    made = manager(repository, {"one": "x\n", "two": "y\n"})
    assert merge(made, "one").success
    assert merge(made, "two").success
    assert figures("git_merge_total") == {("success",): 2}
    assert figures("git_merge_duration_seconds") == {(): 2}
    assert figures("git_checkout_duration_seconds") == {(): 2}
    assert figures("git_worktree_creation_duration_seconds") == {(): 2}
    assert figures("git_worktree_operations_total") == {("create", "success"): 2}
    assert (figures("git_files_modified_per_merge"), sums("git_files_modified_per_merge")) == ({(): 2}, {(): 2})
    assert figures("git_active_merges") == {(): 0}


@pytest.mark.usefixtures("record")
def test_conflicts_are_observed_once_per_merge_and_not_for_errors(repository: Path) -> None:
    """The original observed them twice where the caller did too, and 0 for a merge that had failed before it could have any."""
    made = manager(repository, {"one": "a one\n", "two": "a two\n"})
    assert merge(made, "one").success
    assert merge(made, "two").conflict
    assert merge(made, "missing").error_message == "No worktree found"
    assert figures("git_conflicts_per_merge") == {(): 2}
    assert sums("git_conflicts_per_merge") == {(): 1}
    assert figures("git_merge_total") == {("success",): 1, ("conflict",): 1, ("error",): 1}
    assert figures("git_conflict_resolution_total") == {("failure", "llm"): 1}
    assert figures("git_conflict_resolution_duration_seconds") == {(): 1}


def test_a_conflict_that_a_model_resolved_is_still_a_conflict(repository: Path, record: Recording) -> None:
    """The original counted it as a success."""
    made = manager(repository, {"one": "a one\n", "two": "a two\n"}, resolving)
    assert merge(made, "one").success
    assert merge(made, "two").llm_resolved
    assert figures("git_merge_total") == {("success",): 1, ("conflict",): 1}
    assert figures("git_conflict_resolution_total") == {("success", "llm"): 1}
    span = record.spans[-1]
    assert (span.status, span.attributes["clew.git.result"], span.attributes["clew.git.resolved"]) == ("ok", "conflict", True)


@pytest.mark.usefixtures("record")
def test_a_work_tree_that_cannot_be_made_is_an_error(repository: Path) -> None:
    made = manager(repository, {"one": "x\n"})
    with pytest.raises(subprocess.CalledProcessError):
        made.create_worktree("one")
    assert figures("git_worktree_operations_total") == {("create", "success"): 1, ("create", "error"): 1}


@pytest.mark.usefixtures("record")
def test_a_merge_that_raises_is_an_error() -> None:
    def broken() -> None:
        with git_metrics.track_merge():
            assert figures("git_active_merges") == {(): 1}
            raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        broken()
    assert figures("git_merge_total") == {("error",): 1}
    assert figures("git_conflicts_per_merge") == {}
    assert figures("git_active_merges") == {(): 0}


@pytest.mark.usefixtures("record")
def test_tasks_are_timed_and_counted_by_how_they_ended() -> None:
    async def handler(task: Task) -> WorkerResult:
        if task.id == "broken":
            raise ValueError("broken")
        return WorkerResult("complete" if task.id == "good" else "stuck")

    async def run() -> None:
        await worker_node(Task("good", retry_count=2), handler)
        await worker_node(Task("bad"), handler)
        with pytest.raises(ValueError, match="broken"):
            await worker_node(Task("broken"), handler)

    asyncio.run(run())
    assert figures("task_execution_duration_seconds") == {("code_worker", "build"): 3}
    assert figures("task_completion_total") == {("success", "code_worker"): 1, ("failed", "code_worker"): 1, ("error", "code_worker"): 1}
    assert sums("task_retry_count") == {(): 2}


@pytest.mark.usefixtures("record")
def test_the_same_calls_inside_a_task_span_count_once() -> None:
    async def handler(_: Task) -> WorkerResult:
        return WorkerResult("stuck")

    async def run() -> None:
        with clew.task("one"):
            await worker_node(Task("one", retry_count=3), handler)

    asyncio.run(run())
    assert figures("task_execution_duration_seconds") == {("code_worker", "build"): 1}
    assert figures("task_completion_total") == {("failed", "code_worker"): 1}
    assert sums("task_retry_count") == {(): 3}


@pytest.mark.usefixtures("record")
def test_a_plain_task_span_gives_them_as_well() -> None:
    with clew.task("one", worker_profile="code_worker", phase="build", retries=2, result="retry"):
        pass
    assert figures("task_completion_total") == {("retry", "code_worker"): 1}
    assert figures("task_execution_duration_seconds") == {("code_worker", "build"): 1}
    assert sums("task_retry_count") == {(): 2}


@pytest.mark.usefixtures("record")
def test_a_tracked_task_gives_the_same_metrics_by_itself() -> None:
    with task_metrics.track_task("code_worker", "build", task_id="one") as task:
        assert figures("active_workers") == {("code_worker",): 1}
        task["status"], task["retry_count"] = "retry", 1
    with pytest.raises(ValueError, match="x"), task_metrics.track_task("code_worker", "test"):
        raise ValueError("x")
    assert figures("task_completion_total") == {("retry", "code_worker"): 1, ("error", "code_worker"): 1}
    assert figures("task_execution_duration_seconds") == {("code_worker", "build"): 1, ("code_worker", "test"): 1}
    assert figures("active_workers") == {("code_worker",): 0}


@pytest.mark.usefixtures("record")
def test_the_dispatch_loop_gives_its_cycles_and_the_states_of_tasks() -> None:
    state = {"tasks": [{"status": status} for status in ("ready", "ready", "active", "blocked")]}
    asyncio.run(continuous_dispatch_loop("run-1", state, 2))
    assert figures("dispatch_loop_iterations_total") == {("run-1",): 2}
    assert figures("dispatch_loop_cycle_duration_seconds") == {(): 2}
    assert sums("dispatch_tasks_dispatched_per_cycle") == {(): 2}
    assert sums("dispatch_worker_completions_per_cycle") == {(): 3}
    states = {"complete": 3, "blocked": 1} | dict.fromkeys(("planned", "ready", "active", "awaiting_qa", "failed", "waiting_human"), 0)
    assert figures("tasks_by_state") == {(state,): count for state, count in states.items()}


@pytest.mark.usefixtures("record")
def test_states_that_the_original_left_out_are_shown_and_fall_back_to_zero() -> None:
    update_task_state_gauges([{"status": "failed_qa"}, {"status": "pending_review"}])
    assert {state: figures("tasks_by_state")[state,] for state in ("failed_qa", "pending_review", "failed")} == {
        "failed_qa": 1,
        "pending_review": 1,
        "failed": 0,
    }
    update_task_state_gauges([])
    assert set(figures("tasks_by_state").values()) == {0}


@dataclass
class Response:
    response_metadata: dict[str, Any] = field(default_factory=dict)


class Model:
    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    async def ainvoke(self, _: str) -> Any:
        return self._answer()


def ask(answer: Callable[[], Any], model: str = "gpt-4o", provider: str = "openai") -> Any:
    return asyncio.run(invoke_llm(Model(answer), ModelConfig(model, provider), "hi"))


def raising(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def test_requests_give_tokens_cost_and_time(record: Recording) -> None:
    ask(lambda: Response({"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}))
    assert figures("llm_requests_total") == {("gpt-4o", "openai", "success"): 1}
    assert figures("llm_tokens_total") == {("gpt-4o", "prompt"): 1000, ("gpt-4o", "completion"): 500}
    assert figures("llm_request_duration_seconds") == {("gpt-4o", "openai"): 1}
    span = record.span("chat gpt-4o")
    assert span.attributes["gen_ai.usage.input_tokens"] == 1000
    assert "clew.cost.usd" not in span.attributes  # an estimate is not what a provider charged


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (RateLimitError("slow down"), "rate_limit"),
        (TimeoutError("too long"), "timeout"),
        (ValueError("no"), "error"),
    ],
)
def test_why_a_request_failed_is_told_by_its_exception(record: Recording, error: Exception, result: str) -> None:
    """The original recorded each as error, even where the block had said otherwise."""
    with pytest.raises(type(error)):
        ask(raising(error))
    assert figures("llm_requests_total") == {("gpt-4o", "openai", result): 1}
    assert figures("llm_rate_limit_events_total") == ({("gpt-4o", "openai"): 1} if result == "rate_limit" else {})
    assert record.span("chat gpt-4o").status == "error"


@pytest.mark.usefixtures("record")
def test_a_library_that_names_its_rate_limit_otherwise_is_believed_when_the_block_says_so() -> None:
    class Quota(Exception): ...

    def refused() -> None:
        with llm_metrics.track_request("gpt-4o", "openai") as metadata:
            metadata["result"] = "rate_limit"
            raise Quota

    with pytest.raises(Quota):
        refused()
    with llm_metrics.track_request("gpt-4o", "openai") as metadata:
        metadata["result"] = "timeout"
    assert figures("llm_requests_total") == {("gpt-4o", "openai", "rate_limit"): 1, ("gpt-4o", "openai", "timeout"): 1}
    assert figures("llm_rate_limit_events_total") == {("gpt-4o", "openai"): 1}


@pytest.mark.usefixtures("record")
def test_a_call_that_raises_after_it_was_paid_for_keeps_its_tokens_and_cost() -> None:
    """The original lost both."""

    def paid() -> None:
        with llm_metrics.track_request("gpt-4o", "openai") as metadata:
            metadata["prompt_tokens"], metadata["completion_tokens"], metadata["cost"] = 100, 20, 0.5
            raise ValueError("not JSON")

    with pytest.raises(ValueError, match="not JSON"):
        paid()
    assert figures("llm_tokens_total") == {("gpt-4o", "prompt"): 100, ("gpt-4o", "completion"): 20}
    assert figures("llm_cost_dollars_total") == {("gpt-4o", "openai"): 0.5}
    assert figures("llm_requests_total") == {("gpt-4o", "openai", "error"): 1}


def test_a_request_without_usage_has_unknown_tokens_and_not_none(record: Recording) -> None:
    ask(lambda: Response())
    assert "gen_ai.usage.input_tokens" not in record.span("chat gpt-4o").attributes
    assert figures("llm_tokens_total") == {}
    assert figures("clew_model_calls_total") == {("gpt-4o", "missing"): 1}


@pytest.mark.needs("genai_prices")
def test_an_estimate_is_the_price_of_the_model_and_unknown_where_there_is_none() -> None:
    """The original took 5/15 USD per million for every model that it did not know, gpt-4o among them."""
    assert estimate_llm_cost("gpt-4o", 1000, 500) == pytest.approx(0.0075)
    assert estimate_llm_cost("gpt-4o", 1000, 500) != pytest.approx(0.0125)
    assert estimate_llm_cost("some-model-of-my-own", 1000, 500) is None


@pytest.mark.needs("genai_prices")
@pytest.mark.usefixtures("record")
def test_an_estimate_is_counted_as_computed_and_an_unknown_one_not_at_all() -> None:
    usage = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    ask(lambda: Response(usage))
    ask(lambda: Response(usage), "some-model-of-my-own", "mine")
    assert figures("llm_cost_dollars_total") == {("gpt-4o", "openai"): pytest.approx(0.0075)}
    assert figures("clew_model_calls_total") == {("gpt-4o", "computed"): 1, ("some-model-of-my-own", "unpriced"): 1}


def test_without_prices_an_estimate_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.record.instruments.orchestrator import requests as module

    class Nothing:
        def tariff(self, *_: object) -> None:
            raise MissingExtra("Computing cost", "genai-prices", "server")

    monkeypatch.setattr(module, "_prices", Nothing)
    assert estimate_llm_cost("gpt-4o", 1000, 500) is None


@pytest.mark.usefixtures("record")
def test_locks_and_queues_are_measured() -> None:
    with git_metrics.track_lock_wait():
        assert figures("git_merge_queue_depth") == {(): 1}
    assert figures("git_merge_queue_depth") == {(): 0}
    assert figures("git_lock_wait_duration_seconds") == {(): 1}
    with dispatch_metrics.track_cycle("r") as cycle:
        cycle["dispatched"] = 2
    assert sums("dispatch_tasks_dispatched_per_cycle") == {(): 2}
    with task_metrics.track_director_cycle():
        pass
    assert figures("director_cycle_duration_seconds") == {(): 1}


def test_with_recording_off_the_examples_run_all_the_same(repository: Path) -> None:
    from clew.record import state

    with recording():
        state.use(None)
        made = manager(repository, {"one": "x\n"})
        assert merge(made, "one").success
        assert not merge(made, "missing").success
        with pytest.raises(RateLimitError):
            ask(raising(RateLimitError()))
        asyncio.run(continuous_dispatch_loop("run-1", {"tasks": []}, 1))
        with git_metrics.track_conflict_resolution("llm"), task_metrics.track_task("code_worker", "build"):
            pass
    assert list(live.reading()) == []
