"""What code measures is recorded once: as a point, or as the figure of the span it is in."""

from __future__ import annotations

import json
from typing import Any

import pytest

import clew
from clew.errors import MetricError
from clew.model.catalogue import CATALOGUE
from clew.record import guard
from clew.record.metrics import derive, live
from clew.testing import Recording, recording


def points(record: Recording) -> dict[str, list[dict[str, Any]]]:
    """The points that were written, by metric."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in record.lines:
        for resource in json.loads(line).get("resourceMetrics", ()):
            for metric in resource["scopeMetrics"][0]["metrics"]:
                data: Any = next(value for key, value in metric.items() if key not in ("name", "unit"))
                found.setdefault(metric["name"], []).extend(data["dataPoints"])
    return found


def shown(name: str) -> dict[tuple[str, ...], float]:
    """Figures of this process: value, or the count of a histogram, by labels."""
    for metric, found in live.reading():
        if metric.name == name:
            return {labels: series.count if metric.buckets or metric.quantiles else series.value for labels, series in found}
    return {}


def test_calls_add_up_and_one_point_of_each_series_is_written() -> None:
    with recording() as record:
        for seconds in (0.2, 0.3, 40):
            clew.metric("git_lock_wait_duration_seconds").observe(seconds)
        clew.metric("hitl_escalation_total").labels(reason="ambiguity").inc()
        clew.metric("hitl_escalation_total").labels("ambiguity").inc(2)
        clew.metric("git_merge_queue_depth").set(3)
        clew.metric("git_merge_queue_depth").dec()
        written = points(record)
    assert {name: len(found) for name, found in written.items()} == {
        "git_lock_wait_duration_seconds": 1,
        "hitl_escalation_total": 1,
        "git_merge_queue_depth": 1,
    }
    wait = written["git_lock_wait_duration_seconds"][0]
    assert (wait["count"], wait["sum"], wait["bucketCounts"]) == ("3", 40.5, ["0", "0", "2", "0", "0", "0", "0", "0", "1"])
    assert written["hitl_escalation_total"][0]["asDouble"] == 3
    assert written["git_merge_queue_depth"][0]["asDouble"] == 2
    assert shown("git_merge_queue_depth") == {(): 2}


def test_a_point_is_written_once_and_a_refused_one_again() -> None:
    with recording() as record:
        clew.metric("langfuse_trace_created_total")  # looking a metric up records nothing
        clew.metric("director_cycle_duration_seconds").observe(1)
        assert len(points(record)["director_cycle_duration_seconds"]) == 1
        sink = record._lines
        write = sink.write
        sink.write = lambda *_, **__: "disk"  # type: ignore[method-assign]
        clew.metric("director_cycle_duration_seconds").observe(2)
        record.flush()
        sink.write = write  # type: ignore[method-assign]
        clew.metric("director_cycle_duration_seconds").observe(4)
        assert [(point["count"], point["sum"]) for point in points(record)["director_cycle_duration_seconds"]] == [("1", 1.0), ("2", 6.0)]


def test_a_call_inside_a_span_that_derives_the_metric_sets_its_figure() -> None:
    with recording() as record:
        derive.start()
        with clew.git("merge"):
            clew.metric("git_conflicts_per_merge").observe(2)
            clew.metric("git_merge_total").labels(result="conflict").inc()
            clew.metric("git_merge_duration_seconds").observe(7.5)
            clew.metric("git_lock_wait_duration_seconds").observe(0.1)  # no span gives this one
        with clew.llm("answer", model="gpt-4o", provider="openai"):
            clew.metric("llm_tokens_total").labels(model="gpt-4o", type="prompt").inc(100)
            clew.metric("llm_tokens_total").labels(model="gpt-4o", type="prompt").inc(100)
        attributes = record.span("merge").attributes
        assert list(points(record)) == ["git_lock_wait_duration_seconds"]
        assert record.span("answer").attributes["gen_ai.usage.input_tokens"] == 100
    assert (attributes["clew.git.conflicts"], attributes["clew.git.result"]) == (2, "conflict")
    assert shown("git_merge_total") == {("conflict",): 1}
    assert shown("git_conflicts_per_merge") == {(): 1}
    assert shown("llm_tokens_total") == {("gpt-4o", "prompt"): 100}
    [duration] = [series for metric, found in live.reading() if metric.name == "git_merge_duration_seconds" for _, series in found]
    assert (duration.count, duration.value) == (1, 7.5)


def test_outside_of_such_a_span_the_same_calls_are_points() -> None:
    with recording() as record:
        clew.metric("git_conflicts_per_merge").observe(2)
        with clew.tool("git"):
            clew.metric("git_merge_total").labels(result="conflict").inc()
        assert list(points(record)) == ["git_conflicts_per_merge", "git_merge_total"]


def test_a_point_says_in_which_trace_it_was_measured() -> None:
    with recording() as record:
        with clew.tool("wait"):
            clew.metric("git_lock_wait_duration_seconds").observe(0.2)
        [exemplar] = points(record)["git_lock_wait_duration_seconds"][0]["exemplars"]
        assert exemplar["traceId"] == record.span("wait").trace_id


def test_names_that_are_not_in_the_catalogue_are_refused_with_the_nearest() -> None:
    with pytest.raises(MetricError, match="did you mean 'git_merge_total'"):
        clew.metric("git_merges_total")
    with pytest.raises(MetricError, match="git_merge_total has the labels result, not outcome"):
        clew.metric("git_merge_total").labels(outcome="success")


def test_a_value_outside_a_closed_set_counts_as_other_and_is_told() -> None:
    gate = clew.metric("hypertool_workflow_quality_gate_total").labels(workflow="w", stage="s", result="pass")
    with recording():
        with pytest.raises(MetricError, match="no result='pass'; it has passed, failed"):
            gate.inc()
        guard.raising = False
        gate.inc()
    assert shown("hypertool_workflow_quality_gate_total") == {("w", "s", "other"): 1}


def test_what_is_given_wrongly_never_raises_into_the_program() -> None:
    with recording():
        guard.raising = False
        before = guard.faults()
        clew.metric("git_lock_wait_duration_seconds").observe("long")  # type: ignore[arg-type]
        clew.metric("git_lock_wait_duration_seconds").inc()
        clew.metric("hitl_escalation_total").inc()
        clew.metric("hitl_escalation_total").labels(reason="x").inc(-1)
        assert guard.faults() == before + 4
    assert list(live.reading()) == []


def test_run_ids_are_bounded_and_what_is_beyond_is_counted() -> None:
    with recording() as record:
        for number in range(130):
            clew.metric("dispatch_loop_iterations_total").labels(run_id=f"run-{number}").inc()
        written = points(record)["dispatch_loop_iterations_total"]
    series = shown("dispatch_loop_iterations_total")
    assert (len(series), series["other",], sum(series.values())) == (101, 30, 130)
    assert shown("clew_metric_overflow_total") == {("dispatch_loop_iterations_total", "run_id"): 30}
    assert len(written) == 101


def test_every_metric_can_be_recorded_by_a_call() -> None:
    with recording() as record:
        for metric in CATALOGUE:
            labels = {label.name: (label.values or ("x",))[0] for label in metric.labels}
            measure = clew.metric(metric.name).labels(**labels)
            measure.inc() if metric.type in ("counter", "gauge") else measure.observe(1.5)
        assert len(points(record)) == len(CATALOGUE)
    assert all(series for metric in CATALOGUE if (series := shown(metric.name)))


def test_nothing_is_measured_while_recording_is_off() -> None:
    with recording():
        from clew.record import state

        state.use(None)
        clew.metric("git_lock_wait_duration_seconds").observe(1)
    assert list(live.reading()) == []
