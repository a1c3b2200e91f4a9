"""The criteria that the first system with these traces and metrics was specified by, each on a real run of the command line.

A node's function reports from inside the process which collectors exist, so that "is created" is seen and not assumed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clew.act.workflow.document import Document
from clew.act.workflow.figures import RunOutput
from clew.act.workflow.instrumented import InstrumentedNodeWrapper
from clew.act.workflow.metrics import MetricsCollector
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.run import run
from clew.act.workflow.trace_file import read_trace, store_at
from clew.model.usage import Usage
from clew.testing import Answer, ModelServer

pytestmark = pytest.mark.needs("pydantic_ai", "pocketflow")

LOOKING = '''
import gc


def collectors():
    """How many of each there are in this process."""
    kinds = [type(found).__name__ for found in gc.get_objects()]
    return {kind: kinds.count(kind) for kind in ("MetricsCollector", "WorkflowTraceCollector", "InstrumentedNodeWrapper")}


def fail(after):
    raise RuntimeError(f"no more after {after}")
'''

STORY = """
name: story
inputs:
  url: {type: string}
  topic: {type: string, default: the sea}
  model: {type: string, default: gpt-4o-mini}
nodes:
  - {id: look, type: python, params: {function: "looking:collectors"}}
  - {id: draft, type: llm, params: {model: "openai:${inputs.model}", base_url: "${inputs.url}", prompt: "Write about ${inputs.topic}"}}
  - {id: polish, type: llm, params: {model: "openai:${inputs.model}", base_url: "${inputs.url}", prompt: "Polish: ${draft.response}"}}
  - {id: say, type: shell, params: {command: [echo, "${polish.response}"]}}
edges:
  - {from: look, to: draft}
  - {from: draft, to: polish}
  - {from: polish, to: say}
outputs:
  text: ${say.stdout}
  collectors: ${look}
"""

FAILING = STORY.replace(
    '{id: say, type: shell, params: {command: [echo, "${polish.response}"]}}',
    '{id: say, type: python, params: {function: "looking:fail", args: {after: "${polish.response}"}}}',
).replace("${say.stdout}", "${say.result}")

QUIET = """
name: quiet
nodes:
  - {id: hello, type: shell, params: {command: echo hello}}
"""

USAGE = Usage(input_tokens=1_000_000, output_tokens=500_000)


@dataclass(frozen=True)
class Ran:
    """A run of the command line."""

    code: int
    out: str
    err: str
    data_dir: Path

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def traces(self) -> list[Path]:
        return sorted((self.data_dir / "traces").glob("*.json"))

    @property
    def trace(self) -> dict[str, Any]:
        (path,) = self.traces
        return read_trace(path)

    def node(self, node_id: str) -> dict[str, Any]:
        (found,) = [node for node in self.trace["nodes"] if node["node_id"] == node_id]
        return dict(found)


def clew_run(folder: Path, document: str, *arguments: str, **environment: str) -> Ran:
    folder.mkdir(exist_ok=True)
    (folder / "looking.py").write_text(LOOKING)
    (folder / "workflow.yaml").write_text(document)
    return clew(folder, "run", str(folder / "workflow.yaml"), *arguments, **environment)


def clew(folder: Path, *arguments: str, **environment: str) -> Ran:
    variables = os.environ | {"CLEW_DATA_DIR": str(folder / "data"), "OPENAI_API_KEY": "none"} | environment
    command = [sys.executable, "-m", "clew.cli.main", *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
    return Ran(done.returncode, done.stdout, done.stderr, folder / "data")


def story(folder: Path, document: str, *arguments: str, **environment: str) -> Ran:
    with ModelServer([Answer("Waves.", usage=USAGE), Answer("Great waves.", usage=USAGE)]) as server:
        return clew_run(folder, document, "-i", f"url={server.url}", *arguments, **environment)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run that ends well, with metrics and a trace."""
    return story(tmp_path_factory.mktemp("good"), STORY, "--output-format", "json", "--trace")


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The same with a last node that fails."""
    return story(tmp_path_factory.mktemp("failed"), FAILING, "--output-format", "json", "--trace")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run that a model planned from words: it chooses the known workflow; with both traces."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "known").mkdir()
    (folder / "known" / "looking.py").write_text(LOOKING)
    (folder / "known" / "story.yaml").write_text(STORY)
    choice = json.dumps({"number": 1, "inputs": [{"name": "topic", "value": "the sea"}], "reason": "it writes"})
    with ModelServer([Answer(choice, usage=USAGE), Answer("Waves.", usage=USAGE), Answer("Great waves.", usage=USAGE)]) as server:
        flags = ("--yes", "--planner-model", "openai:gpt-4o-mini", "--workflows", str(folder / "known"))
        return clew(
            folder,
            *("run", "write about the sea", "-i", f"url={server.url}", *flags),
            *("--trace", "--trace-planner", "--output-format", "json"),
            OPENAI_BASE_URL=server.url,
        )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The same with no flags but --no-record."""
    return story(tmp_path_factory.mktemp("plain"), STORY, "--no-record")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run without a model."""
    return clew_run(tmp_path_factory.mktemp("quiet"), QUIET, "--output-format", "json", "--trace")


def collectors(ran: Ran) -> dict[str, int]:
    if ran.out.startswith("{"):
        found: dict[str, int] = ran.json["result"]["collectors"]
        return found
    (line,) = [line for line in ran.out.splitlines() if line.startswith("collectors: ")]
    written: dict[str, int] = json.loads(line.removeprefix("collectors: "))
    return written


def test_criterion_1_text_output_makes_no_metrics_collector(plain: Ran) -> None:
    assert plain.code == 0, plain.err
    assert collectors(plain) == {"MetricsCollector": 0, "WorkflowTraceCollector": 0, "InstrumentedNodeWrapper": 0}
    assert not (plain.data_dir / "spool").exists()


def test_criterion_2_json_output_makes_one(good: Ran) -> None:
    assert good.code == 0, good.err
    assert collectors(good)["MetricsCollector"] == 1


def test_criterion_3_trace_makes_a_trace_collector(good: Ran) -> None:
    assert collectors(good)["WorkflowTraceCollector"] == 1
    assert len(good.traces) == 1


def test_criterion_4_trace_planner_traces_the_planner(planned: Ran) -> None:
    assert planned.code == 0, planned.err
    trace = read_trace(planned.traces[0])
    assert (trace["user_input"], trace["path_taken"]) == ("write about the sea", "A")
    assert [call["model"] for call in trace["llm_calls"]] == ["gpt-4o-mini"]


def test_planning_is_counted_apart_from_the_workflow(planned: Ran) -> None:
    metrics = planned.json["metrics"]
    assert (metrics["planner"]["cost_usd"], metrics["workflow"]["cost_usd"], planned.json["total_cost_usd"]) == (0.45, 0.9, 1.35)
    assert 0 < planned.json["duration_planner_ms"] <= planned.json["duration_ms"]
    assert planned.json["num_nodes"] == metrics["planner"]["nodes_executed"] + 4


class Sleepy(NodeType):
    """Lets the monotonic clock go on by 5 ms, and sets the wall clock back by an hour."""

    type = "sleepy"
    clock: Any = None

    def execute(self, params: Any) -> dict[str, Any]:
        self.clock.monotonic_ns += 5_000_000
        self.clock.wall -= 3600
        return {"slept": True}


class TwoClocks:
    monotonic_ns = 1_000_000_000
    wall = 1_800_000_000.0


def test_criterion_5_node_timing_is_monotonic(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TwoClocks()
    monkeypatch.setattr(Sleepy, "clock", clock)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: clock.monotonic_ns)
    monkeypatch.setattr(time, "time", lambda: clock.wall)
    metrics = MetricsCollector()
    document = Document.model_validate({"name": "sleep", "nodes": [{"id": "nap", "type": "sleepy"}]})
    found = run(document, {}, base=Path(), types={"sleepy": Sleepy}, metrics_collector=metrics, record=False)
    assert found.status == "ok"
    assert metrics.get_summary([])["metrics"]["workflow"]["node_timings"] == {"nap": 5.0}


class Publishes:
    """A node of no library, as any may be wrapped: writes what it used to the shared store."""

    successors: ClassVar[dict[str, Any]] = {}

    def _run(self, shared: dict[str, Any]) -> str:
        shared["llm_usage"] = {"model": "gpt-4o-mini", "input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
        return "default"


def test_criterion_6_the_wrapper_looks_at_llm_usage() -> None:
    shared: dict[str, Any] = {}
    wrapper = InstrumentedNodeWrapper(Publishes(), "ask", MetricsCollector())
    assert wrapper._run(shared) == "default"
    assert [(call["node_id"], call["model"], call["total_tokens"]) for call in shared["__llm_calls__"]] == [("ask", "gpt-4o-mini", 7)]
    namespaced: dict[str, Any] = {"ask": {"llm_usage": {"model": "gpt-4o", "input_tokens": 1, "output_tokens": 1}}}
    InstrumentedNodeWrapper(Silent(), "ask", MetricsCollector())._run(namespaced)
    assert [call["model"] for call in namespaced["__llm_calls__"]] == ["gpt-4o"]


class Silent:
    """Does nothing."""

    successors: ClassVar[dict[str, Any]] = {}

    def _run(self, shared: dict[str, Any]) -> None:
        return None


def test_criterion_7_usage_is_appended_to_the_calls(good: Ran) -> None:
    call = good.node("draft")["llm_call"]
    assert call["node_id"] == "draft"
    assert (call["model"], call["input_tokens"], call["output_tokens"], call["total_tokens"]) == (
        "gpt-4o-mini",
        1_000_000,
        500_000,
        1_500_000,
    )
    assert call["prompt"] == "Write about the sea"
    assert call["is_planner"] is False
    assert call["duration_ms"] > 0


def test_criterion_8_each_call_has_an_entry(good: Ran) -> None:
    assert good.json["metrics"]["total"]["total_calls"] == 2
    assert good.trace["llm_summary"]["total_calls"] == 2


def test_criterion_9_the_collector_counts_the_calls_and_nothing_else() -> None:
    metrics = MetricsCollector()
    metrics.record_node_execution("ask", 1.0)
    assert metrics.get_summary([])["metrics"]["total"]["tokens_total"] == 0
    call = {"model": "gpt-4o-mini", "input_tokens": 10, "output_tokens": 5}
    assert metrics.get_summary([call, call])["metrics"]["total"]["tokens_total"] == 30


def test_criterion_10_a_known_model_has_its_exact_cost(good: Ran) -> None:
    assert good.json["total_cost_usd"] == 0.9  # 2 M in, 1 M out; gpt-4o-mini: USD 0.15 and 0.60 per million tokens
    assert MetricsCollector().calculate_costs([{"model": "gpt-4o-mini", "input_tokens": 1_000_000, "output_tokens": 0}]) == 0.15


ROOT_KEYS = {11: "is_error", 12: "duration_ms", 13: "duration_planner_ms", 14: "total_cost_usd", 15: "num_nodes"}
ROOT_VALUES: dict[str, Callable[[Any], bool]] = {
    "is_error": lambda value: value is False,
    "duration_ms": lambda value: isinstance(value, float) and value > 0,
    "duration_planner_ms": lambda value: value is None,
    "total_cost_usd": lambda value: value == 0.9,
    "num_nodes": lambda value: value == 4,
}


@pytest.mark.parametrize("key", [pytest.param(key, id=f"criterion_{number}") for number, key in ROOT_KEYS.items()])
def test_criteria_11_to_15_the_root_has(good: Ran, key: str) -> None:
    assert ROOT_VALUES[key](good.json[key])


def test_criterion_16_the_trace_has_the_store_before_each_node(good: Ran) -> None:
    kept = [set(store_at(good.trace, node, "shared_before")) for node in good.trace["nodes"]]
    assert kept == [{"inputs"}, {"inputs", "look"}, {"inputs", "look", "draft"}, {"inputs", "look", "draft", "polish"}]


def test_criterion_17_the_trace_has_the_store_after_each_node(good: Ran) -> None:
    after = store_at(good.trace, good.node("draft"), "shared_after")
    assert set(after) == {"inputs", "look", "draft"}
    assert after["draft"]["response"] == "Waves."
    assert set(good.node("draft")["mutations"]["added"]) == {"draft"}


def test_criterion_18_the_trace_has_what_each_template_became(good: Ran) -> None:
    assert good.node("polish")["template_resolutions"][-1] == {"param": "prompt", "template": "${draft.response}", "resolved": "Waves."}
    assert [found["template"] for found in good.node("draft")["template_resolutions"]] == [
        "${inputs.model}",
        "${inputs.url}",
        "${inputs.topic}",
    ]
    assert good.node("look")["template_resolutions"] == []


def test_criterion_19_a_failed_node_has_its_error_in_the_trace(failed: Ran) -> None:
    node = failed.node("say")
    assert node["success"] is False
    assert node["error"]["type"] == "RuntimeError"
    assert node["error"]["message"] == "no more after Great waves."


def test_criterion_20_a_failed_run_has_every_node_before_the_failure(failed: Ran) -> None:
    assert failed.code == 1
    assert [(node["node_id"], node["success"]) for node in failed.trace["nodes"]] == [
        ("look", True),
        ("draft", True),
        ("polish", True),
        ("say", False),
    ]
    assert failed.trace["final_status"] == "failed"


def test_criterion_21_the_workflow_trace_is_named_workflow(good: Ran) -> None:
    assert good.traces[0].name.startswith("workflow-")
    assert good.traces[0].stat().st_mode & 0o777 == 0o600


def test_criterion_22_the_planner_trace_is_named_planner(planned: Ran) -> None:
    assert re.fullmatch(r"planner-\d{8}-\d{6}\.json", planned.traces[0].name)
    assert planned.traces[0].stat().st_mode & 0o777 == 0o600


def test_criterion_23_the_trace_has_an_execution_id(good: Ran) -> None:
    assert uuid.UUID(good.trace["execution_id"]).version == 4


def test_criterion_24_the_name_has_the_date_and_time(good: Ran) -> None:
    assert re.fullmatch(r"workflow-\d{8}-\d{6}\.json", good.traces[0].name)


def test_criterion_25_without_a_model_the_cost_is_zero(quiet: Ran) -> None:
    assert quiet.code == 0, quiet.err
    assert quiet.json["total_cost_usd"] == 0.0
    assert quiet.json["metrics"]["workflow"]["cost_usd"] == 0.0


def test_criterion_26_an_unknown_model_has_the_default_price_where_one_is_set(tmp_path: Path) -> None:
    flags = ("--output-format", "json", "--no-record", "-i", "model=nobody-knows-1")
    priced = story(tmp_path / "priced", STORY, *flags, CLEW_DEFAULT_PRICE="0.15/0.60")
    assert priced.json["total_cost_usd"] == 0.9
    unpriced = story(tmp_path / "unpriced", STORY, *flags).json
    assert unpriced["total_cost_usd"] is None
    assert (unpriced["pricing_available"], unpriced["unavailable_models"], unpriced["partial_cost_usd"]) == (False, ["nobody-knows-1"], 0.0)


def test_criterion_27_a_node_without_usage_is_left_out_of_the_sums(good: Ran, quiet: Ran) -> None:
    assert good.json["metrics"]["workflow"]["nodes_executed"] == 4
    assert good.json["metrics"]["total"] == {
        "tokens_input": 2_000_000,
        "tokens_output": 1_000_000,
        "tokens_total": 3_000_000,
        "cost_usd": 0.9,
        "total_calls": 2,
    }
    assert "llm_call" not in quiet.node("hello")


def test_criterion_28_a_failed_node_has_its_time(failed: Ran) -> None:
    timings = failed.json["metrics"]["workflow"]["node_timings"]
    assert list(timings) == ["look", "draft", "polish", "say"]
    assert failed.node("say")["duration_ms"] == timings["say"]


def test_criterion_29_a_trace_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "traces").write_text("a file where the folder should be")
    ran = clew_run(tmp_path, QUIET, "--trace", "--output-format", "json")
    assert ran.code == 0
    assert "clew: warning: no trace is written" in ran.err
    assert ran.json["result"]["stdout"] == "hello\n"
    assert "trace_files" not in ran.json


def test_criterion_30_a_failed_run_has_its_metrics(failed: Ran) -> None:
    found = failed.json
    assert found["is_error"] is True
    assert found["error"] == "node say failed: no more after Great waves."
    assert (found["result"], found["failed_node"], found["num_nodes"], found["total_cost_usd"]) == (None, "say", 4, 0.9)


def test_criterion_31_both_flags_write_two_files(planned: Ran) -> None:
    assert [path.name.split("-")[0] for path in planned.traces] == ["planner", "workflow"]
    assert planned.json["trace_files"] == [str(path) for path in planned.traces]
    assert [node["node_id"] for node in read_trace(planned.traces[1])["nodes"]] == ["look", "draft", "polish", "say"]


@pytest.fixture(params=["good", "failed", "quiet", "planned"])
def any_run(request: pytest.FixtureRequest) -> Ran:
    found: Ran = request.getfixturevalue(request.param)
    return found


def test_what_is_written_fits_the_published_schema(any_run: Ran) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    published = json.loads((Path(__file__).parents[2] / "docs" / "run-output.schema.json").read_text("utf-8"))
    assert published == json.loads(json.dumps(RunOutput.model_json_schema(mode="serialization")))
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(any_run.json, published, jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(any_run.json | {"num_nodes": "four"}, published, jsonschema.Draft202012Validator)
