"""Reads providers' requests and responses: OpenAI chat completions and responses, Anthropic, Gemini, Bedrock Converse, Ollama, Cohere.

Messages become OpenTelemetry's form: ``[{"role": ..., "parts": [{"type": ..., ...}], "finish_reason": ...}]`` with the part types
``text``, ``reasoning``, ``tool_call``, ``tool_call_response``, ``blob``, ``uri``, ``file``; a part of unknown shape is kept as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clew.model import attributes as names
from clew.model.usage import reported_cost


@dataclass(slots=True)
class Response:
    """What a response says, as attributes; empty when its shape is unknown."""

    attributes: dict[str, Any] = field(default_factory=dict)


def plain(value: object) -> Any:
    """A client library's object as dicts and lists; anything else as it is."""
    if value is None or isinstance(value, (str, int, float, Mapping, list, tuple)):
        return value
    for way in ("model_dump", "to_dict", "dict"):
        method = getattr(value, way, None)
        if callable(method):
            try:
                found = method(exclude_none=True, warnings=False) if way == "model_dump" else method()
            except TypeError:
                found = method()
            if isinstance(found, Mapping):
                return found
    return value


_USAGE_BY_CALL: Final = frozenset({"pydantic_ai"})
"""Libraries whose results give their usage by a method that only reads it."""


def usage_of(value: object) -> object:
    """The usage object of a response; ``value`` itself when it is one already."""
    for name in ("usage", "usage_metadata", "usageMetadata"):
        found = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if callable(found) and type(value).__module__.partition(".")[0] in _USAGE_BY_CALL:
            found = found()
        if found is not None and not callable(found):
            return plain(found)
    return plain(value)


def read(response: object) -> Response:
    """What ``response`` says."""
    body = plain(response)
    found = Response()
    if not isinstance(body, Mapping):
        return found
    messages, reasons = _outputs(body)
    values = {
        names.RESPONSE_MODEL: _first(body, "model", "model_version", "modelVersion") or _first(_langchain(body), "model_name", "model"),
        names.RESPONSE_ID: _first(body, "id", "response_id", "responseId", "generation_id"),
        names.OUTPUT_MESSAGES: messages or None,
        names.RESPONSE_FINISH_REASONS: reasons or None,
    }
    found.attributes = {name: value for name, value in values.items() if value is not None}
    if found.attributes:
        cost = reported_cost(body)
        if cost is not None:
            found.attributes[names.COST_USD] = cost
    return found


def input_messages(messages: Any) -> tuple[list[Any] | None, Any]:
    """System instructions that stand apart, and the messages, both in OpenTelemetry's form."""
    messages = plain(messages)
    if isinstance(messages, str):
        return None, [{"role": "user", "parts": parts(messages)}]
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, Sequence):
        return None, messages
    return None, [_message(message, "user") for message in messages]


def output_messages(value: Any) -> Any:
    """What the model gave, in OpenTelemetry's form."""
    value = plain(value)
    if isinstance(value, str):
        return [{"role": "assistant", "parts": parts(value)}]
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence):
        return value
    return [_message(message, "assistant") for message in value]


def parts(content: Any) -> list[Any]:
    """A message's content as parts."""
    content = plain(content)
    if content is None:
        return []
    if isinstance(content, (str, Mapping)):
        content = [content]
    if not isinstance(content, Sequence):
        return [content]
    return [_part(item) for item in content]


_MESSAGE_KEYS: Final = frozenset({"role", "content", "parts", "type", "tool_calls", "function_call", "reasoning", "refusal"})


def _message(message: Any, role: str) -> Any:
    message = plain(message)
    if isinstance(message, str):
        return {"role": role, "parts": parts(message)}
    if not isinstance(message, Mapping):
        return message
    if "parts" in message and all(isinstance(part, Mapping) and "type" in part for part in message["parts"] or ()):
        return message  # in this form already
    if _MESSAGE_KEYS.isdisjoint(message):
        return message
    kind = message.get("type")
    if kind in ("function_call", "function_call_output", "reasoning", "custom_tool_call"):  # items of OpenAI's responses API
        return {"role": "tool" if kind == "function_call_output" else "assistant", "parts": [_part(message)]}
    role = str(message.get("role") or role)
    if role == "tool" and "tool_call_id" in message:
        response = {"type": "tool_call_response", "id": message["tool_call_id"], "response": message.get("content")}
        return {"role": "tool", "parts": [response]}
    body = message.get("content") if "content" in message else message.get("parts")
    made = parts(body)
    for key in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(message.get(key), str) and message[key]:
            made.insert(0, {"type": "reasoning", "content": message[key]})
            break
    if message.get("refusal"):
        made.append({"type": "refusal", "content": message["refusal"]})
    made += [_tool_call(call) for call in message.get("tool_calls") or ()]
    if isinstance(message.get("function_call"), Mapping):
        made.append(_tool_call({"function": message["function_call"]}))
    shown = {"role": "assistant" if role == "model" else role, "parts": made}
    return {**shown, "name": message["name"]} if message.get("name") else shown


def _tool_call(call: Any) -> Any:
    call = plain(call)
    if not isinstance(call, Mapping):
        return call
    function = plain(call.get("function")) if "function" in call else call
    if not isinstance(function, Mapping):
        return call
    return _without_none(
        {
            "type": "tool_call",
            "id": call.get("id"),
            "name": function.get("name"),
            "arguments": parsed(function.get("arguments", function.get("args"))),
        }
    )


def _part(item: Any) -> Any:
    item = plain(item)
    if isinstance(item, str):
        return {"type": "text", "content": item}
    if not isinstance(item, Mapping):
        return item
    reader = _PARTS.get(str(item.get("type")))
    if reader is not None:
        return _without_none(reader(item))
    for key, read_part in _KEYED_PARTS.items():
        if key in item:
            return _without_none(read_part(item))
    return item


def _source(item: Mapping[str, Any]) -> dict[str, Any]:
    source = item.get("source")
    if isinstance(source, Mapping):
        if source.get("type") == "url":
            return {"type": "uri", "uri": source.get("url")}
        if source.get("type") == "file":
            return {"type": "file", "file_id": source.get("file_id")}
        return {"type": "blob", "mime_type": source.get("media_type"), "content": source.get("data")}
    return dict(item)


def _image_url(item: Mapping[str, Any]) -> dict[str, Any]:
    image = item.get("image_url")
    return {"type": "uri", "uri": image.get("url") if isinstance(image, Mapping) else image, "modality": "image"}


def _reasoning(item: Mapping[str, Any]) -> dict[str, Any]:
    summary = item.get("summary") or item.get("content") or item.get("text")
    if isinstance(summary, Sequence) and not isinstance(summary, str):
        summary = "\n".join([str(entry.get("text", "")) for entry in map(plain, summary) if isinstance(entry, Mapping)])
    return {"type": "reasoning", "content": summary or ""}


_PARTS: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), lambda item: {"type": "text", "content": item.get("text", item.get("content"))}),
    "refusal": lambda item: {"type": "refusal", "content": item.get("refusal")},
    "thinking": lambda item: {"type": "reasoning", "content": item.get("thinking")},
    "redacted_thinking": lambda item: {"type": "reasoning", "content": ""},
    "reasoning": _reasoning,
    **dict.fromkeys(
        ("tool_use", "server_tool_use"),
        lambda item: {"type": "tool_call", "id": item.get("id"), "name": item.get("name"), "arguments": item.get("input")},
    ),
    "tool_result": lambda item: {"type": "tool_call_response", "id": item.get("tool_use_id"), "response": item.get("content")},
    **dict.fromkeys(
        ("function_call", "custom_tool_call"),
        lambda item: {
            "type": "tool_call",
            "id": item.get("call_id") or item.get("id"),
            "name": item.get("name"),
            "arguments": parsed(item.get("arguments", item.get("input"))),
        },
    ),
    "function_call_output": lambda item: {"type": "tool_call_response", "id": item.get("call_id"), "response": item.get("output")},
    **dict.fromkeys(("image", "document"), _source),
    **dict.fromkeys(("image_url", "input_image"), _image_url),
}  # fmt: skip

_KEYED_PARTS: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "functionCall": lambda item: _google_call(item["functionCall"]),
    "function_call": lambda item: _google_call(item["function_call"]),
    "functionResponse": lambda item: _google_response(item["functionResponse"]),
    "function_response": lambda item: _google_response(item["function_response"]),
    "inlineData": lambda item: _google_blob(item["inlineData"]),
    "inline_data": lambda item: _google_blob(item["inline_data"]),
    "toolUse": lambda item: {
        "type": "tool_call",
        "id": item["toolUse"].get("toolUseId"),
        "name": item["toolUse"].get("name"),
        "arguments": item["toolUse"].get("input"),
    },
    "toolResult": lambda item: {
        "type": "tool_call_response",
        "id": item["toolResult"].get("toolUseId"),
        "response": item["toolResult"].get("content"),
    },
    "text": lambda item: {"type": "reasoning" if item.get("thought") else "text", "content": item["text"]},
}  # fmt: skip


def _google_call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": call.get("args")}


def _google_response(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call_response", "id": answer.get("id") or answer.get("name"), "response": answer.get("response")}


def _google_blob(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "blob", "mime_type": data.get("mimeType") or data.get("mime_type"), "content": data.get("data")}


def _outputs(body: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
    """Output messages and finish reasons of a response of any known shape."""
    messages: list[Any] = []
    reasons: list[str] = []

    def add(message: Any, reason: Any, role: str = "assistant") -> None:
        shown = _message(message, role)
        if reason is not None:
            reasons.append(str(getattr(reason, "value", reason)))
            if isinstance(shown, Mapping):
                shown = {**shown, "finish_reason": reasons[-1]}
        messages.append(shown)

    if isinstance(choices := body.get("choices"), Sequence):  # OpenAI chat completions, text completions
        for choice in map(plain, choices):
            if isinstance(choice, Mapping):
                message = choice.get("message")
                add(message if message is not None else {"content": choice.get("text")}, choice.get("finish_reason"))
    elif isinstance(candidates := body.get("candidates"), Sequence):  # Gemini
        for candidate in map(plain, candidates):
            if isinstance(candidate, Mapping):
                add(candidate.get("content") or {}, candidate.get("finish_reason", candidate.get("finishReason")))
    elif isinstance(output := body.get("output"), Sequence) and not isinstance(output, str):  # OpenAI responses
        status = body.get("status")
        details = plain(body.get("incomplete_details"))
        reason = details.get("reason") if isinstance(details, Mapping) else status
        for item in output:
            add(item, None)
        if reason is not None:
            reasons.append(str(reason))
    elif isinstance(output, Mapping) and isinstance(output.get("message"), Mapping):  # Bedrock Converse
        add(output["message"], body.get("stopReason"))
    elif body.get("type") == "message" and "content" in body:  # Anthropic
        add({"role": body.get("role"), "content": body["content"]}, body.get("stop_reason"))
    elif found := _langchain(body):
        add({"content": body["content"], "tool_calls": body.get("tool_calls")}, _first(found, "finish_reason", "stop_reason"))
    elif isinstance(message := plain(body.get("message")), Mapping):  # Ollama, Cohere
        add(message, body.get("done_reason", body.get("finish_reason")))
    return messages, reasons


def written(arguments: Any) -> str:
    """Arguments as JSON text where the provider sent an object."""
    return arguments if isinstance(arguments, str) else json.dumps(plain(arguments), default=str)


def parsed(arguments: Any) -> Any:
    """Arguments as an object where the provider sent JSON text."""
    if isinstance(arguments, str) and arguments[:1] in ("{", "["):
        try:
            return json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
    return arguments


def _without_none(part: Any) -> Any:
    return {key: value for key, value in part.items() if value is not None} if isinstance(part, dict) else part


def _langchain(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What LangChain's message says of the answer it came with; empty for anything else."""
    found = body.get("response_metadata")
    return found if isinstance(found, Mapping) and "content" in body else {}


def _first(body: Mapping[str, Any], *keys: str) -> str | None:
    for key in keys:
        value = body.get(key)
        if isinstance(value, str) and value:
            return value
    return None
