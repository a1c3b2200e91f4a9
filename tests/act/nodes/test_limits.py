"""Budgets and limits of loops inside a workflow's nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import clew
from clew.act.workflow import source
from clew.act.workflow.check import checked
from clew.act.workflow.registry import node_types
from clew.act.workflow.run import RunResult
from clew.act.workflow.run import run as run_document
from clew.model.usage import Usage
from clew.testing import Answer, ModelServer, Recording, recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run

TOOLS = '''
def look(place: str) -> str:
    """Looks at a place."""
    return "nothing here"
'''


@pytest.fixture
def record() -> Iterator[Recording]:
    with recording() as made:
        yield made


def test_a_model_without_room_gives_way_to_the_next_one(run: Run, record: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer(lambda body: Answer(f"by {body['model']}")) as server, clew.budget("dear", calls=0, model="gpt-4.1"):
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        told = run("llm", model="openai:gpt-4.1", prompt="hi", fallback_models=["openai:gpt-4.1-mini"])
    assert told.results["response"] == "by gpt-4.1-mini"
    assert "budget dear is spent" in told.results["fallbacks"][0]["reason"]
    assert len(server.asked) == 1


def test_a_loop_of_tools_is_stopped_and_the_model_is_not_asked_about_it(base: Path, run: Run, record: Recording) -> None:
    (base / "steps.py").write_text(TOOLS)
    with ModelServer(lambda _: Answer(calls=(("look", {"place": "here"}),))) as server, clew.runaway(repeats=2):
        told = run("llm", model="openai:gpt-4.1", base_url=server.url, prompt="find it", tools=["steps:look"])
    assert isinstance(told.error, clew.LoopDetected)
    assert told.message == "tool look is called with the same arguments for the 3rd time; the limit is 2 (repeats)"
    assert len(server.asked) == 3


def test_a_replayed_call_needs_no_room(base: Path, run: Run, record: Recording) -> None:
    with ModelServer([Answer("recorded")]) as server:
        run("llm", model="openai:gpt-4.1", base_url=server.url, prompt="hi", record_to="calls.jsonl")
    with clew.budget(calls=0, tokens=0) as budget:
        assert run("llm", model="replay:calls.jsonl", prompt="hi").results["response"] == "recorded"
        assert budget.state().spent == {"tokens": 0.0, "calls": 0.0}


DOCUMENT = """
name: w
nodes:
  - id: ask
    type: llm
    params: {{model: "openai:gpt-4.1", base_url: "{url}", prompt: hi}}
    retry: {{attempts: 5, wait_s: 30}}
"""


def result(url: str, base: Path) -> RunResult:
    return run_document(checked(source.parsed(DOCUMENT.format(url=url)), node_types()), {}, base=base)


def test_a_refused_node_is_not_tried_again(tmp_path: Path, record: Recording) -> None:
    with ModelServer([]) as server, clew.budget("none", calls=0):
        found = result(server.url, tmp_path)
    assert (found.status, found.stopped, found.calls, len(server.asked)) == ("error", True, [], 0)
    assert [span.kind for span in record.spans].count("llm") == 1


def test_the_real_usage_of_a_node_replaces_its_reservation(tmp_path: Path, record: Recording) -> None:
    with ModelServer([Answer("hello", usage=Usage(input_tokens=70, output_tokens=30))]) as server, clew.budget(tokens=50_000) as budget:
        assert result(server.url, tmp_path).status == "ok"
        assert (budget.state().spent, budget.state().reserved) == ({"tokens": 100.0}, {"tokens": 0.0})
