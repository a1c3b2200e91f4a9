"""What a persona did is recorded once, on the right persona, mode and stage, and its budget says what is left."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import clew
from clew import PersonaMetricsCollector, get_persona_metrics, reset_persona_metrics
from clew.errors import PersonaError
from clew.testing import recording

Figures = Callable[[str], dict[tuple[str, ...], float]]

BACKEND, TESTING, DEVOPS = "backend-engineer", "testing-specialist", "devops-engineer"


def test_a_switch_says_from_whom_to_whom_and_in_which_mode(figures: Figures) -> None:
    with recording() as record:
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "feature-dev")
        collector.switch_persona(BACKEND, TESTING, "review")
        assert (collector.persona, collector.chatmode) == (TESTING, "review")
        collector.close()
        assert (collector.persona, collector.chatmode) == (None, None)
    assert figures("hypertool_persona_switches_total") == {("none", BACKEND, "feature-dev"): 1, (BACKEND, TESTING, "review"): 1}
    assert [(span.name, span.attributes["clew.persona.from"], span.attributes["clew.chatmode"]) for span in record.spans] == [
        (BACKEND, "none", "feature-dev"),
        (TESTING, BACKEND, "review"),
    ]


def test_time_is_booked_on_the_persona_and_the_mode_that_it_was_spent_in(figures: Figures) -> None:
    with recording() as record:
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "feature-dev")
        record.clock.advance(7)
        collector.switch_persona(BACKEND, TESTING, "review")
        record.clock.advance(3)
        collector.close()
    assert figures("hypertool_persona_duration_seconds") == {(BACKEND, "feature-dev"): 7, (TESTING, "review"): 3}


def test_tokens_count_against_the_budget_and_overspending_is_negative(figures: Figures) -> None:
    with recording():
        collector = PersonaMetricsCollector()
        collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 850)
        assert collector.get_remaining_budget(BACKEND) == 1150
        collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 5000)
        assert collector.get_remaining_budget(BACKEND) == -3850
        collector.switch_persona(None, TESTING, "review")
        assert figures("hypertool_persona_token_budget_remaining") == {(BACKEND,): -3850, (TESTING,): 1500}
        PersonaMetricsCollector()
        assert figures("hypertool_persona_token_budget_remaining")[(BACKEND,)] == -3850, "one that begins hides nothing"
        collector.reset_budget(BACKEND)
        assert collector.get_remaining_budget(BACKEND) == 2000
        assert figures("hypertool_persona_token_budget_remaining")[(BACKEND,)] == 2000
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, "code-gen", "gpt-4"): 5850}


def test_a_persona_without_a_profile_is_counted_and_has_no_budget(figures: Figures) -> None:
    with recording():
        collector = PersonaMetricsCollector()
        collector.switch_persona("backend", "frontend", "feature-dev")
        collector.record_token_usage("frontend", "feature-dev", "gpt-4", 5)
        collector.reset_budget("frontend")
        assert collector.get_remaining_budget("frontend") is None
        collector.close()
    assert figures("hypertool_persona_tokens_used_total") == {("frontend", "feature-dev", "gpt-4"): 5}
    assert figures("hypertool_persona_switches_total") == {("backend", "frontend", "feature-dev"): 1}


def test_recorded_model_calls_are_the_personas_and_count_once(figures: Figures) -> None:
    with recording() as record:
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "code-gen")
        with clew.llm("outer", model="gpt-4") as outer:  # a wrapper around an instrumented client: one call
            with clew.llm("chat", model="gpt-4") as call:
                call.usage(input_tokens=500, output_tokens=100)
            outer.usage(input_tokens=500, output_tokens=100)
        assert collector.get_remaining_budget(BACKEND) == 1400
        assert figures("hypertool_persona_token_budget_remaining")[(BACKEND,)] == 1400
        collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 600)
        assert collector.get_remaining_budget(BACKEND) == 1400, "said already"
        collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 50)
        assert collector.get_remaining_budget(BACKEND) == 1350, "said anew"
        collector.close()
    assert record.span("chat").attributes["clew.persona"] == BACKEND
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, "code-gen", "gpt-4"): 650}


def test_what_is_said_within_a_call_counts_once_too(figures: Figures) -> None:
    with recording():
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "code-gen")
        with clew.llm("chat", model="gpt-4") as call:
            call.usage(input_tokens=500, output_tokens=100)
            collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 600)
        with clew.llm("without usage", model="gpt-4"):
            collector.record_token_usage(BACKEND, "code-gen", "gpt-4", 70)
        assert collector.get_remaining_budget(BACKEND) == 1330
        collector.close()
    assert sum(figures("hypertool_persona_tokens_used_total").values()) == 670


def test_stages_and_gates_told_afterwards(figures: Figures) -> None:
    with recording() as record:
        PersonaMetricsCollector().record_workflow_stage("package_release", "version_bump", BACKEND, 5.1, True)
        PersonaMetricsCollector().record_workflow_stage("package_release", "publish", DEVOPS, 2.0, False)
    assert figures("hypertool_workflow_stage_duration_seconds") == {
        ("package_release", "version_bump", BACKEND): 5.1,
        ("package_release", "publish", DEVOPS): 2,
    }
    assert figures("hypertool_workflow_quality_gate_total") == {
        ("package_release", "version_bump", "passed"): 1,
        ("package_release", "publish", "failed"): 1,
    }
    assert record.tree() == ["node version_bump", "  gate quality gate", "node publish", "  gate quality gate"]


def test_a_tracked_stage_takes_its_time_and_fails_by_what_it_raises(figures: Figures) -> None:
    with recording() as record:
        collector = PersonaMetricsCollector()
        with collector.track_stage("w", "good", BACKEND):
            record.clock.advance(4)
        with pytest.raises(ZeroDivisionError), collector.track_stage("w", "bad", BACKEND):
            1 / 0  # noqa: B018
        with pytest.raises(ZeroDivisionError), collector.track_stage("w", "quiet", BACKEND, auto_quality_gate=False):
            1 / 0  # noqa: B018
    assert figures("hypertool_workflow_stage_duration_seconds")[("w", "good", BACKEND)] == 4
    assert figures("hypertool_workflow_quality_gate_total") == {("w", "good", "passed"): 1, ("w", "bad", "failed"): 1}
    assert record.tree() == ["node good", "  gate nothing raised", "node bad !", "  gate nothing raised", "node quiet !"]
    assert record.span("bad").message == "division by zero"


def test_a_stage_with_gates_of_its_own_is_judged_by_them(figures: Figures) -> None:
    with recording():
        collector = PersonaMetricsCollector()
        with collector.track_stage("w", "s", BACKEND):
            with clew.gate("tests"):
                pass
            with clew.gate("style", required=False) as style:
                style.failed("two lines are too long")
    assert figures("hypertool_workflow_quality_gate_total") == {("w", "s", "passed"): 1, ("w", "s", "failed"): 1}


def test_a_verdict_within_or_after_the_stage_is_not_a_second_stage(figures: Figures) -> None:
    with recording() as record:
        collector = PersonaMetricsCollector()
        with clew.workflow("w"):
            with collector.track_stage("w", "within", BACKEND), collector.track_stage("w", "within", BACKEND):
                collector.record_workflow_stage("w", "within", BACKEND, 1.0, False)
            with collector.track_stage("w", "after", BACKEND):
                pass
            collector.record_workflow_stage("w", "after", BACKEND, 1.0, True)
    assert [span.name for span in record.spans if span.kind == "node"] == ["within", "after"]
    assert figures("hypertool_workflow_quality_gate_total") == {("w", "within", "failed"): 1, ("w", "after", "passed"): 1}


def test_one_collector_for_the_process_made_once_and_begun_anew_on_request() -> None:
    with recording():
        found: list[PersonaMetricsCollector] = []
        threads = [threading.Thread(target=lambda: found.append(get_persona_metrics())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(collector) for collector in found}) == 1
        found[0].record_token_usage(BACKEND, "x", "gpt-4", 850)
        reset_persona_metrics()
        assert get_persona_metrics() is not found[0]
        assert get_persona_metrics().get_remaining_budget(BACKEND) == 2000


def test_a_window_makes_one_budget_for_all_collectors(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "personas.toml").write_text(f'[{BACKEND}]\nwindow = "day"\n')
    with recording():
        one, other = PersonaMetricsCollector(), PersonaMetricsCollector()
        one.record_token_usage(BACKEND, "x", "gpt-4", 850)
        one.record_token_usage(TESTING, "x", "gpt-4", 100)
        assert (other.get_remaining_budget(BACKEND), other.get_remaining_budget(TESTING)) == (1150, 1500)


def test_a_hard_budget_refuses_the_call_that_has_no_room(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "personas.toml").write_text(f"[{BACKEND}]\nhard = true\n")
    with recording():
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "x")
        collector.record_token_usage(BACKEND, "x", "gpt-4", 1990)
        with pytest.raises(clew.BudgetExceeded), clew.llm("chat", model="gpt-4", messages="hello", max_tokens=100):
            raise AssertionError("it must not be made")
        assert collector.get_remaining_budget(BACKEND) == 10
        collector.close()


def test_a_damaged_file_of_personas_is_named_when_the_collector_is_made(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "personas.toml").write_text("[x]\ntokens = 'many'\n")
    with pytest.raises(PersonaError, match="tokens = 'many' is not usable"):
        PersonaMetricsCollector()


def test_the_last_session_ends_at_exit(data_dir: Path) -> None:
    script = """
        import clew
        collector = clew.get_persona_metrics()
        collector.switch_persona(None, "backend-engineer", "feature-dev")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
    text = "".join(path.read_text() for path in (data_dir / "spool").glob("*.jsonl"))
    assert '"name":"backend-engineer"' in text
    assert '"endTimeUnixNano":"0"' not in text


def test_nothing_is_recorded_and_nothing_fails_while_recording_is_off(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    script = """
        import asyncio
        import clew
        collector = clew.get_persona_metrics()
        async def work():
            async with clew.WorkflowTracer("w") as tracer:
                collector.switch_persona(None, "backend-engineer", "x")
                assert await tracer.trace_stage("s", "backend-engineer", lambda: 3) == 3
                collector.record_token_usage("backend-engineer", "x", "gpt-4", 850)
                collector.record_workflow_stage("w", "t", "backend-engineer", 1.0, True)
        asyncio.run(work())
        print(collector.get_remaining_budget("backend-engineer"))
    """
    monkeypatch.setenv("CLEW_DISABLED", "1")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True)
    assert done.stdout == "1150\n"
    assert not data_dir.exists()


def test_personas_of_several_tasks_keep_their_model_calls_apart(figures: Figures) -> None:
    async def act(collector: PersonaMetricsCollector, persona: str) -> None:
        async with clew.WorkflowTracer("w", collector=collector) as tracer, tracer.stage_context("s", persona):
            await asyncio.sleep(0)
            with clew.llm("chat", model="gpt-4") as call:
                call.usage(input_tokens=10, output_tokens=0)

    async def both() -> None:
        collector = PersonaMetricsCollector()
        await asyncio.gather(act(collector, BACKEND), act(collector, TESTING))

    with recording():
        asyncio.run(both())
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, "", "gpt-4"): 10, (TESTING, "", "gpt-4"): 10}


@pytest.mark.needs("opentelemetry")
def test_calls_that_another_instrumentation_records_are_the_personas_in_its_dialect_too(figures: Figures) -> None:
    with recording():
        collector = PersonaMetricsCollector()
        collector.switch_persona(None, BACKEND, "x")
        span = clew.tracer_provider().get_tracer("openinference").start_span("chat")
        span.set_attributes({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4"})
        span.set_attributes({"llm.token_count.prompt": 300, "llm.token_count.completion": 50})
        span.end()
        assert collector.get_remaining_budget(BACKEND) == 1650
        collector.record_token_usage(BACKEND, "x", "gpt-4", 350)
        assert collector.get_remaining_budget(BACKEND) == 1650, "said already"
        collector.close()
    assert figures("hypertool_persona_tokens_used_total") == {(BACKEND, "x", "gpt-4"): 350}
