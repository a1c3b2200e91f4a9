"""The JSON that ``clew run --output-format json`` writes: declared once, for the output and for its published schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator


def ms(value: float) -> float:
    return round(value, 2)


def usd(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _nothing(value: object) -> bool:
    return not value


def _unknown(value: object) -> bool:
    return value is None


Count = Annotated[int, Field(ge=0)]
Ms = Annotated[float, Field(ge=0, description="Milliseconds, to two places")]
Usd = Annotated[float, Field(ge=0, description="US dollars, to six places")]
SomeTokens = Annotated[int, Field(ge=0, exclude_if=_nothing, description="Only when more than 0")]


class Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=False)


class Doubts(Figures):
    """What is said only when the cost of a call is not known: then the total is null."""

    pricing_available: Literal[False] | None = Field(None, exclude_if=_unknown)
    unavailable_models: list[str] | None = Field(None, exclude_if=_unknown, description="Models without a price")
    partial_cost_usd: Usd | None = Field(None, exclude_if=_unknown, description="Cost of the calls whose cost is known")
    calls_without_usage: Count | None = Field(None, exclude_if=_unknown, description="Calls of which nobody said how many tokens they used")


class Section(Doubts):
    """The planner's part, or the workflow's."""

    duration_ms: Ms | None
    nodes_executed: Count = Field(description="Visits of nodes, those inside sub-workflows included")
    cost_usd: Usd | None
    node_timings: dict[str, Ms] = Field(description="Node, outer/inner in a sub-workflow -> time of all its visits")
    node_visits: dict[str, list[Ms]] = Field(
        {}, exclude_if=_nothing, description="Node that was visited more than once -> time of each visit"
    )
    tokens_input: Count
    tokens_output: Count
    tokens_total: Count
    models_used: list[str]
    cache_creation_tokens: SomeTokens = 0
    cache_read_tokens: SomeTokens = 0
    thinking_tokens: SomeTokens = 0
    thinking_budget: SomeTokens = 0


class Total(Figures):
    tokens_input: Count
    tokens_output: Count
    tokens_total: Count
    cost_usd: Usd | None
    total_calls: Count


class Metrics(Figures):
    planner: Section | None = Field(None, exclude_if=_unknown)
    workflow: Section | None = Field(None, exclude_if=_unknown)
    total: Total


class CachePerformance(Figures):
    cache_creation_tokens: Count
    cache_read_tokens: Count
    cache_efficiency_pct: Annotated[float, Field(ge=0, le=100, description="Share of the cached tokens that were read, not written")]
    cache_total_tokens: Count


class ThinkingPerformance(Figures):
    thinking_tokens_used: Count
    thinking_budget_allocated: Count
    thinking_utilization_pct: Annotated[float, Field(ge=0)]


class Summary(Doubts):
    """The figures of an execution."""

    duration_ms: Ms
    duration_planner_ms: Ms | None = Field(description="null when nothing was planned")
    total_cost_usd: Usd | None = Field(description="null when the cost of a call is not known")
    num_nodes: Count
    cache_performance: CachePerformance | None = Field(None, exclude_if=_unknown)
    thinking_performance: ThinkingPerformance | None = Field(None, exclude_if=_unknown)
    metrics: Metrics


class RunOutput(Summary):
    """What ``clew run --output-format json`` writes to stdout, one JSON document, also when the run failed."""

    model_config = ConfigDict(title="clew run --output-format json")

    result: dict[str, JsonValue] | None = Field(
        description="The workflow's outputs, or the results of its last node; null when the run failed"
    )
    is_error: bool
    error: str | None = Field(None, exclude_if=_unknown, description="Why the run failed; only then")
    failed_node: str | None = Field(None, exclude_if=_unknown, description="The node that failed, if one did")
    run_id: str | None = Field(
        None, exclude_if=_unknown, description="The run in the record, for clew show; absent when it is not recorded"
    )
    trace_files: list[str] = Field([], exclude_if=_nothing, description="The trace files of this execution")

    @field_validator("result", "error", "trace_files", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        from clew.act.workflow.plain import plain

        return plain(value)
