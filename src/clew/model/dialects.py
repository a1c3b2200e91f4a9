"""Every dialect in the field, declared: which source keys mean which column. The normalising SQL is generated from this table.

A column takes the first of its keys that the span carries. The dialects: OpenTelemetry GenAI (<= 1.36, 1.41, and the new GenAI
repository), OpenInference, OpenLLMetry (``traceloop.*``, ``llm.*``), Langfuse, Vercel AI SDK (``ai.*``), Logfire and pydantic-ai, MLflow.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from clew.model import attributes as a
from clew.model.kinds import KINDS, Kind


class Column(NamedTuple):
    """One normalised column of a span and the keys it is taken from, best first."""

    name: str
    type: Literal["text", "count", "usd", "flag"]
    keys: tuple[str, ...]


COLUMNS: tuple[Column, ...] = (
    Column(
        "request_model",
        "text",
        (
            a.REQUEST_MODEL,
            "llm.request.model_name",
            "llm.request.model",
            "llm.model_name",
            "ai.model.id",
            "langfuse.observation.model.name",
            "mlflow.llm.model",
        ),
    ),
    Column(
        "response_model",
        "text",
        (a.RESPONSE_MODEL, "llm.response.model_name", "llm.response.model", "ai.response.model"),
    ),
    Column(
        "provider",
        "text",
        (a.PROVIDER, "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider", "llm.vendor", "mlflow.llm.provider"),
    ),
    Column(
        "agent",
        "text",
        (a.AGENT_NAME, "agent.name", "agent_name", "graph.node.name", "traceloop.entity.agent"),
    ),
    Column("workflow", "text", (a.WORKFLOW_NAME, "traceloop.workflow.name")),
    Column("persona", "text", (a.PERSONA,)),
    Column(
        "session_id",
        "text",
        (
            a.CONVERSATION_ID,
            "session.id",
            "langfuse.session.id",
            "traceloop.association.properties.session_id",
            "mlflow.trace.session",
            "ai.telemetry.metadata.sessionId",
        ),
    ),
    Column(
        "user_id",
        "text",
        (
            a.USER_ID,
            "enduser.id",
            "langfuse.user.id",
            "traceloop.association.properties.user_id",
            "mlflow.trace.user",
            "ai.telemetry.metadata.userId",
        ),
    ),
    Column("tool", "text", (a.TOOL_NAME, "tool.name", "ai.toolCall.name", "traceloop.entity.tool")),
    Column("tool_call_id", "text", (a.TOOL_CALL_ID, "tool.id", "tool_call.id", "ai.toolCall.id")),
    Column("error_type", "text", (a.ERROR_TYPE, "exception.type")),
    Column(
        "input_tokens",
        "count",
        (a.INPUT_TOKENS, "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens", "ai.usage.promptTokens", "ai.usage.inputTokens"),
    ),
    Column(
        "output_tokens",
        "count",
        (
            a.OUTPUT_TOKENS,
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "llm.usage.completion_tokens",
            "ai.usage.completionTokens",
            "ai.usage.outputTokens",
        ),
    ),
    Column(
        "cache_read_tokens",
        "count",
        (
            a.CACHE_READ_TOKENS,
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
            "gen_ai.usage.details.cached_tokens",
            "ai.usage.cachedInputTokens",
        ),
    ),
    Column(
        "cache_write_tokens",
        "count",
        (
            a.CACHE_WRITE_TOKENS,
            "gen_ai.usage.cache_write.input_tokens",
            "llm.token_count.prompt_details.cache_write",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.details.cache_write_tokens",
        ),
    ),
    Column("cache_write_1h_tokens", "count", (a.CACHE_WRITE_1H_TOKENS,)),
    Column(
        "reasoning_tokens",
        "count",
        (
            a.REASONING_TOKENS,
            "llm.token_count.completion_details.reasoning",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
            "gen_ai.usage.details.thoughts_tokens",
            "ai.usage.reasoningTokens",
        ),
    ),
    Column(
        "audio_input_tokens",
        "count",
        (a.AUDIO_INPUT_TOKENS, "gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio", "gen_ai.usage.details.input_audio_tokens"),
    ),
    Column(
        "audio_output_tokens",
        "count",
        (
            a.AUDIO_OUTPUT_TOKENS,
            "gen_ai.usage.audio.output_tokens",
            "llm.token_count.completion_details.audio",
            "gen_ai.usage.details.output_audio_tokens",
        ),
    ),
    Column("reported_cost_usd", "usd", (a.COST_USD, "gen_ai.usage.cost.amount", "gen_ai.usage.cost", "llm.cost.total", "operation.cost")),
    Column("cache_hit", "flag", (a.CACHE_HIT,)),
)  # fmt: skip


PARTS: dict[str, tuple[str, ...]] = {
    "input_tokens": ("cache_read_tokens", "cache_write_tokens"),
    "output_tokens": ("reasoning_tokens",),
}
"""Counts that include others. Some senders count the parts apart (Anthropic's own API does); it shows when they exceed the whole."""


class KindSource(NamedTuple):
    """An attribute that tells a span's kind, and what its values (lower case) mean."""

    key: str
    values: dict[str, Kind]


KIND_SOURCES: tuple[KindSource, ...] = (
    KindSource(a.SPAN_KIND, {kind: kind for kind in KINDS}),
    KindSource(
        "openinference.span.kind",
        {
            "llm": "llm",
            "embedding": "embedding",
            "chain": "node",
            "retriever": "retrieval",
            "reranker": "retrieval",
            "tool": "tool",
            "agent": "agent",
            "guardrail": "gate",
            "evaluator": "evaluation",
            "prompt": "other",
            "unknown": "other",
        },
    ),
    KindSource(
        a.OPERATION,
        {
            "chat": "llm",
            "generate_content": "llm",
            "text_completion": "llm",
            "completion": "llm",
            "embeddings": "embedding",
            "retrieval": "retrieval",
            "execute_tool": "tool",
            "create_agent": "agent",
            "invoke_agent": "agent",
            "invoke_workflow": "workflow",
            "plan": "decision",
            "create_memory_store": "memory",
            "delete_memory_store": "memory",
            "search_memory": "memory",
            "create_memory": "memory",
            "update_memory": "memory",
            "upsert_memory": "memory",
            "delete_memory": "memory",
        },
    ),
    KindSource("traceloop.span.kind", {"workflow": "workflow", "task": "task", "agent": "agent", "tool": "tool"}),
    KindSource("llm.request.type", {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "retrieval"}),
    KindSource(
        "langfuse.observation.type",
        {
            "generation": "llm",
            "embedding": "embedding",
            "agent": "agent",
            "tool": "tool",
            "chain": "node",
            "retriever": "retrieval",
            "evaluator": "evaluation",
            "guardrail": "gate",
            "span": "other",
            "event": "message",
        },
    ),
    KindSource(
        "ai.operationId",
        {
            "ai.generatetext": "node",
            "ai.streamtext": "node",
            "ai.generateobject": "node",
            "ai.streamobject": "node",
            "ai.generatetext.dogenerate": "llm",
            "ai.streamtext.dostream": "llm",
            "ai.generateobject.dogenerate": "llm",
            "ai.streamobject.dostream": "llm",
            "ai.embed": "node",
            "ai.embedmany": "node",
            "ai.embed.doembed": "embedding",
            "ai.embedmany.doembed": "embedding",
            "ai.toolcall": "tool",
        },
    ),
    KindSource(
        "mlflow.spanType",
        {
            "llm": "llm",
            "chat_model": "llm",
            "embedding": "embedding",
            "chain": "node",
            "agent": "agent",
            "tool": "tool",
            "retriever": "retrieval",
            "reranker": "retrieval",
            "parser": "other",
            "memory": "memory",
            "workflow": "workflow",
            "task": "task",
            "guardrail": "gate",
            "evaluator": "evaluation",
        },
    ),
)

KIND_MARKS: dict[str, Kind] = {
    a.TOOL_CALL_ID: "tool",
    a.TOOL_NAME: "tool",
    "agent_name": "agent",
    a.REQUEST_MODEL: "llm",
}
"""Keys that tell the kind of a span by being there, best first, when no source of a kind does (pydantic-ai's agents and tools)."""

CONTENT_KEYS: tuple[str, ...] = (
    *(attribute.name for attribute in a.TABLE if attribute.content),
    "input.value",
    "output.value",
    "gen_ai.prompt",
    "gen_ai.completion",
    "tool_arguments",
    "tool_response",
    "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.tool_response",
    "tool.description",
    "tool.parameters",
    "tool.json_schema",
    "llm.invocation_parameters",
    "llm.prompt_template.template",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "ai.prompt",
    "ai.prompt.messages",
    "ai.prompt.tools",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "all_messages_events",
    "pydantic_ai.all_messages",
    "events",
    "final_result",
)
"""Keys whose values people and models wrote: stored as payloads whatever their length, and searched as text."""

CONTENT_PATTERNS: tuple[str, ...] = (
    r"llm\.(input|output)_messages\.\d+\.message\.(content|contents\..*|tool_calls\..*arguments|function_call_arguments_json)",
    r"llm\.(prompts|choices|tools)\..*",
    r"gen_ai\.(prompt|completion)\.\d+\.(content|tool_calls\..*arguments)",
    r"(retrieval|reranker\.\w+)\.?documents\.\d+\.document\.(content|metadata)",
    r"embedding\.embeddings\..*",
)
"""The same for keys with an index in them (RE2 syntax, whole key)."""

RESTATING: dict[str, str] = {
    "input.value": "llm.input_messages.",
    "output.value": "llm.output_messages.",
}
"""Keys that only restate the messages of their own span, when it has any with the prefix: kept, and not indexed."""

LONG_VALUE_BYTES = 256
"""A text value longer than this is a payload whatever its key: lists of spans never touch it."""
