"""pydantic-ai's messages in OpenTelemetry's form, as spans and recordings hold them, and back: ``[{"role", "parts": [{"type", ...}]}]``."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from pydantic_ai import messages as pa
from pydantic_core import to_jsonable_python

Part = dict[str, Any]
Message = dict[str, Any]


def described(messages: Sequence[pa.ModelMessage]) -> list[Message]:
    """What was said so far, requests and answers. Times are left out, so equal conversations are equal."""
    found: list[Message] = []
    for message in messages:
        if isinstance(message, pa.ModelResponse):
            found.append(answer(message))
            continue
        for role, parts in groupby(message.parts, key=_role):
            found.append({"role": role, "parts": [item for part in parts for item in _request_parts(part)]})
    return found


def answer(response: pa.ModelResponse) -> Message:
    """One answer of a model."""
    return {"role": "assistant", "parts": [_response_part(part) for part in response.parts]}


def response_parts(parts: Sequence[Mapping[str, Any]]) -> list[pa.ModelResponsePart]:
    """The parts of an answer, from OpenTelemetry's form.

    :raises ValueError: a part of a type that an answer cannot have
    """
    made: list[pa.ModelResponsePart] = []
    for part in parts:
        build = _BUILDERS.get(str(part.get("type")))
        if build is None:
            raise ValueError(f"an answer has no part of type {part.get('type')!r}; it may have {', '.join(_BUILDERS)}")
        made.append(build(part))
    return made


def instructions(messages: Sequence[pa.ModelMessage]) -> str | None:
    """The instructions that stand apart from the messages: those of the last request."""
    return next((message.instructions for message in reversed(messages) if isinstance(message, pa.ModelRequest)), None)


def last_prompt(messages: Sequence[pa.ModelMessage]) -> str | None:
    """The last text that a user said."""
    for message in reversed(described(messages)):
        if message["role"] == "user":
            text = "".join(part["content"] for part in message["parts"] if part["type"] == "text")
            if text:
                return text
    return None


_BUILDERS: Final[dict[str, Callable[[Mapping[str, Any]], pa.ModelResponsePart]]] = {
    "text": lambda part: pa.TextPart(part["content"]),
    "reasoning": lambda part: pa.ThinkingPart(part["content"]),
    "tool_call": lambda part: pa.ToolCallPart(part["name"], part.get("arguments"), part["id"]),
}


def _role(part: pa.ModelRequestPart) -> str:
    if isinstance(part, pa.SystemPromptPart):
        return "system"
    if isinstance(part, pa.BaseToolReturnPart):
        return "tool"
    return "user"


def _request_parts(part: pa.ModelRequestPart) -> list[Part]:
    if isinstance(part, pa.SystemPromptPart):
        return [{"type": "text", "content": part.content}]
    if isinstance(part, pa.UserPromptPart):
        return [_content(item) for item in ([part.content] if isinstance(part.content, str) else part.content)]
    if isinstance(part, pa.BaseToolReturnPart):
        response = to_jsonable_python(part.content, fallback=str)
        return [{"type": "tool_call_response", "id": part.tool_call_id, "name": part.tool_name, "response": response}]
    if isinstance(part, pa.RetryFeedbackPart):
        return [{"type": "text", "content": part.model_response()}]
    return [_other(part)]


def _content(item: Any) -> Part:
    if isinstance(item, str):
        return {"type": "text", "content": item}
    if isinstance(item, pa.TextContent):
        return {"type": "text", "content": item.content}
    if isinstance(item, pa.BinaryContent):
        return {"type": "blob", "mime_type": item.media_type, "content": base64.b64encode(item.data).decode()}
    if isinstance(item, pa.FileUrl):
        return {"type": "uri", "uri": item.url}
    return _other(item)


def _response_part(part: pa.ModelResponsePart) -> Part:
    if isinstance(part, pa.TextPart):
        return {"type": "text", "content": part.content}
    if isinstance(part, pa.ThinkingPart):
        return {"type": "reasoning", "content": part.content}
    if isinstance(part, pa.BaseToolCallPart):
        return {"type": "tool_call", "id": part.tool_call_id, "name": part.tool_name, "arguments": _parsed(part.args)}
    return _other(part)


def _parsed(arguments: Any) -> Any:
    """Arguments as an object where the provider sent JSON text; text that is none stays text."""
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except ValueError:
            return arguments
    return arguments


def _other(part: Any) -> Part:
    """A part that has no form of its own there."""
    found = to_jsonable_python(part, fallback=str, exclude_none=True)
    kind = getattr(part, "part_kind", None) or getattr(part, "kind", None) or type(part).__name__
    return {"type": kind, **{key: value for key, value in found.items() if key not in ("timestamp", "part_kind", "kind")}}
