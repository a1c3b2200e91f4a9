"""The example of a recorded program, run as a user runs it: the real program, the real command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("chdb")
pytest.importorskip("openai")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fix_issue"
CLEW = Path(sys.executable).with_name("clew")

# USD per million tokens: input, input from the cache, output. The providers' list prices.
PRICES = {"gpt-4.1": (2.0, 0.5, 8.0), "gpt-4.1-mini": (0.4, 0.1, 1.6), "o4-mini": (1.1, 0.275, 4.4)}


# One owner of the store serves several commands, as it does for a user.
def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=os.environ | {"CLEW_OWNER_LINGER_S": "2"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{shlex.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the example recorded in it once."""
    place = tmp_path_factory.mktemp("program") / "data"
    said = run(sys.executable, EXAMPLE / "main.py", "--data-dir", place)
    assert "coder: Spread the rest of a bill over the first guests" in said
    assert "reviewer: approve" in said
    assert "merged as " in said
    assert said.endswith("37 spans recorded\n")
    return place


def rows(data_dir: Path, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(CLEW, "--data-dir", data_dir, "sql", "--json", query))
    return found


def test_the_record_is_one_whole_tree(recorded: Path) -> None:
    kinds = rows(recorded, "SELECT kind, count() AS n FROM spans GROUP BY kind ORDER BY kind")
    assert {row["kind"]: row["n"] for row in kinds} == {
        "agent": 3,
        "decision": 1,
        "execution": 1,
        "gate": 1,
        "git": 9,
        "llm": 9,
        "message": 2,
        "node": 4,
        "tool": 6,
        "workflow": 1,
    }
    assert rows(recorded, "SELECT name, status, state, spans, errors, session_id, user_id FROM runs") == [
        {"name": "fix issue", "status": "ok", "state": "ended", "spans": 37, "errors": 1, "session_id": "till issues", "user_id": "ada"}
    ]
    orphans = "SELECT name FROM spans WHERE parent_span_id != '' AND parent_span_id NOT IN (SELECT span_id FROM spans)"
    assert rows(recorded, orphans) == []


def test_the_failed_test_run_is_the_only_error_and_says_why(recorded: Path) -> None:
    (error,) = rows(recorded, "SELECT tool, agent, error_type, status_message FROM tool_calls WHERE status = 'error'")
    assert (error["tool"], error["agent"], error["error_type"]) == ("run_tests", "coder", "TestsFailed")
    assert "test_shares_add_up_to_the_bill" in error["status_message"]


def test_the_decision_keeps_its_options_and_reason(recorded: Path) -> None:
    (decision,) = rows(recorded, "SELECT options, choice, reason, confidence FROM decisions")
    assert [(option["name"], option["score"]) for option in json.loads(decision["options"])] == [
        ("give the rest to the last guest", 0.35),
        ("spread the rest over the first guests", 0.9),
        ("round with Decimal", 0.2),
    ]
    assert decision["choice"] == "spread the rest over the first guests"
    assert decision["reason"].startswith("The test suite asks for shares")
    assert decision["confidence"] == 0.86


def test_the_tree_shows_what_was_decided_and_why(recorded: Path) -> None:
    lines = [line.strip() for line in run(CLEW, "--data-dir", recorded, "show", "last").splitlines()]
    place = lines.index("→ spread the rest over the first guests (confidence 0.86, by planner)")
    assert lines[place - 1].startswith("decision")
    assert lines[place + 1] == "The test suite asks for shares that differ by one cent at most, which only this option gives."


def test_every_call_has_the_usage_that_the_provider_sent_and_its_list_price(recorded: Path) -> None:
    calls = rows(recorded, "SELECT * FROM model_calls ORDER BY start_time")
    assert [(call["agent"], re.sub(r"-\d{4}-\d\d-\d\d$", "", call["model"])) for call in calls] == [
        *[("planner", "gpt-4.1")] * 2,
        *[("coder", "gpt-4.1-mini")] * 6,
        ("reviewer", "o4-mini"),
    ]
    assert {(call["usage_source"], call["cost_source"], call["status"]) for call in calls} == {("provider", "computed", "ok")}
    assert [call["reasoning_tokens"] for call in calls] == [0] * 8 + [192]
    assert sum(call["cache_read_tokens"] > 0 for call in calls) >= 5
    for call in calls:
        full, cached, output = PRICES[re.sub(r"-\d{4}-\d\d-\d\d$", "", call["model"])]
        uncached = call["input_tokens"] - call["cache_read_tokens"]
        cost = (uncached * full + call["cache_read_tokens"] * cached + call["output_tokens"] * output) / 1e6
        assert call["cost_usd"] == pytest.approx(cost, abs=1e-9)


def test_messages_are_kept_as_they_were_sent(recorded: Path) -> None:
    said = rows(recorded, "SELECT content FROM messages WHERE direction = 'output' AND content != ''")
    assert any("Integer division dropped the rest, so a bill could lose cents." in row["content"] for row in said)


def test_the_tree_shows_the_error_and_the_retry(recorded: Path) -> None:
    tree = run(CLEW, "--data-dir", recorded, "show", "last")
    assert tree.count("run_tests") >= 2
    assert "test_shares_add_up_to_the_bill" in tree
    assert re.search(r"\$0\.0\d+", tree)


@pytest.fixture
def other_model() -> Iterator[str]:
    """Base URL of a model server that is not the example's own."""
    with subprocess.Popen([sys.executable, EXAMPLE / "model_server.py"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip().removeprefix("OPENAI_BASE_URL=")
        finally:
            server.kill()


def test_a_named_model_is_called_where_the_client_finds_it(other_model: str, data_dir: Path) -> None:
    run(sys.executable, EXAMPLE / "main.py", "--model", "gpt-4.1-nano", OPENAI_BASE_URL=other_model, OPENAI_API_KEY="any")
    assert rows(data_dir, "SELECT DISTINCT model FROM model_calls") == [{"model": "gpt-4.1-nano"}]
