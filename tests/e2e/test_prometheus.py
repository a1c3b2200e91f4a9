"""A real Prometheus scrapes ``clew serve`` after the examples ran: every query of the first designs has an answer."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.model.catalogue import BY_NAME
from clew.model.catalogue.check import problems

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "httpx", "uvicorn", "zstandard", "prometheus_client")

ROOT = Path(__file__).parents[2]

SEEDED = (
    *("hypertool_persona_switches_total", "hypertool_persona_duration_seconds", "hypertool_persona_tokens_used_total"),
    *("hypertool_persona_token_budget_remaining", "hypertool_workflow_stage_duration_seconds", "hypertool_workflow_quality_gate_total"),
    *(name for name in BY_NAME if name.startswith(("git_", "dispatch_")) or name in ("director_cycle_duration_seconds", "tasks_by_state")),
    *("task_execution_duration_seconds", "task_completion_total", "task_retry_count", "phoenix_retry_total", "hitl_escalation_total"),
    *("llm_requests_total", "llm_tokens_total", "llm_cost_dollars_total", "llm_request_duration_seconds", "llm_rate_limit_events_total"),
    *("llm_retry_attempts_total",),
)
"""What both designs name, but for active_workers: it is there while a worker works."""

QUERIES = (
    # Personas and workflows.
    "sum(hypertool_persona_switches_total)",
    "avg(hypertool_workflow_stage_duration_seconds)",
    "sum by (persona) (hypertool_persona_tokens_used_total)",
    'sum(hypertool_workflow_quality_gate_total{result="passed"}) / sum(hypertool_workflow_quality_gate_total)',
    'hypertool_persona_token_budget_remaining{persona="backend-engineer"}',
    'hypertool_workflow_stage_duration_seconds_bucket{stage="version_bump",le="5.0"}',
    # What to watch of an orchestrator.
    "git_merge_duration_seconds",
    "git_active_merges",
    'git_merge_total{result="conflict"}',
    'git_conflict_resolution_total{result="success"}',
    "task_execution_duration_seconds",
    'tasks_by_state{status="active"}',
    "task_retry_count",
    "llm_cost_dollars_total",
    "llm_rate_limit_events_total",
    # The guide's, where it was wrong, as they are right: shares and totals, with labels that both sides have.
    "sum(git_merge_total{result='conflict'}) / sum(git_merge_total)",
    "sum by (model) (llm_tokens_total) / sum by (model) (llm_requests_total)",
    "topk(3, sum by (model) (llm_requests_total))",
    "sum by (model, result) (llm_requests_total)",
    "histogram_quantile(0.95, sum by (le) (git_merge_duration_seconds_bucket))",
    'histogram_quantile(0.95, sum by (le, worker_profile) (task_execution_duration_seconds_bucket{phase="build"}))',
)

ORCHESTRATE = """
import asyncio, sys, time
from pathlib import Path
import clew
from clew import git_metrics, llm_metrics, task_metrics
from tests.record.orchestrator import samples as s
from tests.record.orchestrator.test_orchestrator import git, manager, merge, resolving, Model, Response

clew.init(data_dir=sys.argv[1], service="orchestrator")
repository = Path(sys.argv[2]) / "repository"
repository.mkdir()
git(repository, "init", "-q", "--initial-branch=main")
git(repository, "config", "user.name", "Test")
git(repository, "config", "user.email", "test@example.org")
(repository / "a.txt").write_text("one\\n")
git(repository, "add", ".")
git(repository, "commit", "-qm", "first")
made = manager(repository, {"one": "a one\\n", "two": "a two\\n", "three": "x\\n"}, resolving)
for task_id in ("one", "two", "three", "missing"):
    merge(made, task_id)

async def handler(task):
    if task.id == "broken":
        raise ValueError("broken")
    return s.WorkerResult("complete")

async def ask(answer):
    await s.invoke_llm(Model(answer), s.ModelConfig("gpt-4o", "openai"), "hi")

def refuse():
    raise s.RateLimitError("slow down")

async def run():
    await s.worker_node(s.Task("good", retry_count=2), handler)
    try:
        await s.worker_node(s.Task("broken"), handler)
    except ValueError:
        pass
    await s.continuous_dispatch_loop("run-1", {"tasks": [{"status": "ready"}]}, 1)
    await ask(lambda: Response({"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}))
    try:
        await ask(refuse)
    except s.RateLimitError:
        llm_metrics.retry_attempts.labels(model="gpt-4o", provider="openai", error_type="rate_limit").inc()

asyncio.run(run())
with git_metrics.track_lock_wait(), task_metrics.track_director_cycle():
    pass
task_metrics.phoenix_retry_total.labels(phase="build", attempt=1).inc()
task_metrics.hitl_escalation_total.labels(reason="max_retries").inc()
with git_metrics.track_merge(), task_metrics.track_task("code_worker", "build"):
    clew.flush()
    print("ready", flush=True)
    sys.stdin.read()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


Until = Callable[..., Any]


@pytest.fixture
def prometheus(tmp_path: Path, clew: Any, until: Until) -> Iterator[tuple[str, str]]:
    """Addresses of ``clew serve``, with what the examples recorded, and of a Prometheus that scrapes it."""
    import httpx

    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus; run: apt-get install prometheus")
    environment = os.environ | {"CLEW_DATA_DIR": str(clew.data_dir), "PYTHONPATH": str(ROOT)}
    personas = subprocess.run(
        [sys.executable, ROOT / "examples/package_release/personas.py"], env=environment, capture_output=True, text=True
    )
    assert personas.returncode == 0, personas.stderr
    port, own_port = free_port(), free_port()
    started = []
    try:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        orchestrator: Any = subprocess.Popen(
            [sys.executable, "-c", ORCHESTRATE, clew.data_dir, tmp_path], env=environment, cwd=ROOT, **pipes
        )
        started.append(orchestrator)
        assert orchestrator.stdout.readline() == b"ready\n"
        serve = clew.start("serve", "--port", port, "--otlp-http", 0, "--otlp-grpc", 0)
        started.append(serve)
        assert b"Clew serves" in serve.stdout.readline()
        url = f"http://127.0.0.1:{port}"
        until(lambda: "git_active_merges 1.0" in httpx.get(f"{url}/metrics", timeout=60).text, "the orchestrator's merge to be seen")
        rules = tmp_path / "clew_rules.yml"
        rules.write_text(clew.run("metrics", "rules")[0])
        configuration = tmp_path / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 3s, evaluation_interval: 1s}\n"
            f"rule_files: [{rules}]\n"
            f"scrape_configs: [{{job_name: clew, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
        )
        own = [f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address=127.0.0.1:{own_port}"]
        with (tmp_path / "prometheus.log").open("wb") as log:
            started.append(subprocess.Popen([program, *own, "--log.level=warn"], stdout=log, stderr=log))
        yield url, f"http://127.0.0.1:{own_port}"
    finally:
        for process in reversed(started):
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()
        for process in started:
            process.wait(30)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def test_every_metric_and_query_of_the_first_designs_has_data(prometheus: tuple[str, str], until: Until) -> None:
    import httpx

    url, of_prometheus = prometheus

    def read() -> list[Any]:
        return list(parse(httpx.get(f"{url}/metrics", headers={"accept": "application/openmetrics-text"}, timeout=60).text))

    def missing() -> list[str]:
        found = {sample.name for family in read() for sample in family.samples}
        return [name for name in (*SEEDED, "active_workers") if not found & set(BY_NAME[name].samples)]

    until(lambda: not missing(), "every metric")
    parsed = read()
    samples = [sample for family in parsed for sample in family.samples]
    wrong = [
        f"{sample.name} {sample.labels}"
        for name in SEEDED
        for sample in samples
        if sample.name in BY_NAME[name].samples and set(sample.labels) - {"le"} != set(BY_NAME[name].label_names)
    ]
    assert wrong == []
    closed = [(metric, label) for metric in map(BY_NAME.__getitem__, SEEDED) for label in metric.labels if label.values]
    for metric, label in closed:
        values = {sample.labels[label.name] for sample in samples if sample.name in metric.samples}
        assert values <= set(label.values), metric.name

    def answer(query: str) -> Any:
        """None while there is none: it is still starting, or has not scraped in time."""
        try:
            told = httpx.get(f"{of_prometheus}/api/v1/query", params={"query": query}, timeout=30).json()
        except httpx.TransportError:
            return None
        assert told["status"] == "success", told
        return told["data"]["result"]

    answers = {query: until(lambda query=query: answer(query), query) for query in QUERIES}
    assert [wrong for query in QUERIES for wrong in problems(query, known=BY_NAME)] == []

    def figure(query: str) -> float:
        return float(answers[query][0]["value"][1])

    assert figure("sum(git_merge_total{result='conflict'}) / sum(git_merge_total)") == pytest.approx(1 / 4)
    assert 0 < figure('sum(hypertool_workflow_quality_gate_total{result="passed"}) / sum(hypertool_workflow_quality_gate_total)') <= 1


def parse(text: str) -> Any:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    return itertools.chain(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
