"""Faults that systems like this one have had: each test fails where the fault is still there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import clew
from clew import PersonaMetricsCollector, Usage, WorkflowTracer
from clew.model.catalogue import BY_NAME
from clew.testing import recording

Figures = Callable[[str], dict[tuple[str, ...], float]]
BACKEND, TESTING = "backend-engineer", "testing-specialist"
SEEDS_SIX = (
    "hypertool_persona_switches_total",
    "hypertool_persona_duration_seconds",
    "hypertool_persona_tokens_used_total",
    "hypertool_persona_token_budget_remaining",
    "hypertool_workflow_stage_duration_seconds",
    "hypertool_workflow_quality_gate_total",
)


def test_gates_are_counted_under_the_result_that_queries_ask_for(figures: Figures) -> None:
    """The code wrote ``passed``, the panels asked for ``pass``: the declared values are those that are recorded, and no others."""
    (result,) = [label for label in BY_NAME["hypertool_workflow_quality_gate_total"].labels if label.name == "result"]
    assert result.values == ("passed", "failed")
    with recording():
        for passed in (True, False):
            PersonaMetricsCollector().record_workflow_stage("w", "s", BACKEND, 1.0, passed)
    assert {labels[2] for labels in figures("hypertool_workflow_quality_gate_total")} == set(result.values)


def test_an_overspent_budget_is_below_zero_so_that_the_alert_fires(figures: Figures) -> None:
    """The gauge was clamped at 0, and the alert asks for less than 0."""
    with recording():
        collector = PersonaMetricsCollector()
        collector.record_token_usage(BACKEND, "x", "gpt-4", 5850)
        assert collector.get_remaining_budget(BACKEND) == 2000 - 5850
        assert figures("hypertool_persona_token_budget_remaining")[(BACKEND,)] == -3850


@pytest.mark.parametrize("persona", [BACKEND, "someone-else"])
def test_without_prometheus_client_everything_works(data_dir: Path, persona: str) -> None:
    """``record_token_usage`` raised AttributeError there, for every persona with a budget."""
    script = f"""
        import sys
        sys.modules["prometheus_client"] = None
        import asyncio
        import clew
        from clew.testing import recording

        async def work(collector):
            async with clew.WorkflowTracer("w", collector=collector) as tracer:
                collector.switch_persona(None, {persona!r}, "x")
                await tracer.trace_stage("s", {persona!r}, lambda: None)
                collector.record_token_usage({persona!r}, "x", "gpt-4", 850)
                with collector.track_stage("w", "t", {persona!r}):
                    pass
                collector.record_workflow_stage("w", "u", {persona!r}, 1.0, True)
            collector.reset_budget("testing-specialist")
            return collector.get_remaining_budget({persona!r})

        with recording():
            assert clew.serve_metrics(0).port is None
            print(asyncio.run(work(clew.PersonaMetricsCollector())))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1150\n" if persona == BACKEND else "None\n"), done.stderr


def test_wrapper_and_caller_both_tell_of_the_tokens_and_they_count_once(figures: Figures) -> None:
    """The wrapper guessed 28 tokens and counted them, the caller told of 850: the report showed 1122 left where 1150 are."""
    with recording():
        for usage in (Usage(input_tokens=800, output_tokens=50), Usage(input_tokens=20, output_tokens=8), None):
            collector = PersonaMetricsCollector()
            collector.switch_persona(None, BACKEND, "package-release")
            with clew.llm("generate", model="gpt-4") as call:
                call.usage(usage)
            collector.record_token_usage(BACKEND, "package-release", "gpt-4", 850)
            assert collector.get_remaining_budget(BACKEND) == 1150
            collector.close()
    assert sum(figures("hypertool_persona_tokens_used_total").values()) == 3 * 850


@pytest.mark.parametrize("usage", [{"prompt_tokens": 800, "completion_tokens": 50}, None], ids=["with usage", "without usage"])
def test_an_observed_model_that_is_given_the_collector_counts_once_beside_its_caller(
    figures: Figures, usage: dict[str, int] | None
) -> None:
    """As above, with the wrapper itself; what it cannot know it does not guess."""

    def answers(prompt: str) -> dict[str, object]:
        return {"id": "1", "model": "gpt-4", "choices": [{"message": {"role": "assistant", "content": f"for {prompt}"}}], "usage": usage}

    with recording() as record:
        collector = PersonaMetricsCollector()
        model = clew.ObservableLLM(answers, "gpt-4", metrics=collector)
        with WorkflowTracer("w", collector=collector) as tracer:
            collector.switch_persona(None, BACKEND, "code-gen")
            with tracer.stage_context("s", BACKEND):
                model("hello")
                collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 850)
            assert collector.get_remaining_budget(BACKEND) == 1150
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, "code-gen", "gpt-4"): 850}
    (call,) = [span for span in record.spans if span.kind == "llm"]
    shown = [call.attributes[name] for name in ("clew.persona", "clew.chatmode", "clew.stage", "gen_ai.workflow.name")]
    assert shown == [BACKEND, "code-gen", "s", "w"]


def test_model_calls_are_recorded_under_the_mode_that_holds(figures: Figures) -> None:
    """The mode was the constant ``package-release``."""
    with recording() as record:
        collector = PersonaMetricsCollector()
        for before, mode in ((None, "feature-dev"), (BACKEND, "review")):
            collector.switch_persona(before, BACKEND, mode)
            with clew.llm(f"chat in {mode}", model="gpt-4") as call:
                call.usage(input_tokens=10, output_tokens=0)
        collector.close()
    assert [span.attributes["clew.chatmode"] for span in record.spans if span.kind == "llm"] == ["feature-dev", "review"]
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, mode, "gpt-4"): 10 for mode in ("feature-dev", "review")}


def test_the_last_session_is_ended_and_time_is_booked_on_the_mode_it_was_spent_in(figures: Figures) -> None:
    """The last session was never ended, and a switch booked the old persona's time on the new mode."""
    with recording() as record, WorkflowTracer("w") as tracer:
        tracer.collector.switch_persona(None, BACKEND, "old-mode")
        record.clock.advance(5)
        tracer.collector.switch_persona(BACKEND, TESTING, "new-mode")
        record.clock.advance(2)
    assert figures("hypertool_persona_duration_seconds") == {(BACKEND, "old-mode"): 5, (TESTING, "new-mode"): 2}


@pytest.mark.needs("opentelemetry")
def test_spans_within_a_stage_are_below_it_those_of_opentelemetry_too() -> None:
    """Stage spans were started and not made current."""

    async def inside() -> None:
        with clew.tool("ours"):
            pass
        with clew.tracer_provider().get_tracer("theirs").start_as_current_span("theirs"):
            pass

    async def work() -> None:
        async with WorkflowTracer("w") as tracer:
            await tracer.trace_stage("stage", BACKEND, inside)

    with recording() as record:
        asyncio.run(work())
    stage = record.span("stage")
    assert record.span("ours").parent_span_id == record.span("theirs").parent_span_id == stage.span_id
    assert stage.parent_span_id == record.span("w").span_id


def times_out() -> None:
    with clew.llm("chat", model="gpt-4") as call:
        call.usage(input_tokens=400, output_tokens=0)
        raise TimeoutError("too slow")


def test_a_failed_model_call_is_recorded_with_what_it_used(figures: Figures) -> None:
    """A call that failed left no trace, and what it had used was not counted."""
    with recording() as record:
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "x")
        with pytest.raises(TimeoutError):
            times_out()
        assert collector.get_remaining_budget(BACKEND) == 1600
        collector.close()
    failed = record.span("chat")
    assert (failed.status, failed.attributes["error.type"], failed.attributes["clew.persona"]) == ("error", "timeout", BACKEND)
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, "x", "gpt-4"): 400}


@pytest.mark.needs("prometheus_client")
def test_two_collectors_in_one_process_and_one_registry_do_not_clash() -> None:
    """The second one raised for its duplicated metrics."""
    from prometheus_client import CollectorRegistry, generate_latest

    with recording():
        registry, other = CollectorRegistry(), CollectorRegistry()
        collectors = [PersonaMetricsCollector(registry), PersonaMetricsCollector(registry=registry), PersonaMetricsCollector(other)]
        for collector in collectors:
            collector.switch_persona(None, BACKEND, "x")
            collector.close()
        for each in (registry, other):
            lines = generate_latest(each).decode().splitlines()
            assert [line for line in lines if line.startswith("hypertool_persona_switches_total{")] == [
                f'hypertool_persona_switches_total{{chatmode="x",from_persona="none",to_persona="{BACKEND}"}} 3.0'
            ]


@pytest.mark.needs("prometheus_client")
def test_all_six_metrics_are_shown_after_the_samples_calls() -> None:
    """An ``Info`` was declared and never filled; here each metric that is declared shows what was recorded."""
    from prometheus_client import CollectorRegistry, generate_latest

    with recording():
        registry = CollectorRegistry()
        collector = PersonaMetricsCollector(registry=registry)
        collector.switch_persona(None, BACKEND, "feature-dev")
        collector.record_token_usage(BACKEND, "feature-dev", "gpt-4", 850)
        collector.record_workflow_stage("package_release", "version_bump", BACKEND, 4.2, True)
        collector.close()
        text = generate_latest(registry).decode()
    for name in SEEDS_SIX:
        assert f"\n{name}{'_bucket' if BY_NAME[name].buckets else ''}{{" in text, name
    assert f'hypertool_persona_token_budget_remaining{{persona="{BACKEND}"}} 1150.0' in text


def test_no_private_part_of_prometheus_client_is_read() -> None:
    """Budgets were computed from the private value of a gauge."""
    source = Path(clew.__file__).parent / "record" / "instruments" / "personas"
    for file in source.glob("*.py"):
        text = file.read_text("utf-8")
        assert "prometheus_client." not in text
        assert "._value" not in text
