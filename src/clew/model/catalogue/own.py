"""What Clew says of its own figures, and of what it hands on."""

from __future__ import annotations

from typing import Final

from clew.model import attributes as names
from clew.model.catalogue.metric import COST_SOURCE, MODEL_CALL, REFUSED, Derived, Label, Metric

OVERFLOW: Final = Metric(
    "clew_metric_overflow_total",
    "counter",
    "Figures whose label value was beyond the label's bounds, and was counted as other",
    (Label("metric", most=1000), Label("label", most=1000)),
)
CORRECTIONS: Final = Metric(
    "clew_metric_corrections_total",
    "counter",
    "Spans that changed after they had been counted: the counters keep what they had",
)

METRICS: Final = (
    OVERFLOW,
    CORRECTIONS,
    Metric(
        "clew_model_calls_total",
        "counter",
        "Model calls by where the figure of their cost comes from; llm_cost_dollars_total lacks those that are unpriced or missing",
        (
            Label("model", (names.REQUEST_MODEL, names.RESPONSE_MODEL)),
            Label("cost", (COST_SOURCE,), ("reported", "computed", "cached", "unpriced", "missing")),
        ),
        derived=(Derived(MODEL_CALL, "count", unless=REFUSED),),
    ),
    Metric(
        "llm_fallback_total",
        "counter",
        "Requests that went to another model instead",
        (Label("from_model"), Label("to_model"), Label("reason")),
    ),
    Metric("langfuse_trace_created_total", "counter", "Traces that were handed to Langfuse"),
)
