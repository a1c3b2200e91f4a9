"""What a recorded span is in Langfuse's terms: attributes ``langfuse.*`` beside its own (Langfuse documentation, "OpenTelemetry: property mapping").

A persona stands for Langfuse's user, a chatmode for its session. Usage is told in Langfuse's classes, which do not overlap: ``input`` leaves cached tokens out,
``output`` leaves reasoning out. A cost is told only where the provider reported it, or where a local cache answered: else Langfuse computes its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from clew.model import attributes as names
from clew.model.dialects import COLUMNS, KIND_SOURCES

TYPES: Final[Mapping[str, str]] = {
    "llm": "generation",
    "embedding": "embedding",
    "agent": "agent",
    "tool": "tool",
    "workflow": "chain",
    "node": "chain",
    "retrieval": "retriever",
    "evaluation": "evaluator",
    "gate": "guardrail",
}
"""Kind -> type of observation; any other kind is a ``span``."""

_KEYS: Final = {column.name: column.keys for column in COLUMNS}
_PARAMETERS: Final = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "seed": names.REQUEST_SEED,
}
_INPUTS: Final = (names.INPUT_MESSAGES, names.TOOL_ARGUMENTS, names.DECISION_QUESTION, names.INPUT)
_OUTPUTS: Final = (names.OUTPUT_MESSAGES, names.TOOL_RESULT, names.DECISION_CHOICE, names.OUTPUT)


def attributes_of(span: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span of OTLP/JSON, by name."""
    return {pair["key"]: value_of(pair["value"]) for pair in span.get("attributes", ())}


def value_of(value: Mapping[str, Any]) -> Any:
    """A value of OTLP/JSON."""
    ((kind, content),) = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "doubleValue":
        return float(content)
    return [value_of(item) for item in content.get("values", ())] if kind == "arrayValue" else content


def kind_of(found: Mapping[str, Any]) -> str:
    """Kind of a span by its attributes, in any dialect."""
    for source in KIND_SOURCES:
        kind = source.values.get(str(found.get(source.key, "")).lower())
        if kind is not None:
            return kind
    return "other"


def langfuse_attributes(span: Mapping[str, Any], whose: Mapping[str, Any], *, persona_as_user: bool = True) -> dict[str, Any]:
    """What is to be added to a span.

    :param span: in OTLP/JSON
    :param whose: of its trace, where that is known: ``name``, ``persona``, ``chatmode``, ``tags``, ``metadata``, ``user``, ``session``, and ``observation``:
        attributes that every observation of the trace has
    :param persona_as_user: the persona is Langfuse's user and the chatmode its session; else they are the end user and the session of the record
    """
    found = attributes_of(span)
    kind = kind_of(found)
    user, session = found.get(names.USER_ID) or whose.get("user"), found.get(names.CONVERSATION_ID) or whose.get("session")
    if persona_as_user:
        user = found.get(names.PERSONA) or whose.get("persona") or user
        session = found.get(names.CHATMODE) or whose.get("chatmode") or session
    tags = [*(whose.get("tags") or ()), *(found.get(names.TAGS) or ())]
    tags += [value for name in (names.WORKFLOW_NAME, names.STAGE) if isinstance(value := found.get(name), str)]
    added: dict[str, Any] = {
        "langfuse.observation.type": TYPES.get(kind, "span"),
        "user.id": user,
        "session.id": session,
        "langfuse.trace.name": whose.get("name"),
        "langfuse.trace.tags": list(dict.fromkeys(tags)) or None,
        "langfuse.observation.input": _first(found, _INPUTS),
        "langfuse.observation.output": _first(found, _OUTPUTS),
        "langfuse.observation.prompt.name": found.get(names.PROMPT_NAME),
        "langfuse.observation.prompt.version": _number(found.get(names.PROMPT_VERSION)),
        **{f"langfuse.trace.metadata.{name}": _text(value) for name, value in (whose.get("metadata") or {}).items()},
        **(whose.get("observation") or {}),
    }
    status = span.get("status") or {}
    if status.get("code") == 2:
        added["langfuse.observation.level"] = "ERROR"
        added["langfuse.observation.status_message"] = ": ".join(filter(None, (found.get(names.ERROR_TYPE), status.get("message"))))
    if kind in ("llm", "embedding"):
        added |= _generation(span, found)
    return {name: value for name, value in added.items() if value is not None}


def _generation(span: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    counts = {
        name: _number(_first(found, _KEYS[name]))
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    }
    parameters = {name: value for name, key in _PARAMETERS.items() if (value := found.get(key)) is not None}
    cost = 0.0 if found.get(names.CACHE_HIT) else _first(found, _KEYS["reported_cost_usd"])
    usage = _usage(counts)
    return {
        "langfuse.observation.model.name": _first(found, _KEYS["response_model"]) or _first(found, _KEYS["request_model"]),
        "langfuse.observation.model.parameters": json.dumps(parameters) if parameters else None,
        "langfuse.observation.usage_details": json.dumps(usage) if usage else None,
        "langfuse.observation.cost_details": json.dumps({"total": float(cost)}) if cost is not None else None,
        "langfuse.observation.completion_start_time": _first_token(span, found),
    }


def _usage(counts: Mapping[str, int | None]) -> dict[str, int]:
    """Langfuse's classes; what is unknown is left out, so that it is not taken for 0."""
    incoming, outgoing = counts["input_tokens"], counts["output_tokens"]
    read, write, reasoning = counts["cache_read_tokens"], counts["cache_write_tokens"], counts["reasoning_tokens"]
    told = {
        "input": None if incoming is None else max(incoming - (read or 0) - (write or 0), 0),
        "input_cached_tokens": read,
        "input_cache_creation": write,
        "output": None if outgoing is None else max(outgoing - (reasoning or 0), 0),
        "output_reasoning_tokens": reasoning,
        "total": None if incoming is None or outgoing is None else incoming + outgoing,
    }
    return {name: count for name, count in told.items() if count is not None}


def _first_token(span: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    seconds = found.get(names.RESPONSE_FIRST_CHUNK)
    if not isinstance(seconds, float):
        return None
    when = datetime.fromtimestamp(int(span["startTimeUnixNano"]) / 1e9 + seconds, UTC)
    return json.dumps(when.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


def _first(found: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value for key in keys if (value := found.get(key)) is not None), None)


def _number(value: Any) -> int | None:
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def otlp_value(value: Any) -> dict[str, Any]:
    """A value as OTLP/JSON has it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [otlp_value(item) for item in value]}}
    return {"stringValue": _text(value)}


def with_attributes(span: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """The span with ``added``; an attribute of the same name is replaced."""
    kept = [pair for pair in span.get("attributes", ()) if pair["key"] not in added]
    return {**span, "attributes": [*kept, *({"key": name, "value": otlp_value(value)} for name, value in added.items())]}
