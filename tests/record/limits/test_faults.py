"""Faults of token budgets that others had, each as a test that fails on what they did."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import clew
from clew.testing import recording

SOURCE = Path(clew.__file__).parent


def test_an_overspend_is_not_cut_to_zero() -> None:
    """A gauge of max(0, ...) never fell below zero, so that no alert on it could fire."""
    with recording(), clew.budget("persona", tokens=2000, hard=False) as budget:
        for used in (850, 5000):
            with clew.llm("chat") as span:
                span.usage(input_tokens=used, output_tokens=0)
        assert budget.state().spent == {"tokens": 5850.0}
        assert budget.state().remaining == {"tokens": -3850.0}
        assert (100.0 in {value: key for key, value in budget.state().fired}) is True


def test_a_call_that_wrapper_and_client_both_record_is_spent_once() -> None:
    """2000 less 850 is 1150, whoever else tells of the same call."""
    with recording(), clew.budget("persona", tokens=2000, hard=False) as budget:
        with clew.agent("backend-engineer") as agent, clew.llm("wrapper") as outer:
            with clew.llm("client") as inner:
                inner.usage(input_tokens=600, output_tokens=250)
            outer.usage(input_tokens=600, output_tokens=250)
            agent.usage(input_tokens=600, output_tokens=250)
        assert budget.state().remaining == {"tokens": 1150.0}


def test_budgets_need_no_metrics_package(tmp_path: Path) -> None:
    """Without prometheus_client every charge of a persona with a budget raised AttributeError."""
    code = f"""
import sys
for name in ("prometheus_client", "genai_prices", "opentelemetry", "pydantic"):
    sys.modules[name] = None
import clew
clew.init(data_dir={str(tmp_path)!r}, spool=False)
budget = clew.budget("backend", tokens=2000, hard=False).apply()
budget.charge(tokens=850)
with clew.llm("chat", max_tokens=10) as span:
    span.usage(input_tokens=100, output_tokens=50)
print(budget.state().remaining["tokens"])
try:
    with clew.budget(usd=1), clew.llm("chat", model="gpt-4o", provider="openai"):
        pass
except clew.BudgetExceeded as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    left, refused = done.stdout.splitlines()
    assert left == "1000.0"
    assert "the price of gpt-4o is not known " in refused
    assert "genai-prices" in refused.replace("_", "-")


@pytest.mark.parametrize("part", ["cost", "record"])
def test_nothing_reads_what_a_metrics_package_keeps_for_itself(part: str) -> None:
    """The value of a counter was read from its private field."""
    read = [
        f"{file.relative_to(SOURCE)}:{node.lineno}"
        for file in (SOURCE / part).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "_value" and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    assert read == []
