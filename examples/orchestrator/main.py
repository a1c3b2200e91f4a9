"""A dispatch loop with three workers looks over the Python files of a directory, and Clew records each task and what waits.

``python examples/orchestrator/main.py [DIRECTORY]`` needs no network and no model: a worker reads a file, compiles it and counts its
functions. A file that does not compile is a task that failed.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import clew
from clew import dispatch_metrics, task_metrics, update_task_state_gauges

WORKERS = 3
PHASES = {"plan": "planner_worker", "build": "code_worker", "test": "test_worker"}


@dataclass
class Task:
    path: Path
    status: str = "pending"
    functions: int = 0

    @property
    def priority(self) -> str:
        return "high" if self.path.stat().st_size < 10_000 else "low"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parents[1], help="default: the examples")
    parser.add_argument("--data-dir", help="where Clew keeps the record; default: CLEW_DATA_DIR, else ~/.clew")
    options = parser.parse_args()
    tasks = [Task(path) for path in sorted(options.directory.rglob("*.py"))]
    if not tasks:
        parser.error(f"there is no Python file in {options.directory}")
    clew.init(service="orchestrator", data_dir=options.data_dir)
    with clew.workflow("look over the files"):
        dispatch(tasks)
    clew.flush()
    failed = sum(task.status == "failed" for task in tasks)
    print(
        f"{len(tasks)} files, {sum(task.functions for task in tasks)} functions, {failed} that do not compile; {clew.stats().written} spans recorded"
    )


def dispatch(tasks: list[Task]) -> None:
    """Gives tasks to free workers until none is left; what waits and what goes on is told in each round."""
    waiting, going = list(tasks), set[Future[None]]()
    with ThreadPoolExecutor(WORKERS) as workers:
        while waiting or going:
            with dispatch_metrics.track_cycle("look over the files") as cycle:
                for task in take(waiting, WORKERS - len(going)):
                    task.status = "active"
                    going.add(workers.submit(work, task))
                    cycle["dispatched"] += 1
                tell(tasks, waiting)
                done, going = wait(going, return_when=FIRST_COMPLETED)
                cycle["completed"] = len(done)
                for one in done:
                    one.result()
    tell(tasks, waiting)


def take(waiting: list[Task], most: int) -> Iterator[Task]:
    for _ in range(min(most, len(waiting))):
        yield waiting.pop(0)


def tell(tasks: list[Task], waiting: list[Task]) -> None:
    update_task_state_gauges(tasks)
    for priority in ("high", "low"):
        clew.metric("task_queue_size").labels(priority=priority).set(sum(task.priority == priority for task in waiting))


def work(task: Task) -> None:
    tree = None
    for phase, profile in PHASES.items():
        with task_metrics.track_task(profile, phase, task_id=task.path.name) as told:
            if phase == "plan":
                text = task.path.read_text()
            elif phase == "build":
                try:
                    tree = ast.parse(text, task.path.name)
                except SyntaxError:
                    told["status"] = task.status = "failed"
                    return
            elif tree is not None:
                task.functions = sum(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    task.status = "completed"


if __name__ == "__main__":
    main()
