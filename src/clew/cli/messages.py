"""The messages of a model call, put together from what its span holds, in whichever dialect they were recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from clew.model import attributes as a


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str


_LISTS: tuple[tuple[str, str], ...] = (
    (a.SYSTEM_INSTRUCTIONS, "system"),
    (a.INPUT_MESSAGES, "user"),
    ("ai.prompt.messages", "user"),
    (a.OUTPUT_MESSAGES, "assistant"),
    ("ai.response.text", "assistant"),
    ("ai.response.toolCalls", "assistant"),
)
"""Keys that hold messages as one JSON list (or as text), in the order of a conversation, and whose words they are when nobody says."""

_INDEXED = re.compile(r"(llm\.(?:input|output)_messages\.\d+\.message|gen_ai\.(?:prompt|completion)\.\d+)\.(.+)")
"""OpenInference and OpenLLMetry: one key per message and field."""

_RESTATE = ("input.value", "output.value", "gen_ai.prompt", "gen_ai.completion", "langfuse.observation.input", "langfuse.observation.output",
            "traceloop.entity.input", "traceloop.entity.output", "mlflow.spanInputs", "mlflow.spanOutputs", a.INPUT, a.OUTPUT)  # fmt: skip
"""Keys that say all of it once more: read only when nothing else does."""


def messages(attributes: Mapping[str, str], contents: Mapping[str, str]) -> list[Message]:
    """The conversation of one span, in order.

    :param attributes: the span's attributes; roles and names of tools stand there
    :param contents: its content, as the store keeps it
    """
    everything = {**attributes, **contents}
    found = list(_indexed(everything))
    for key, role in _LISTS:
        if key in contents:
            found += _listed(contents[key], role)
    if not found:
        for key in _RESTATE:
            if contents.get(key):
                found += _listed(contents[key], "assistant" if "output" in key.lower() or "completion" in key else "user")
    return found


def _indexed(everything: Mapping[str, str]) -> Iterator[Message]:
    fields: dict[str, dict[str, str]] = {}
    for key, value in everything.items():
        if match := _INDEXED.fullmatch(key):
            fields.setdefault(match[1], {})[match[2]] = value
    for prefix in sorted(fields, key=_reading_order):
        of = fields[prefix]
        texts = [
            of[key]
            for key in sorted(of, key=_natural)
            if key == "content" or re.fullmatch(r"contents\.\d+\.message_content\.(text|.*url)", key)
        ]
        calls: dict[str, dict[str, str]] = {}
        for key, value in of.items():
            if match := re.fullmatch(r"tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(name|arguments)", key):
                calls.setdefault(match[1], {})[match[2]] = value
        if "function_call_name" in of:
            calls["0"] = {"name": of["function_call_name"], "arguments": of.get("function_call_arguments_json", "")}
        texts += [
            _call(call.get("name", "?"), call.get("arguments", "")) for _, call in sorted(calls.items(), key=lambda item: int(item[0]))
        ]
        role = of.get("role") or ("assistant" if "output" in prefix or "completion" in prefix else "user")
        yield Message(role, "\n".join(texts))


def _natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in key.split(".")]


def _reading_order(prefix: str) -> tuple[bool, list[tuple[int, str]]]:
    return "output" in prefix or "completion" in prefix, _natural(prefix)


def _listed(text: str, role: str) -> list[Message]:
    try:
        value = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return [Message(role, text)]
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list) and value and all(isinstance(item, dict) and "role" in item for item in value):
        return [_message(item) for item in value]
    if isinstance(value, dict) and "role" in value:
        return [_message(value)]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [Message(role, "\n".join(_part(item) for item in value))]
    return [Message(role, value if isinstance(value, str) else text)]


def _message(item: dict[str, Any]) -> Message:
    texts = []
    body = item.get("parts", item.get("content"))
    if isinstance(body, str):
        texts.append(body)
    elif isinstance(body, list):
        texts += [part if isinstance(part, str) else _part(part) if isinstance(part, dict) else _json(part) for part in body]
    elif body is not None:
        texts.append(_json(body))
    calls = item.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        texts.append(_part({"type": "tool_call", **call}) if isinstance(call, dict) else _json(call))
    return Message(str(item["role"]), "\n".join(text for text in texts if text))


def _part(part: dict[str, Any]) -> str:
    kind = part.get("type")
    if kind in ("tool_call", "tool_use", "function", "tool-call") or ("function" in part and "role" not in part):
        function = part.get("function") if isinstance(part.get("function"), dict) else part
        assert isinstance(function, dict)
        name = function.get("name") or function.get("toolName") or "?"
        return _call(str(name), next((function[key] for key in ("arguments", "input", "args") if key in function), ""))
    if kind in ("tool_call_response", "tool_result", "tool-result"):
        value = next((part[key] for key in ("response", "result", "content", "output") if key in part), "")
        return value if isinstance(value, str) else _json(value)
    text = next((part[key] for key in ("content", "text", "thinking") if isinstance(part.get(key), str)), None)
    if text is None:
        return _json(part)
    return f"({kind}) {text}" if kind in ("reasoning", "thinking") else text


def _call(name: str, arguments: Any) -> str:
    return f"→ {name}({arguments if isinstance(arguments, str) else _json(arguments)})"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
