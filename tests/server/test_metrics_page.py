"""``GET /metrics`` of the server: every process that reports, in the formats of Prometheus."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "httpx", "uvicorn", "prometheus_client", "opentelemetry.proto")

PROGRAM = """
import sys, clew
clew.init(data_dir=sys.argv[1])
with clew.agent("coder"):
    with clew.llm("answer", model="gpt-4o", provider="openai") as call:
        call.usage(input_tokens=100, output_tokens=10)
        call.cost(0.25)
clew.metric("git_lock_wait_duration_seconds").observe(0.2)
clew.metric("dispatch_loop_iterations_total").labels(run_id="one").inc()
"""


WORKERS = """
import os, sys, clew
clew.init(data_dir=sys.argv[1])
clew.metrics_collector()
def work():
    with clew.tool("search"):
        clew.metric("hitl_escalation_total").labels(reason="ambiguity").inc()
work()
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
work()
"""
"""A server that works before it forks its workers, and after."""

GAUGE = """
import sys, clew
clew.init(data_dir=sys.argv[1])
clew.metric("git_merge_queue_depth").set(3)
clew.flush()
print("set", flush=True)
sys.stdin.read()
"""


def scrape(running: Any, accept: str = "text/plain") -> Any:
    import httpx

    return httpx.get(f"{running.url}/metrics", headers={"accept": accept}, timeout=60)


def taken_in(running: Any) -> None:
    from clew.observe.ingest.spool import sweep

    sweep(running.store, compact=False)


def test_every_process_that_reports_is_in_it(start: Any) -> None:
    running = start()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM, str(running.store.data_dir)], check=True)
    taken_in(running)
    answer = scrape(running)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'llm_tokens_total{model="gpt-4o",type="prompt"} 200.0',
        'llm_cost_dollars_total{model="gpt-4o",provider="openai"} 0.5',
        'agent_execution_total{agent_type="coder",status="success"} 2.0',
        'dispatch_loop_iterations_total{run_id="one"} 2.0',
        "git_lock_wait_duration_seconds_count 2.0",
        'git_lock_wait_duration_seconds_bucket{le="0.5"} 2.0',
    ):
        assert line in lines
    subprocess.run([sys.executable, "-c", PROGRAM, str(running.store.data_dir)], check=True)
    taken_in(running)
    assert 'llm_tokens_total{model="gpt-4o",type="prompt"} 300.0' in scrape(running).text.splitlines()


def test_openmetrics_has_exemplars_with_the_trace(start: Any) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    running = start()
    subprocess.run([sys.executable, "-c", PROGRAM, str(running.store.data_dir)], check=True)
    taken_in(running)
    answer = scrape(running, "application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    parsed: Any = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    [trace_id] = [trace_id for (trace_id,) in running.store.query("SELECT DISTINCT trace_id FROM spans").result_rows]
    exemplars = [sample.exemplar for sample in families["llm_request_duration_seconds"].samples if sample.exemplar]
    assert [exemplar.labels for exemplar in exemplars] == [{"trace_id": trace_id}]


def test_promtool_finds_nothing_wrong(start: Any) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool; run: apt-get install prometheus")
    running = start()
    subprocess.run([sys.executable, "-c", PROGRAM, str(running.store.data_dir)], check=True)
    taken_in(running)
    text = scrape(running).text
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    faults = [line for line in done.stderr.splitlines() if "error" in line.lower() or "parsing" in line.lower()]
    assert faults == []


def test_the_server_measures_its_own_requests_by_route(start: Any) -> None:
    import httpx

    running = start()
    httpx.get(f"{running.url}/api/v1/runs/0123456789abcdef0123456789abcdef", timeout=30)
    httpx.get(f"{running.url}/no/such/page", timeout=30)
    scrape(running)
    lines = scrape(running).text.splitlines()
    paths = {line.split('path="')[1].split('"')[0] for line in lines if line.startswith("api_request_duration_count")}
    assert {"/api/v1/runs/{run_id}", "/metrics", "other"} <= paths
    assert not any("0123456789" in path for path in paths)
    assert 'database_connections{state="open"}' in "\n".join(lines)


def test_other_machines_need_a_key_for_it(start: Any) -> None:
    assert scrape(start(exposed=True)).status_code == 401


def test_forked_workers_are_counted_once_each(start: Any) -> None:
    running = start()
    subprocess.run([sys.executable, "-c", WORKERS, str(running.store.data_dir)], check=True)
    taken_in(running)
    lines = scrape(running).text.splitlines()
    assert 'tool_usage_total{success="true",tool_name="search"} 5.0' in lines
    assert 'hitl_escalation_total{reason="ambiguity"} 5.0' in lines


def test_what_a_process_has_set_goes_with_it(start: Any) -> None:
    running = start()
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", GAUGE, str(running.store.data_dir)], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"set\n"
        taken_in(running)
        assert "git_merge_queue_depth 3.0" in scrape(running).text.splitlines()
    taken_in(running)
    assert "git_merge_queue_depth" not in scrape(running).text
