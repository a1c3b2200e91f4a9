"""Metrics in the process that records: calls that measure, figures derived from spans, and what shows them."""

from clew.record.metrics.endpoint import metrics_collector, serve_metrics
from clew.record.metrics.handles import metric

__all__ = ["metric", "metrics_collector", "serve_metrics"]
