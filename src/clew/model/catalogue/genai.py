"""OpenTelemetry's metrics for GenAI clients and agents: semantic conventions 1.41, and what its successor repository adds."""

from __future__ import annotations

from typing import Final

from clew.model import attributes as names
from clew.model.catalogue.metric import MODEL_CALL, NAME, REFUSED, Derived, Label, Metric

_SECONDS: Final = tuple([0.01 * 2**step for step in range(14)])
_LONGER: Final = tuple([0.1 * 2**step for step in range(13)])
_TOKENS: Final = tuple([float(4**step) for step in range(14)])

_OPERATION: Final = Label("gen_ai_operation_name", (names.OPERATION,))
_PROVIDER: Final = Label("gen_ai_provider_name", (names.PROVIDER,))
_REQUEST_MODEL: Final = Label("gen_ai_request_model", (names.REQUEST_MODEL,))
_RESPONSE_MODEL: Final = Label("gen_ai_response_model", (names.RESPONSE_MODEL,))
_ERROR: Final = Label("error_type", (names.ERROR_TYPE,))
_CALL: Final = (_OPERATION, _PROVIDER, _REQUEST_MODEL, _RESPONSE_MODEL)


def _usage(part: str, attribute: str, help: str) -> Metric:
    return Metric(
        f"gen_ai_client_inference_usage_{part}_tokens_total",
        "counter",
        help,
        (_PROVIDER, _REQUEST_MODEL),
        unit="token",
        derived=(Derived(MODEL_CALL, "value", (attribute,)),),
        otel=f"gen_ai.client.inference.usage.{part.replace('cache_read_', 'cache_read.').replace('cache_write_', 'cache_write.').replace('reasoning_', 'reasoning.')}_tokens",
    )


METRICS: Final = (
    Metric(
        "gen_ai_client_token_usage",
        "histogram",
        "Tokens of one call",
        (*_CALL, Label("gen_ai_token_type", values=("input", "output"))),
        unit="token",
        buckets=_TOKENS,
        derived=(
            Derived(MODEL_CALL, "value", (names.INPUT_TOKENS,), const={"gen_ai_token_type": "input"}),
            Derived(MODEL_CALL, "value", (names.OUTPUT_TOKENS,), const={"gen_ai_token_type": "output"}),
        ),
        otel="gen_ai.client.token.usage",
    ),
    Metric(
        "gen_ai_client_operation_duration_seconds",
        "histogram",
        "Time of one call",
        (*_CALL, _ERROR),
        unit="s",
        buckets=_SECONDS,
        derived=(Derived("llm", "duration", unless=REFUSED), Derived("embedding", "duration", unless=REFUSED)),
        otel="gen_ai.client.operation.duration",
    ),
    Metric(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "histogram",
        "Time until the first chunk of a streamed answer",
        _CALL,
        unit="s",
        buckets=_SECONDS,
        derived=(Derived("llm", "value", (names.RESPONSE_FIRST_CHUNK,)),),
        otel="gen_ai.client.operation.time_to_first_chunk",
    ),
    Metric(
        "gen_ai_client_operation_time_per_output_chunk_seconds",
        "histogram",
        "Time between two chunks of a streamed answer",
        _CALL,
        unit="s",
        buckets=_SECONDS,
        otel="gen_ai.client.operation.time_per_output_chunk",
    ),
    _usage("input", names.INPUT_TOKENS, "Input tokens, cached ones included"),
    _usage("output", names.OUTPUT_TOKENS, "Output tokens, reasoning included"),
    _usage("cache_read_input", names.CACHE_READ_TOKENS, "Input tokens read from the provider's cache"),
    _usage("cache_write_input", names.CACHE_WRITE_TOKENS, "Input tokens written to the provider's cache"),
    _usage("reasoning_output", names.REASONING_TOKENS, "Output tokens spent on reasoning"),
    Metric(
        "gen_ai_invoke_agent_duration_seconds",
        "histogram",
        "Time that an agent was at work",
        (Label("gen_ai_agent_name", (names.AGENT_NAME, NAME)), _ERROR),
        unit="s",
        buckets=_LONGER,
        derived=(Derived("agent", "duration"),),
        otel="gen_ai.invoke_agent.duration",
        also=("agent_execution_duration",),
    ),
    Metric(
        "gen_ai_execute_tool_duration_seconds",
        "histogram",
        "Time of a tool call",
        (Label("gen_ai_tool_name", (names.TOOL_NAME,)), _ERROR),
        unit="s",
        buckets=_SECONDS,
        derived=(Derived("tool", "duration"),),
        otel="gen_ai.execute_tool.duration",
        also=("tool_execution_duration",),
    ),
    Metric(
        "gen_ai_invoke_workflow_duration_seconds",
        "histogram",
        "Time of a run of a workflow",
        (Label("gen_ai_workflow_name", (names.WORKFLOW_NAME,)), _ERROR),
        unit="s",
        buckets=(1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
        derived=(Derived("workflow", "duration"),),
        otel="gen_ai.invoke_workflow.duration",
    ),
)
