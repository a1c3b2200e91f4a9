"""The metrics of one process, as Prometheus reads them; and what holds without prometheus_client."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.record.metrics import live
from clew.testing import recording

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def fetch(port: int | None, accept: str = "text/plain") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def parse(text: str) -> Any:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    return text_string_to_metric_families(text)  # type: ignore[no-untyped-call]


def work() -> None:
    with clew.agent("coder"):
        with clew.llm("answer", model="gpt-4o", provider="openai") as call:
            call.usage(input_tokens=100, output_tokens=10)
            call.cost(0.25)
        with clew.tool("search"):
            pass
    with clew.memory("recall", operation="search_memory"):
        pass


@pytest.mark.needs("prometheus_client")
def test_a_process_serves_its_metrics_on_a_port_of_its_own() -> None:
    with recording(), clew.serve_metrics(0) as server:
        work()
        text = fetch(server.port)
    lines = text.splitlines()
    for line in (
        'llm_requests_total{model="gpt-4o",provider="openai",result="success"} 1.0',
        'llm_tokens_total{model="gpt-4o",type="prompt"} 100.0',
        'llm_tokens_total{model="gpt-4o",type="completion"} 10.0',
        'llm_cost_dollars_total{model="gpt-4o",provider="openai"} 0.25',
        'llm_request_duration_seconds_bucket{le="0.5",model="gpt-4o",provider="openai"} 1.0',
        'tool_usage_total{success="true",tool_name="search"} 1.0',
        'agent_execution_total{agent_type="coder",status="success"} 1.0',
        'agent_active{type="coder"} 0.0',
        'memory_operation_duration_count{memory_type="",operation="search_memory"} 1.0',
        'clew_model_calls_total{cost="reported",model="gpt-4o"} 1.0',
    ):
        assert line in lines
    assert server.port is None


@pytest.mark.needs("prometheus_client")
def test_openmetrics_is_valid_and_its_exemplars_name_the_trace() -> None:
    with recording() as record, clew.serve_metrics(0) as server:
        work()
        families = {family.name: family for family in parse(fetch(server.port, OPENMETRICS))}
        trace_id = record.span("answer").trace_id
    [bucket] = [sample for sample in families["llm_request_duration_seconds"].samples if sample.exemplar]
    assert bucket.exemplar is not None
    assert bucket.exemplar.labels == {"trace_id": trace_id}
    assert {sample.labels["quantile"] for sample in families["memory_operation_duration"].samples if "quantile" in sample.labels} == {
        *("0.5", "0.9", "0.95", "0.99")
    }


@pytest.mark.needs("prometheus_client")
def test_collectors_do_not_clash_in_one_registry_or_in_several() -> None:
    from prometheus_client import CollectorRegistry, generate_latest

    first, second = CollectorRegistry(auto_describe=True), CollectorRegistry()
    with recording():
        first.register(clew.metrics_collector())
        second.register(clew.metrics_collector())
        second.register(clew.metrics_collector())
        work()
        assert 'tool_usage_total{success="true",tool_name="search"} 1.0' in generate_latest(first).decode()
        assert generate_latest(second).decode().count('tool_usage_total{success="true",tool_name="search"} 1.0') == 2


@pytest.mark.needs("prometheus_client")
def test_a_second_worker_that_finds_the_port_taken_goes_on() -> None:
    with recording(), clew.serve_metrics(0) as server:
        assert server.port is not None
        assert clew.serve_metrics(server.port).port is None


def test_active_agents_are_those_that_are_open() -> None:
    with recording():
        clew.metrics_collector()
        with clew.agent("coder"), clew.agent("helper"), clew.git("merge"):
            assert figures("agent_active") == {("coder",): 1, ("helper",): 1}
            assert figures("git_active_merges") == {(): 1}
        assert figures("agent_active") == {("coder",): 0, ("helper",): 0}


def test_only_leaf_model_calls_are_summed() -> None:
    with recording():
        clew.metrics_collector()
        with clew.agent("coder", model="gpt-4o") as agent, clew.llm("outer", model="gpt-4o") as outer:
            with clew.llm("inner", model="gpt-4o") as inner:
                inner.usage(input_tokens=10, output_tokens=1)
            outer.usage(input_tokens=10, output_tokens=1)
            agent.usage(input_tokens=10, output_tokens=1)
        assert figures("llm_tokens_total") == {("gpt-4o", "prompt"): 10, ("gpt-4o", "completion"): 1}
        assert figures("llm_requests_total") == {("gpt-4o", "", "success"): 1}


def figures(name: str) -> dict[tuple[str, ...], float]:
    return {labels: series.value for metric, found in live.reading() if metric.name == name for labels, series in found}


def _in_child(answers: Any) -> None:
    with clew.tool("search"):
        pass
    answers.put(figures("tool_usage_total"))


def test_a_forked_child_counts_only_its_own() -> None:
    with recording():
        clew.metrics_collector()
        for _ in range(3):
            with clew.tool("search"):
                pass
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=_in_child, args=(answers,))
        child.start()
        assert answers.get(timeout=30) == {("search", "true"): 1}
        child.join()
        assert figures("tool_usage_total") == {("search", "true"): 3}


FORKING = """
import os, sys, clew
from clew.record.metrics import live
clew.init(data_dir=sys.argv[1])
clew.metrics_collector()
clew.init(data_dir=sys.argv[1])
def work():
    with clew.tool("search"):
        pass
work()
if not os.fork():
    work()
    print([series.value for metric, found in live.reading() if metric.name == "tool_usage_total" for _, series in found], flush=True)
    os._exit(0)
os.wait()
"""


def test_a_span_counts_once_after_another_start_and_a_fork(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKING, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[1.0]\n"


def test_without_prometheus_client_everything_is_there_and_does_nothing(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "prometheus_client" or name.endswith("metrics.exposition")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with recording():
        server = clew.serve_metrics(0)
        work()
        clew.metric("hypertool_persona_token_budget_remaining").labels(persona="backend-engineer").set(1150)
        assert list(clew.metrics_collector().collect()) == []
        assert figures("hypertool_persona_token_budget_remaining") == {("backend-engineer",): 1150}
    assert server.port is None
    assert "pip install 'clew[metrics]'" in caplog.text
    server.close()
