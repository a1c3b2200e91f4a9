"""The samples of the first design work as they were written, with other imports."""

from __future__ import annotations

import asyncio
import contextlib
import io
import runpy
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clew
from clew import PersonaMetricsCollector
from clew.testing import Recording, recording

Figures = Callable[[str], dict[tuple[str, ...], float]]
ROOT = Path(__file__).parents[3]

BASIC = """
from clew import PersonaMetricsCollector, WorkflowTracer

# Initialize
collector = PersonaMetricsCollector()

# Track workflow
async with WorkflowTracer("my_workflow") as tracer:
    # Stage 1
    collector.switch_persona(None, "backend-engineer", "chatmode")
    result1 = await tracer.trace_stage(
        "api_design",
        "backend-engineer",
        design_api_func
    )
    collector.record_token_usage("backend-engineer", "chatmode", "gpt-4", 800)

    # Stage 2
    collector.switch_persona("backend-engineer", "testing-specialist", "chatmode")
    result2 = await tracer.trace_stage(
        "testing",
        "testing-specialist",
        create_tests_func
    )
    collector.record_token_usage("testing-specialist", "chatmode", "gpt-4", 600)
"""

BUDGET = """
collector.record_token_usage("backend-engineer", "code-gen", "gpt-4", 850)
# Budget automatically decremented: 2000 - 850 = 1150 remaining
"""

TRACK = """
with collector.track_stage("workflow", "stage", "persona"):
    # Your code here
    result = do_work()
# Automatically records: duration, quality gate (pass if no exception)
"""

TRACE = """
# Automatically detects and handles async functions
result = await tracer.trace_stage(
    "stage_name",
    "persona",
    async_function,  # ← Can be sync or async
    *args
)
"""

CONTEXT = """
async with tracer.stage_context("stage", "persona") as span:
    # Custom logic here
    result = await complex_operation()
    # Span automatically completed
"""


def carry_out(sample: str, **given: Any) -> dict[str, Any]:
    """Runs a sample as the body of a coroutine; gives the names that it leaves."""
    space: dict[str, Any] = dict(given)
    body = textwrap.indent(sample, "    ")
    exec(f"async def sample():\n{body}\n    return locals()\n", space)
    left: dict[str, Any] = asyncio.run(space["sample"]())
    return left


def inside_a_workflow(sample: str, **given: Any) -> Any:
    indented = textwrap.indent(sample, "    ")
    return carry_out(f"async with WorkflowTracer('w') as tracer:\n{indented}", WorkflowTracer=clew.WorkflowTracer, **given)["result"]


def spans(record: Recording, kind: str) -> list[str]:
    return [span.name for span in record.spans if span.kind == kind]


def test_the_basic_usage(figures: Figures) -> None:
    async def create_tests() -> str:
        return "tests"

    with recording() as record:
        left = carry_out(BASIC, design_api_func=lambda: "api", create_tests_func=create_tests)
        assert (left["result1"], left["result2"]) == ("api", "tests")
        collector = left["collector"]
        assert collector.get_remaining_budget("backend-engineer") == 1200
        assert collector.get_remaining_budget("testing-specialist") == 900
        collector.close()
    assert (spans(record, "workflow"), spans(record, "node")) == (["my_workflow"], ["api_design", "testing"])
    assert figures("hypertool_persona_switches_total") == {
        ("none", "backend-engineer", "chatmode"): 1,
        ("backend-engineer", "testing-specialist", "chatmode"): 1,
    }
    assert set(figures("hypertool_persona_duration_seconds")) == {("backend-engineer", "chatmode"), ("testing-specialist", "chatmode")}
    assert figures("hypertool_workflow_quality_gate_total") == {
        ("my_workflow", "api_design", "passed"): 1,
        ("my_workflow", "testing", "passed"): 1,
    }


def test_the_budget_goes_down() -> None:
    with recording():
        collector = PersonaMetricsCollector()
        carry_out(BUDGET, collector=collector)
        assert collector.get_remaining_budget("backend-engineer") == 1150


def test_a_stage_is_tracked(figures: Figures) -> None:
    with recording():
        left = carry_out(TRACK, collector=PersonaMetricsCollector(), do_work=lambda: 42)
        assert left["result"] == 42
    assert figures("hypertool_workflow_quality_gate_total") == {("workflow", "stage", "passed"): 1}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stage_of_any_function(is_async: bool) -> None:
    async def later(one: int, two: int) -> int:
        return one + two

    with recording() as record:
        assert inside_a_workflow(TRACE, async_function=later if is_async else lambda one, two: one + two, args=(1, 2)) == 3
    assert record.tree() == ["workflow w", "  node stage_name", "    gate nothing raised"]


def test_a_stage_traced_by_hand() -> None:
    async def operation() -> str:
        return "done"

    with recording() as record:
        assert inside_a_workflow(CONTEXT, complex_operation=operation) == "done"
    assert record.tree() == ["workflow w", "  node stage", "    gate nothing raised"]


def test_the_example_prints_the_summary_with_its_figures(monkeypatch: pytest.MonkeyPatch, figures: Figures) -> None:
    monkeypatch.setattr("sys.argv", ["personas.py"])
    out = io.StringIO()
    with recording() as record, contextlib.redirect_stdout(out):
        runpy.run_path(str(ROOT / "examples" / "package_release" / "personas.py"), run_name="__main__")
    expected = """\
        🚀 Starting Package Release Workflow
        ============================================================

        📝 Stage 1: Version Bump
           Persona: backend-engineer
           ✅ Backend implementation for: Update version to 1.2.0
           📊 Tokens: 850
           💰 Budget remaining: 1150

        🧪 Stage 2: Quality Validation
           Persona: testing-specialist
           ✅ Tests created for: Run full test suite
           📊 Tokens: 650
           💰 Budget remaining: 850

        🚀 Stage 3: Publish & Deploy
           Persona: devops-engineer
           ✅ Deployed: Publish to PyPI and deploy
           📊 Tokens: 550
           💰 Budget remaining: 1250

        ============================================================
        ✅ Package Release Workflow Complete!

        📊 Workflow Summary:
           Total personas: 3
           Total tokens: 2050
           Backend budget remaining: 1150
           Testing budget remaining: 850
           DevOps budget remaining: 1250
    """
    assert out.getvalue() == textwrap.dedent(expected)
    assert spans(record, "node") == ["version_bump", "quality_validation", "publish_deploy"]
    assert figures("hypertool_persona_tokens_used_total") == {
        ("backend-engineer", "package-release", "gpt-4"): 850,
        ("testing-specialist", "package-release", "gpt-4"): 650,
        ("devops-engineer", "package-release", "gpt-4"): 550,
    }
    assert figures("hypertool_workflow_quality_gate_total") == {
        ("package_release", "version_bump", "passed"): 1,
        ("package_release", "quality_validation", "passed"): 1,
        ("package_release", "quality_validation", "failed"): 1,
        ("package_release", "publish_deploy", "passed"): 1,
    }


def test_the_six_metrics_have_the_names_types_and_labels_of_the_design() -> None:
    from clew.model.catalogue import BY_NAME

    shown = {name: (BY_NAME[name].type, BY_NAME[name].label_names) for name in BY_NAME if name.startswith("hypertool_")}
    assert shown == {
        "hypertool_persona_switches_total": ("counter", ("from_persona", "to_persona", "chatmode")),
        "hypertool_persona_duration_seconds": ("histogram", ("persona", "chatmode")),
        "hypertool_persona_tokens_used_total": ("counter", ("persona", "chatmode", "model")),
        "hypertool_persona_token_budget_remaining": ("gauge", ("persona",)),
        "hypertool_workflow_stage_duration_seconds": ("histogram", ("workflow", "stage", "persona")),
        "hypertool_workflow_quality_gate_total": ("counter", ("workflow", "stage", "result")),
    }
