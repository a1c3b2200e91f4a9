"""docs/metrics.md lists the catalogue, and no page names a metric, label or value that it does not have.

After a change of the catalogue: ``python tests/test_metrics_docs.py``
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clew.model.catalogue import BY_NAME, CATALOGUE
from clew.model.catalogue.check import problems
from clew.model.catalogue.metric import MODEL_CALL, Derived, Label, Metric

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "metrics.md"
MARK = "<!-- made from the catalogue: python tests/test_metrics_docs.py -->\n"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def table() -> str:
    rows = ["| metric | type | labels | from |", "|---|---|---|---|"]
    for metric in sorted(CATALOGUE, key=lambda metric: metric.name):
        also = f" Also known as {', '.join(f'`{name}`' for name in metric.also)}." if metric.also else ""
        otel = f" OpenTelemetry: `{metric.otel}`." if metric.otel else ""
        labels = "<br>".join(map(_label, metric.labels)) or "–"
        rows.append(f"| `{metric.name}`<br>{metric.help}.{otel}{also} | {_type(metric)} | {labels} | {_source(metric)} |")
    return "\n" + "\n".join(rows) + "\n"


def _type(metric: Metric) -> str:
    spread = metric.buckets or metric.quantiles
    return (
        f"{metric.type}{f', {metric.unit}' if metric.unit else ''}{'<br>' + ' '.join(f'{bound:g}' for bound in spread) if spread else ''}"
    )


def _label(label: Label) -> str:
    return f"`{label.name}`: {', '.join(label.values)}" if label.values else f"`{label.name}`"


def _source(metric: Metric) -> str:
    return "<br>".join(map(_derived, metric.derived)) or "calls"


def _derived(row: Derived) -> str:
    kind = "model calls" if row.kind == MODEL_CALL else f"{row.kind} spans"
    what = {"count": kind, "duration": f"duration of {kind}", "active": f"open {kind}"}.get(row.take)
    what = what or f"{' + '.join(f'`{name}`' if '.' in name else name for name in row.attributes)} of {kind}"
    conditions = [f"`{name}` {' or '.join(values) if values else 'set'}" for name, values in row.where.items()]
    return f"{what}{' with ' + ', '.join(conditions) if conditions else ''}"


def test_the_page_has_every_metric_as_it_is_declared() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2] == table(), "if the change is meant: python tests/test_metrics_docs.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_metric_that_does_not_exist(page: Path) -> None:
    """Queries in blocks marked promql, and anything in backquotes that looks like one of our metrics."""
    text = page.read_text(encoding="utf-8")
    queries = [line for block in re.findall(r"^```promql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for line in _queries(block)]
    queries += re.findall(rf"`((?:{'|'.join(sorted({name.split('_')[0] for name in BY_NAME}))})_\w+_total(?:\{{[^`]*\}})?)`", text)
    assert {query: wrong for query in queries if (wrong := problems(query, known=BY_NAME))} == {}


def _queries(block: str) -> list[str]:
    """Queries of a block: each begins in the first column, after comments."""
    lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
    found: list[str] = []
    for line in lines:
        if found and line.startswith((" ", "/", ")")):
            found[-1] += " " + line
        else:
            found.append(line)
    return found


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ('sum(hypertool_workflow_quality_gate_total{result="pass"}) / sum(hypertool_workflow_quality_gate_total)', 'no result="pass"'),
        ('sum(rate(git_merge_total{result=~"conflict|eror"}[5m]))', 'no result="eror"'),
        ("rate(mhmanus_agent_execution_total[5m])", "no metric mhmanus_agent_execution_total; did you mean agent_execution_total?"),
        ('rate(tool_usage_total{success="failure"}[5m])', 'no success="failure"'),
        ("avg(hypertool_workflow_stage_duration_seconds)", "is a histogram"),
        ("sum by (modell) (llm_tokens_total)", "no metric of the query has the label modell"),
        ('git_merge_total{outcome="conflict"}', "no label outcome"),
        ("git_active_merges_total > 1", "no metric git_active_merges_total"),
    ],
)
def test_a_query_that_would_show_nothing_is_found(query: str, wrong: str) -> None:
    assert wrong in " ".join(problems(query))


@pytest.mark.parametrize(
    "query",
    [
        "histogram_quantile(0.95, sum by (le, workflow) (rate(hypertool_workflow_stage_duration_seconds_bucket[5m]))) > 300",
        'sum(rate(llm_requests_total{result=~"rate_limit|timeout", model=~"$model"}[1m])) by (model) / ignoring(model) group_left sum(llm_tokens_total)',
        'predict_linear(hypertool_persona_token_budget_remaining{persona!="x"}[30m], 3600) < 0 and on() up{job="clew"} == 1',
        'memory_operation_duration{quantile="0.95"} > 10 unless absent(langfuse_trace_created_total offset 5m)',
        "topk(3, sum by (model) (increase(llm_cost_dollars_total[1h])))",
        'label_replace(git_active_merges, "merges", "$1", "job", "(.*)")',
    ],
)
def test_a_query_that_is_right_passes(query: str) -> None:
    assert problems(query) == []


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.partition(MARK)[0] + MARK + table(), encoding="utf-8")
