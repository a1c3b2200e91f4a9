"""Declared dashboards ask only for what there is: metrics, labels, label values, fields and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clew.model.catalogue.check import named
from clew.model.dashboards import BY_NAME, DASHBOARDS
from clew.model.dashboards.panel import (
    FIGURES,
    METRIC_FIGURES,
    Costs,
    Dashboard,
    Failures,
    MetricOf,
    Panel,
    Question,
    Spans,
    Sql,
    Threshold,
    View,
)

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "lark", "pydantic")

ROOT = Path(__file__).parents[2]


def test_the_five_and_the_two_are_there() -> None:
    assert list(BY_NAME) == [
        "agent-overview",
        "task-analytics",
        "performance",
        "cost-tracking",
        "errors",
        "persona-overview",
        "workflow-performance",
    ]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_every_panel_names_what_there_is(dashboard: Dashboard) -> None:
    from clew.observe.query.dashboards.panels import mistakes

    assert list(mistakes(dashboard)) == []
    for panel in dashboard.panels:
        assert panel.fill or dashboard.fill, f"{panel.id} says no command that fills it"
        script = (panel.fill or dashboard.fill).removeprefix("python ")
        assert not script.startswith("examples/") or (ROOT / script).is_file(), f"{panel.id}: there is no {script}"
        assert not panel.fill.startswith("clew.metric") or named(panel.fill), f"{panel.id}: {panel.fill} names no metric"


def mistakes_of(question: Question, view: View = "line", **more: object) -> list[str]:
    from clew.observe.query.dashboards.panels import mistakes_of

    return list(mistakes_of(replace(Panel("p", "P", view, question), **more)))  # type: ignore[arg-type]


GATE = "hypertool_workflow_quality_gate_total"


@pytest.mark.parametrize(
    ("question", "view", "said"),
    [
        (MetricOf("hypertool_workflow_quality_gates_total", ("total",)), "line", "did you mean hypertool_workflow_quality_gate_total?"),
        (MetricOf(GATE, ("total",), ("reslut",)), "line", "has no label 'reslut'"),
        (MetricOf(GATE, ("total",), where={"result": "pass"}), "line", "has no result='pass'; it has passed, failed"),
        (MetricOf(GATE, ("p95",)), "line", "is a counter: it has no figure 'p95'"),
        (MetricOf(GATE, ("share",)), "stat", "a share needs labels"),
        (MetricOf(GATE, ("total",), ("stage",)), "stat", "leave by empty"),
        (MetricOf(GATE, ("total",)), "gauge", "the view gauge does not fit"),
        (MetricOf("task_execution_duration_seconds", ("p50",)), "heatmap", "a heatmap shows the figure buckets"),
        (Spans(("p90",)), "line", "there is no figure 'p90'; did you mean p9"),
        (Spans(("spans",), by="modle"), "line", "did you mean model?"),
        (Spans(("spans",), by="@"), "line", "the attribute has no name"),
        (Spans(()), "line", "no figure is asked for"),
        (Spans(("spans",), "agnet:x"), "line", "did you mean agent?"),
        (Spans(("spans",), "kind:lmm"), "line", "kind is never 'lmm'"),
        (Spans(("spans",), compare=True), "line", "only a stat compares"),
        (Costs(("modell",)), "table", "cost cannot be shown by 'modell'"),
        (Costs(()), "table", "no key is given"),
        (Failures("cost:>"), "table", "the filter is not understood"),
        (Sql(""), "table", "the query is empty"),
        (Sql("DROP TABLE span_records"), "table", "DROP is refused"),
        (Sql("SELECT 1 INTO OUTFILE '/tmp/x'"), "table", "INTO OUTFILE"),
    ],
)
def test_a_panel_that_drifts_is_found(question: Question, view: View, said: str) -> None:
    assert any(said in mistake for mistake in mistakes_of(question, view)), mistakes_of(question, view)


def test_what_a_panel_says_of_itself_is_checked() -> None:
    question = Spans(("spans",))
    assert mistakes_of(question) == []
    assert "width 13" in mistakes_of(question, width=13)[0]
    assert "limit 0" in mistakes_of(question, limit=0)[0]
    assert "no title" in mistakes_of(question, title=" ")[0]
    assert "the id is not usable" in mistakes_of(question, id="../x")[0]
    assert "ascending" in mistakes_of(question, thresholds=(Threshold("error", 2), Threshold("warning", 1)))[0]


def test_every_figure_that_can_be_named_can_be_told() -> None:
    from clew.model.catalogue import BY_NAME as METRICS
    from clew.model.catalogue import CATALOGUE
    from clew.observe.query.dashboards import as_sql, spans

    assert set(spans.OF) == set(FIGURES) == set(as_sql.FIGURE_SQL)
    assert {metric.type for metric in CATALOGUE} <= set(METRIC_FIGURES)
    for metric in METRICS.values():
        for figure in METRIC_FIGURES[metric.type]:
            where = {metric.label_names[0]: metric.labels[0].values[0]} if metric.labels and metric.labels[0].values else None
            view: View = "heatmap" if figure == "buckets" else "line"
            if figure != "share" or where:
                assert mistakes_of(MetricOf(metric.name, (figure,), where=where or {}), view) == []


def test_a_declared_dashboard_can_be_copied_as_a_users_own() -> None:
    import json
    from dataclasses import asdict

    from clew.server.own_dashboards import read

    for dashboard in DASHBOARDS:
        copied = json.dumps(asdict(replace(dashboard, name="mine"))).encode()
        assert read(copied, "mine") == replace(dashboard, name="mine")
