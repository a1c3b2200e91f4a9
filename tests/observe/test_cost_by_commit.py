"""What each commit cost: the model calls that led to it, from a run with real git."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clew
from clew.observe.query.costs import costs
from clew.observe.store.store import Store
from clew.record.instruments.git.repository import Repository
from clew.record.instruments.git.results import Conflict
from clew.testing import recording

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "genai_prices")


def ask(usd: float) -> None:
    with clew.llm("answer", model="gpt-4o", provider="openai") as call:
        call.usage(input_tokens=10, output_tokens=1)
        call.cost(usd)


def test_calls_belong_to_the_first_commit_of_their_run_that_ended_after_they_began(store: Store, otlp: Any, tmp_path: Path) -> None:
    with recording() as record:
        with clew.workflow("fix"):
            repository = Repository.init(tmp_path / "r", author="Test <test@example.org>")
            with clew.agent("planner"):
                ask(0.5)
                with clew.decision("which file", options=["a.txt", "b.txt"]) as decision:
                    decision.choose("a.txt")
            with clew.agent("coder"):
                ask(0.25)
                (repository.path / "a.txt").write_text("1\n2\n")
                first = repository.commit("first")
                repository.checkout("feature", create=True)
                (repository.path / "a.txt").write_text("feature\n")
                ask(1.0)
                second = repository.commit("second")
                repository.checkout("main")
                (repository.path / "a.txt").write_text("main\n")
                third = repository.commit("third")
                assert repository.merge("feature").result == "conflict"

            def resolve(conflict: Conflict) -> bool:
                ask(2.0)
                (conflict.directory / "a.txt").write_text("both\n")
                return True

            merged = repository.merge("feature", resolve=resolve, method="llm")
            ask(4.0)
        with clew.workflow("another"):
            ask(8.0)
        otlp.take(store, b"".join(record.lines))
    found = costs(store, by="commit")
    assert {cost.key: (cost.calls, cost.cost_usd, cost.label) for cost in found.rows} == {
        first.commit: (2, 0.75, "coder: 1 file +2 −0, chose a.txt"),
        second.commit: (1, 1.0, "coder: 1 file +1 −2, chose a.txt"),
        merged.commit: (1, 2.0, "1 file +1 −1, 1 in conflict, chose a.txt"),
        "": (2, 12.0, ""),
    }
    assert third.commit not in {cost.key for cost in found.rows}
    assert found.total.cost_usd == 15.75
    assert [cost.key for cost in costs(store, by="commit", where="agent:planner").rows] == [first.commit]
