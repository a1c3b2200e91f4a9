"""An orchestrator that is instrumented as the first design's examples show, with real git under it."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from clew import dispatch_metrics, estimate_llm_cost, git_metrics, llm_metrics, task_metrics, update_task_state_gauges

logger = logging.getLogger(__name__)

Resolver = Callable[[Path, list[str]], bool]


@dataclass
class MergeResult:
    success: bool
    task_id: str
    error_message: str = ""
    conflict: bool = False
    llm_resolved: bool = False


@dataclass
class WorktreeInfo:
    path: Path
    branch_name: str
    files_modified: list[str] = field(default_factory=list)


class GitManager:
    def __init__(self, repo_path: Path, resolver: Resolver | None = None) -> None:
        self.repo_path = repo_path
        self.main_branch = "main"
        self.worktrees: dict[str, WorktreeInfo] = {}
        self.resolver = resolver

    async def merge_to_main(self, task_id: str) -> MergeResult:
        """Merge a task's branch to main (with metrics)."""
        with git_metrics.track_merge() as metadata:
            info = self.worktrees.get(task_id)
            if not info:
                metadata["result"] = "error"
                return MergeResult(success=False, task_id=task_id, error_message="No worktree found")

            checkout_start = time.time()
            subprocess.run(["git", "checkout", "-q", self.main_branch], cwd=self.repo_path, check=True)
            git_metrics.checkout_duration.observe(time.time() - checkout_start)

            result = subprocess.run(
                ["git", "merge", info.branch_name, "--no-ff", "-m", f"Merge {task_id}"], cwd=self.repo_path, capture_output=True
            )

            if result.returncode == 0:
                metadata["result"] = "success"
                metadata["files_modified"] = len(info.files_modified)
                metadata["conflict_count"] = 0
                return MergeResult(success=True, task_id=task_id)
            conflicted_files = self._get_conflicted_files()
            conflict_count = len(conflicted_files)

            metadata["result"] = "conflict"
            metadata["conflict_count"] = conflict_count
            git_metrics.conflicts_per_merge.observe(conflict_count)

            if await self._llm_resolve_conflict(self.repo_path, conflicted_files):
                metadata["result"] = "success"
                git_metrics.conflict_resolution_total.labels(result="success", method="llm").inc()
                return MergeResult(success=True, task_id=task_id, llm_resolved=True)
            git_metrics.conflict_resolution_total.labels(result="failure", method="llm").inc()
            return MergeResult(success=False, task_id=task_id, conflict=True)

    async def _llm_resolve_conflict(self, repo_path: Path, conflicted_files: list[str]) -> bool:
        """Use LLM to resolve merge conflicts (with metrics)."""
        resolution_start = time.time()
        try:
            if self.resolver is None or not self.resolver(repo_path, conflicted_files):
                raise ValueError("the model gave nothing usable")
            subprocess.run(["git", "add", "--", *conflicted_files], cwd=repo_path, check=True)
            subprocess.run(["git", "commit", "-q", "--no-edit"], cwd=repo_path, check=True)

            duration = time.time() - resolution_start
            git_metrics.conflict_resolution_duration.observe(duration)
            return True

        except Exception as e:
            duration = time.time() - resolution_start
            git_metrics.conflict_resolution_duration.observe(duration)
            logger.error(f"LLM conflict resolution failed: {e}")
            subprocess.run(["git", "merge", "--abort"], cwd=repo_path)
            return False

    def _get_conflicted_files(self) -> list[str]:
        done = subprocess.run(
            ["git", "diff", "--name-only", "--diff-filter=U"], cwd=self.repo_path, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def create_worktree(self, task_id: str, retry_number: int = 0) -> WorktreeInfo:
        """Create worktree (with metrics)."""
        wt_path, branch_name = self.repo_path.parent / f"wt-{task_id}", f"task/{task_id}"
        start_time = time.time()
        try:
            subprocess.run(["git", "branch", branch_name], cwd=self.repo_path, check=True, capture_output=True)
            subprocess.run(
                ["git", "worktree", "add", "--force", str(wt_path), branch_name], cwd=self.repo_path, check=True, capture_output=True
            )
            info = self.worktrees[task_id] = WorktreeInfo(wt_path, branch_name)

            git_metrics.worktree_creation_duration.observe(time.time() - start_time)
            git_metrics.worktree_operations_total.labels(operation="create", result="success").inc()
            return info

        except subprocess.CalledProcessError:
            git_metrics.worktree_creation_duration.observe(time.time() - start_time)
            git_metrics.worktree_operations_total.labels(operation="create", result="error").inc()
            raise


class Profile(Enum):
    CODE = "code_worker"


class Phase(Enum):
    BUILD = "build"


@dataclass
class Task:
    id: str
    assigned_worker_profile: Profile = Profile.CODE
    phase: Phase = Phase.BUILD
    retry_count: int = 0


@dataclass
class WorkerResult:
    status: str


async def worker_node(task: Task, handler: Callable[[Task], Any]) -> Any:
    profile = task.assigned_worker_profile
    phase = task.phase

    execution_start = time.time()

    try:
        result = await handler(task)

        duration = time.time() - execution_start
        task_metrics.execution_duration.labels(worker_profile=profile.value, phase=phase.value).observe(duration)

        status = "success" if result.status == "complete" else "failed"
        task_metrics.completion_total.labels(status=status, worker_profile=profile.value).inc()

        if hasattr(task, "retry_count") and task.retry_count:
            task_metrics.retry_count.observe(task.retry_count)

        return result

    except Exception:
        duration = time.time() - execution_start
        task_metrics.execution_duration.labels(worker_profile=profile.value, phase=phase.value).observe(duration)

        task_metrics.completion_total.labels(status="error", worker_profile=profile.value).inc()

        raise


async def continuous_dispatch_loop(run_id: str, state: dict[str, Any], max_iterations: int) -> None:
    iteration = 0

    while iteration < max_iterations:
        iteration += 1
        cycle_start = time.time()

        ready_tasks = [task for task in state["tasks"] if task["status"] == "ready"]
        completed = [task for task in state["tasks"] if task["status"] == "active"]
        for task in completed:
            task["status"] = "complete"
        for task in ready_tasks:
            task["status"] = "active"

        cycle_duration = time.time() - cycle_start
        dispatch_metrics.loop_cycle_duration.observe(cycle_duration)
        dispatch_metrics.loop_iterations.labels(run_id=run_id).inc()

        update_task_state_gauges(state.get("tasks", []))

        dispatch_metrics.tasks_dispatched_per_cycle.observe(len(ready_tasks))
        dispatch_metrics.worker_completions_per_cycle.observe(len(completed))


class RateLimitError(Exception):
    """What a client library raises when there are too many requests."""


@dataclass
class ModelConfig:
    model_name: str
    provider: str


async def invoke_llm(llm: Any, model_config: ModelConfig, prompt: str) -> Any:
    model_name = model_config.model_name
    provider = model_config.provider

    with llm_metrics.track_request(model=model_name, provider=provider) as metadata:
        try:
            response = await llm.ainvoke(prompt)

            if hasattr(response, "response_metadata"):
                usage = response.response_metadata.get("usage", {})
                prompt_tokens = usage.get("prompt_tokens", 0)
                completion_tokens = usage.get("completion_tokens", 0)

                metadata["prompt_tokens"] = prompt_tokens
                metadata["completion_tokens"] = completion_tokens

                cost = estimate_llm_cost(model_name, prompt_tokens, completion_tokens)
                metadata["cost"] = cost

                metadata["result"] = "success"

            return response

        except RateLimitError:
            metadata["result"] = "rate_limit"
            llm_metrics.rate_limit_events.labels(model=model_name, provider=provider).inc()
            raise

        except TimeoutError:
            metadata["result"] = "timeout"
            raise
