"""A streamed answer, put together from its pieces: OpenAI chat completions and responses, Anthropic, Gemini, Bedrock Converse, Cohere, Ollama,
LangChain, and plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clew.model import attributes as names
from clew.model.usage import Usage, reported_cost
from clew.record.instruments import responses
from clew.record.span import Span

MOST_PIECES: Final = 10_000
"""Pieces of unknown shape that are kept of one stream; further ones are left out."""

_MAY_CARRY_USAGE: Final = ("usage", "usage_metadata", "usageMetadata", "x_groq", "metadata", "amazon-bedrock-invocationMetrics")


def member(value: Any, name: str) -> Any:
    """A key of a mapping, or an attribute that is no method."""
    if isinstance(value, Mapping):
        return value.get(name)
    found = getattr(value, name, None)
    return None if callable(found) else found


class _Part:
    """A part of a message that grows: text, reasoning, or the arguments of a tool call."""

    __slots__ = ("id", "kind", "name", "pieces")

    def __init__(self, kind: str, id: str | None = None, name: str | None = None) -> None:
        self.kind, self.id, self.name = kind, id, name
        self.pieces: list[str] = []

    def shown(self) -> dict[str, Any]:
        text = "".join(self.pieces)
        if self.kind != "tool_call":
            return {"type": self.kind, "content": text}
        call = {"type": "tool_call", "id": self.id, "name": self.name, "arguments": responses.parsed(text) if text else {}}
        return {key: value for key, value in call.items() if value is not None}


class Assembly:
    """Takes the pieces of one answer as they come. What has come is there at any time, also of a stream that breaks off."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.id: str | None = None
        self.finish: list[str] = []
        self.whole: Any = None
        self._parts: dict[tuple[Any, ...], _Part] = {}
        self._usage: list[Any] = []
        self._unknown: list[Any] = []

    def add(self, piece: Any) -> None:
        """Take one piece, as the client gave it or as a dict."""
        if isinstance(piece, str):
            self._text((0,), "text", piece)
            return
        if any(member(piece, name) is not None for name in _MAY_CARRY_USAGE):
            self._usage.append(piece)
        kind = member(piece, "type")
        if isinstance(choices := member(piece, "choices"), Sequence):
            self._head(piece)
            for choice in choices:
                self._choice(choice)
        elif isinstance(kind, str) and kind.startswith("response."):
            self._response_event(kind, piece)
        elif isinstance(kind, str) and (self._anthropic(kind, piece) or self._cohere(kind, piece)):
            return
        elif isinstance(candidates := member(piece, "candidates"), Sequence):
            self._head(piece)
            for index, candidate in enumerate(candidates):
                self._candidate(index, candidate)
        elif isinstance(piece, Mapping) and not _BEDROCK.isdisjoint(piece):
            self._bedrock(piece)
        elif member(piece, "message") is not None or isinstance(member(piece, "response"), str):
            self._ollama(piece)
        elif hasattr(piece, "content") and hasattr(piece, "response_metadata"):
            self._langchain(piece)
        elif len(self._unknown) < MOST_PIECES:
            self._unknown.append(piece)

    def record(self, span: Span) -> None:
        """Set what has come on the span of the call."""
        if self.whole is not None:
            span.response(self.whole)  # type: ignore[attr-defined]
            return
        span.set(names.RESPONSE_MODEL, self.model)
        span.set(names.RESPONSE_ID, self.id)
        span.set(names.RESPONSE_FINISH_REASONS, self.finish or None)
        messages: dict[Any, list[dict[str, Any]]] = {}
        for key, part in self._parts.items():
            messages.setdefault(key[0], []).append(part.shown())
        if messages:
            shown = [{"role": "assistant", "parts": parts} for parts in messages.values()]
            for message, reason in zip(shown, self.finish, strict=False):
                message["finish_reason"] = reason
            span.set(names.OUTPUT_MESSAGES, shown)
        elif self._unknown:
            span.output(self._unknown)
        if self._usage:
            provider = span.attributes.get(names.PROVIDER)
            usage = Usage.from_stream(self._usage, provider=provider if isinstance(provider, str) else None)
            if usage is not None:
                span.usage(usage)  # type: ignore[attr-defined]
                span.set(names.USAGE_RAW, responses.usage_of(self._usage[-1]))
            cost = next((cost for piece in reversed(self._usage) if (cost := reported_cost(piece)) is not None), None)
            if cost is not None:
                span.set(names.COST_USD, cost)

    def _head(self, piece: Any) -> None:
        for name in ("model", "model_version", "modelVersion"):
            if isinstance(found := member(piece, name), str) and found:
                self.model = found
        for name in ("id", "response_id", "responseId"):
            if isinstance(found := member(piece, name), str) and found:
                self.id = self.id or found

    def _text(self, key: tuple[Any, ...], kind: str, text: Any) -> None:
        if isinstance(text, str) and text:
            self._part((*key, kind), kind).pieces.append(text)

    def _part(self, key: tuple[Any, ...], kind: str, id: Any = None, name: Any = None) -> _Part:
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = _Part(kind)
        part.id, part.name = part.id or id, part.name or name
        return part

    def _finished(self, reason: Any) -> None:
        if reason is not None:
            self.finish.append(str(getattr(reason, "value", reason)))

    def _choice(self, choice: Any) -> None:
        index = member(choice, "index") or 0
        delta = member(choice, "delta")
        self._text((index,), "text", member(choice, "text"))
        for name in ("reasoning_content", "reasoning", "thinking"):
            if isinstance(member(delta, name), str):
                self._text((index,), "reasoning", member(delta, name))
                break
        self._text((index,), "text", member(delta, "content"))
        self._text((index,), "refusal", member(delta, "refusal"))
        for call in member(delta, "tool_calls") or ():
            function = member(call, "function")
            key = (index, "call", member(call, "index") or 0)
            part = self._part(key, "tool_call", member(call, "id"), member(function, "name"))
            if isinstance(arguments := member(function, "arguments"), str):
                part.pieces.append(arguments)
        self._finished(member(choice, "finish_reason"))

    def _response_event(self, kind: str, event: Any) -> None:
        """OpenAI responses: the closing event has the whole; the deltas matter when it does not come."""
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.whole = member(event, "response")
        elif kind == "response.created":
            self._head(member(event, "response"))
        elif kind == "response.output_text.delta":
            self._text((0, member(event, "item_id")), "text", member(event, "delta"))

    def _anthropic(self, kind: str, event: Any) -> bool:
        index = member(event, "index") or 0
        if kind == "message_start":
            self._head(member(event, "message"))
            self._usage.append(event)
        elif kind == "content_block_start":
            block = member(event, "content_block")
            if member(block, "type") in ("tool_use", "server_tool_use"):
                self._part((0, index), "tool_call", member(block, "id"), member(block, "name"))
            self._text((0, index), "text", member(block, "text"))
        elif kind == "content_block_delta":
            delta = member(event, "delta")
            if isinstance(arguments := member(delta, "partial_json"), str):
                self._part((0, index), "tool_call").pieces.append(arguments)
            self._text((0, index), "text", member(delta, "text"))
            self._text((0, index), "reasoning", member(delta, "thinking"))
        elif kind == "message_delta":
            self._finished(member(member(event, "delta"), "stop_reason"))
        else:
            return kind in ("message_stop", "content_block_stop", "ping")
        return True

    def _cohere(self, kind: str, event: Any) -> bool:
        delta = member(event, "delta")
        message = member(delta, "message")
        if kind == "message-start":
            self._head(event)
        elif kind == "content-delta":
            self._text((0, member(event, "index")), "text", member(member(message, "content"), "text"))
        elif kind in ("tool-call-start", "tool-call-delta"):
            call = member(message, "tool_calls")
            function = member(call, "function")
            part = self._part((0, "call", member(event, "index")), "tool_call", member(call, "id"), member(function, "name"))
            if isinstance(arguments := member(function, "arguments"), str):
                part.pieces.append(arguments)
        elif kind == "message-end":
            self._finished(member(delta, "finish_reason"))
            self._usage.append(event)
        else:
            return kind in ("content-start", "content-end", "tool-call-end", "tool-plan-delta", "citation-start", "citation-end")
        return True

    def _candidate(self, index: int, candidate: Any) -> None:
        for number, part in enumerate(member(member(candidate, "content"), "parts") or ()):
            kind = "reasoning" if member(part, "thought") else "text"
            self._text((index,), kind, member(part, "text"))
            call = member(part, "function_call") or member(part, "functionCall")
            if call is not None:
                arguments = member(call, "args")
                made = self._part((index, "call", len(self._parts), number), "tool_call", member(call, "id"), member(call, "name"))
                made.pieces.append(responses.written(arguments))
        self._finished(member(candidate, "finish_reason") or member(candidate, "finishReason"))

    def _bedrock(self, event: Mapping[str, Any]) -> None:
        if start := event.get("contentBlockStart"):
            if tool := member(member(start, "start"), "toolUse"):
                key = (0, member(start, "contentBlockIndex"))
                self._part(key, "tool_call", member(tool, "toolUseId"), member(tool, "name"))
        elif piece := event.get("contentBlockDelta"):
            key, delta = (0, member(piece, "contentBlockIndex")), member(piece, "delta")
            self._text(key, "text", member(delta, "text"))
            self._text(key, "reasoning", member(member(delta, "reasoningContent"), "text"))
            if isinstance(arguments := member(member(delta, "toolUse"), "input"), str):
                self._part(key, "tool_call").pieces.append(arguments)
        elif stop := event.get("messageStop"):
            self._finished(member(stop, "stopReason"))

    def _ollama(self, piece: Any) -> None:
        self._head(piece)
        message = member(piece, "message")
        self._text((0,), "reasoning", member(message, "thinking") or member(piece, "thinking"))
        self._text((0,), "text", member(message, "content") or member(piece, "response"))
        for number, call in enumerate(member(message, "tool_calls") or ()):
            function = member(call, "function")
            made = self._part((0, "call", len(self._parts), number), "tool_call", None, member(function, "name"))
            made.pieces.append(responses.written(member(function, "arguments")))
        if member(piece, "done"):
            self._finished(member(piece, "done_reason"))
            self._usage.append(piece)

    def _langchain(self, piece: Any) -> None:
        content = piece.content
        for part in [content] if isinstance(content, str) else content or ():
            self._text((0,), "text", part if isinstance(part, str) else member(part, "text"))
        for call in member(piece, "tool_call_chunks") or ():
            made = self._part((0, "call", member(call, "index")), "tool_call", member(call, "id"), member(call, "name"))
            if isinstance(arguments := member(call, "args"), str):
                made.pieces.append(arguments)
        found = piece.response_metadata or {}
        self.model = found.get("model_name") or found.get("model") or self.model
        self.id = self.id or member(piece, "id")
        self._finished(found.get("finish_reason") or found.get("stop_reason"))


_BEDROCK: Final = frozenset({"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"})
