"""``clew metrics``: the catalogue of metrics, and what Prometheus is given from it."""

from __future__ import annotations

from typing import Any

import click

from clew.cli import invocation
from clew.cli.terminal import Cell, Column
from clew.model.catalogue import CATALOGUE, Derived, Metric


@click.group("metrics")
def command() -> None:
    """Show which metrics there are: those of GET /metrics of clew serve, and of clew.serve_metrics() in a program."""


@command.command("list")
@invocation.as_json
@invocation.common
def list_(as_json: bool) -> None:
    """List every metric: type, labels, and whether spans or calls give its figures."""
    page = invocation.page()
    if as_json:
        page.json([as_dict(metric) for metric in CATALOGUE])
        return
    columns = (Column("metric"), Column("type"), Column("labels", shrink_to=16), Column("source", drop=2), Column("", shrink_to=16, drop=1))
    rows = [
        (
            Cell(metric.name),
            Cell(metric.type, "faint"),
            Cell(", ".join(metric.label_names)),
            Cell(metric.source, "faint"),
            Cell(metric.help, "faint"),
        )
        for metric in sorted(CATALOGUE)
    ]
    page.table(columns, rows)


@command.command("rules")
@invocation.common
def rules() -> None:
    """Write recording rules for Prometheus: the mean of each histogram since the start, under the histogram's own name.

    Prometheus has no series of that name otherwise, so that a query such as avg(git_merge_duration_seconds) finds nothing.
    """
    click.echo("groups:\n  - name: clew\n    rules:")
    for metric in CATALOGUE:
        if metric.type == "histogram":
            click.echo(f"      - record: {metric.name}\n        expr: {metric.name}_sum / ({metric.name}_count > 0)")


def as_dict(metric: Metric) -> dict[str, Any]:
    """A row of the catalogue as JSON has it."""
    return {
        "name": metric.name,
        "type": metric.type,
        "help": metric.help,
        "unit": metric.unit,
        "labels": [{"name": label.name, "values": list(label.values), "most": len(label.values) or label.most} for label in metric.labels],
        "buckets": list(metric.buckets),
        "quantiles": list(metric.quantiles),
        "source": metric.source,
        "derived": [_derived(row) for row in metric.derived],
        "otel": metric.otel,
        "also": list(metric.also),
    }


def _derived(row: Derived) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "take": row.take,
        "attributes": list(row.attributes),
        "where": {name: list(values) for name, values in row.where.items()},
        "unless": {name: list(values) for name, values in row.unless.items()},
        "labels": dict(row.const),
    }
