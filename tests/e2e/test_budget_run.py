"""A workflow that comes to the end of its budget: what the user sees, what is recorded, what the next run may do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clew.testing import Answer, ModelServer

pytestmark = pytest.mark.needs("pydantic_ai", "pocketflow", "chdb")

WORKFLOW = """
name: triage
nodes:
  - {{id: read, type: llm, params: {{model: "openai:gpt-4.1-mini", base_url: "{url}", prompt: "Read it", max_tokens: 50}}}}
  - id: judge
    type: llm
    params: {{model: "openai:gpt-4.1-mini", base_url: "{url}", prompt: "Judge ${{read.response}}", max_tokens: 50}}
    retry: {{attempts: 3}}
edges: [{{from: read, to: judge}}]
"""


def test_a_run_that_hits_its_budget_stops_before_the_call_and_says_so(clew: Any, tmp_path: Path) -> None:
    clew.data_dir.mkdir(parents=True, exist_ok=True)
    (clew.data_dir / "budgets.toml").write_text(
        '[[budget]]\nname = "per run"\ncalls = 1\nper = "run"\n\n[[budget]]\nname = "daily"\nusd = 1\nwindow = "day"\n'
    )
    with ModelServer(lambda _: Answer("a long story")) as server:
        (tmp_path / "triage.yaml").write_text(WORKFLOW.format(url=server.url))
        for extra in ([], ["--no-record"]):
            _, err = clew.run("run", tmp_path / "triage.yaml", *extra, code=3)
            assert "node judge failed: budget per run of run " in err
            assert "is spent: 1 of 1 call spent" in err
        assert len(server.asked) == 2  # one a run: the call beyond the budget was never sent, nor was it tried again
    run = clew.json("runs")[0]
    assert (run["status"], len(clew.json("runs"))) == ("error", 1)
    shown, _ = clew.run("show", "last")
    assert "budget per run" in shown
    spans = clew.json("show", "last")["spans"]
    assert [(span["kind"], span["status"]) for span in spans] == [
        ("workflow", "error"),
        ("node", "ok"),
        ("llm", "ok"),
        ("node", "error"),
        ("llm", "error"),
    ]
    budgets = {state["name"]: state for state in clew.json("budgets", "list")["budgets"] if state["spent"].get("calls") != 0}
    assert budgets["daily"]["spent"]["usd"] > 0
    assert budgets["per run"]["remaining"] == {"calls": 0.0}


def test_a_file_of_budgets_that_cannot_be_used_stops_the_run_before_it_begins(clew: Any, tmp_path: Path) -> None:
    clew.data_dir.mkdir(parents=True, exist_ok=True)
    (clew.data_dir / "budgets.toml").write_text('[[budget]]\nname = "daily"\nusd = "five"\n')
    (tmp_path / "w.yaml").write_text("name: w\nnodes: [{id: a, type: shell, params: {command: 'touch ran'}}]\n")
    _, err = clew.run("run", tmp_path / "w.yaml", code=1)
    assert "budgets.toml, line 3: budget daily: usd = 'five' is not usable" in err
    assert not (tmp_path / "ran").exists()


def test_budgets_are_set_listed_explained_and_reset(clew: Any) -> None:
    clew.run("budgets", "set", "daily", "--usd", "5", "--window", "day", "--soft")
    clew.run("budgets", "set", "daily", "--tokens", "1000")
    assert (
        clew.data_dir / "budgets.toml"
    ).read_text() == '[[budget]]\nname = "daily"\nusd = 5\nwindow = "day"\nhard = false\ntokens = 1000\n'
    (state,) = clew.json("budgets", "list")["budgets"]
    assert (state["name"], state["limits"], state["hard"], state["remaining"]) == (
        "daily",
        {"usd": 5.0, "tokens": 1000.0},
        False,
        {"usd": 5.0, "tokens": 1000.0},
    )
    out, _ = clew.run("budgets", "list")
    assert "daily" in out
    out, _ = clew.run("budgets", "explain", "daily")
    assert "tells" in out
    _, err = clew.run("budgets", "explain", "dayly", code=1)
    assert "did you mean daily" in err
    _, err = clew.run("budgets", "set", "daily", "--window", "fortnight", code=1)
    assert "window = 'fortnight' is not usable" in err
    clew.run("budgets", "reset", "daily")
