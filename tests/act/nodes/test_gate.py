"""A gate between nodes: required it fails the node, advisory it is told, branching it takes an edge of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clew.act.workflow import source
from clew.act.workflow.check import checked, problems
from clew.act.workflow.registry import node_types
from clew.act.workflow.run import run as run_document
from clew.errors import GateFailed
from clew.testing import Answer, ModelServer, recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run

REPORT = '<testsuite><testcase classname="t" name="one"/><testcase classname="t" name="two"><failure/></testcase></testsuite>'
STEPS = """
def enough(count):
    return count / 10
"""


@pytest.mark.parametrize(
    ("check", "result", "score"),
    [
        ({"command": "true"}, "passed", None),
        ({"command": ["sh", "-c", "exit 4"]}, "failed", None),
        ({"junit": "report.xml"}, "failed", 50.0),
        ({"coverage": "coverage.xml", "at_least": 80}, "passed", 81.5),
        ({"function": "steps:enough", "args": {"count": 9}, "at_least": 0.5}, "passed", 0.9),
        ({"function": "steps:enough", "args": {"count": 9}}, "error", None),
        ({"value": False}, "failed", None),
        ({"value": {"passed": True, "score": 3}}, "passed", 3.0),
    ],
)
def test_each_sort_of_check(base: Path, run: Run, check: dict[str, Any], result: str, score: float | None) -> None:
    (base / "report.xml").write_text(REPORT)
    (base / "coverage.xml").write_text('<coverage line-rate="0.815"/>')
    (base / "steps.py").write_text(STEPS)
    with recording() as record:
        told = run("gate", name="ready", required=False, **check)
        assert (told.action, told.results["result"], told.results["score"]) == ("default", result, score)
        assert record.tree() == ["gate ready"]
        branched = run("gate", required=False, branch=True, **check)
        assert branched.action == ("default" if result == "passed" else "failed")
        required = run("gate", **check)
        assert isinstance(required.error, GateFailed) == (result != "passed")


def test_a_model_judges(run: Run) -> None:
    answers = [Answer(json.dumps({"passed": True, "reason": "clear", "score": score})) for score in (0.9, 0.4)]
    with ModelServer(answers) as server, recording() as record:
        asked = {"model": "openai:gpt-4.1", "prompt": "Is it clear?", "base_url": server.url, "at_least": 0.5, "required": False}
        found = [run("gate", **asked).results for _ in answers]
    assert [(each["result"], each["reason"]) for each in found] == [("passed", "clear"), ("failed", "clear")]
    assert record.tree() == ["gate gate", "  llm chat", "gate gate", "  llm chat"]
    assert record.spans[0].attributes["clew.gate.check"] == "model"


DOCUMENT = """
name: release
nodes:
  - id: tests
    type: gate
    params: {command: "exit 1", required: false, branch: true}
  - id: publish
    type: shell
    params: {command: echo published}
  - id: repair
    type: shell
    params: {command: echo repaired}
edges:
  - {from: tests, to: publish}
  - {from: tests, action: failed, to: repair}
"""


def test_a_run_takes_the_edge_of_the_verdict_and_counts_it_for_workflow_and_stage(tmp_path: Path) -> None:
    document = checked(source.parsed(DOCUMENT), node_types())
    with recording() as record:
        found = run_document(document, {}, base=tmp_path)
    assert (found.status, found.stopped) == ("ok", False)
    assert record.tree() == ["workflow release", "  node tests", "    gate tests", "  node repair", "    execution shell"]
    gate = next(span for span in record.spans if span.kind == "gate")
    assert (gate.attributes["gen_ai.workflow.name"], gate.attributes["clew.stage"]) == ("release", "tests")


def test_a_required_gate_stops_the_run(tmp_path: Path) -> None:
    document = checked(
        source.parsed(
            DOCUMENT.replace("required: false, branch: true", "required: true").split("edges")[0]
            + "edges: [{from: tests, to: publish}, {from: publish, to: repair}]"
        ),
        node_types(),
    )
    with recording() as record:
        found = run_document(document, {}, base=tmp_path)
    assert (found.status, found.stopped, found.failed_node) == ("error", True, "tests")
    assert found.error == "node tests failed: gate tests failed: exit 1 ended with 1"
    assert record.tree() == ["workflow release !", "  node tests !", "    gate tests !"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("{}", "a gate makes one check, and none is given"),
        ("{command: x, junit: y}", "command and junit is given"),
        ("{model: 'openai:x'}", "give model and prompt"),
        ("{coverage: x}", "coverage needs at_least"),
        ("{command: x, required: true, branch: true}", "give required: false with branch"),
    ],
)
def test_what_a_gate_cannot_be_is_told_before_the_run(params: str, said: str) -> None:
    text = f"name: x\nnodes:\n  - id: g\n    type: gate\n    params: {params}\n"
    assert said in "\n".join(map(str, problems(source.parsed(text), node_types())))
