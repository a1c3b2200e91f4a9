"""Simon Willison's ``llm``. Its responses are lazy: ``prompt()`` asks nothing yet, the model is called when the answer is first read. The span is that
call: it starts with the first reading, not with ``prompt()``, and ends with the last piece; reading an answer again makes no further one."""

from __future__ import annotations

import functools
from typing import Any

from clew.connect.frameworks.patches import Patches
from clew.errors import ClewError
from clew.model import attributes as names
from clew.model.usage import Usage
from clew.record.calls.streams import recorded
from clew.record.errors import is_failure
from clew.record.instruments.functions import llm as llm_span
from clew.record.span import Span


class LlmInstrumentor:
    """Every response of every model, sync and async."""

    def __init__(self) -> None:
        self._patches = Patches()

    def instrument(self) -> None:
        """Start.

        :raises ClewError: this version of llm calls its models in another way
        """
        from llm import models

        if not hasattr(models.Response, "_iter_events") or not hasattr(models.AsyncResponse, "_ensure_async_generator"):
            raise ClewError("clew.instrument('llm') needs llm 0.36 or newer; run: pip install --upgrade llm")
        self._patches.replace(models.Response, "_iter_events", _sync)
        self._patches.replace(models.AsyncResponse, "_ensure_async_generator", _async)

    def uninstrument(self) -> None:
        """Stop."""
        self._patches.undo()


def _sync(original: Any) -> Any:
    @functools.wraps(original)
    def iter_events(self: Any) -> Any:
        return _recorded(self, lambda: original(self))

    return iter_events


def _async(original: Any) -> Any:
    @functools.wraps(original)
    def ensure(self: Any) -> None:
        if hasattr(self, "_generator"):
            return

        def make() -> Any:
            original(self)
            return self._generator

        self._generator = _recorded(self, make)

    return ensure


def _recorded(response: Any, make: Any) -> Any:
    """The pieces that ``make`` gives, under a span of the call."""
    span = _span(response).start()
    try:
        pieces = make()
    except BaseException as error:
        span.fail(error)
        span.end()
        raise
    if not isinstance(span, Span):
        return pieces

    def finish(span: Span, error: BaseException | None) -> None:
        _result(span, response)
        if error is not None and is_failure(error):
            span.fail(error)
        span.__exit__(None, None, None)

    return recorded(pieces, span, finish)


def _span(response: Any) -> Any:
    prompt = response.prompt
    options = {name: value for name, value in vars(prompt.options).items() if value is not None} if prompt.options is not None else {}
    known = {name: options[name] for name in ("temperature", "top_p", "max_tokens", "seed") if isinstance(options.get(name), (int, float))}
    tools = [{"name": getattr(tool, "name", None), "description": getattr(tool, "description", None)} for tool in prompt.tools or ()]
    return llm_span(
        "chat",
        model=response.model.model_id,
        provider=_provider(response.model),
        messages=_messages(prompt),
        system=prompt.system or None,
        tools=tools or None,
        stream=bool(response.stream),
        session=getattr(response.conversation, "id", None),
        **known,
    )


def _provider(model: Any) -> str | None:
    """Told by the plugin: ``llm_anthropic`` is anthropic's; llm itself brings OpenAI's models."""
    module = type(model).__module__
    if module.startswith("llm.default_plugins.openai"):
        return "openai"
    package = module.partition(".")[0]
    return package.removeprefix("llm_") if package.startswith("llm_") else None


def _messages(prompt: Any) -> list[dict[str, Any]]:
    shown = []
    for message in prompt.messages:
        parts = [_part(part) for part in message.parts]
        if message.role != "system" and parts:
            shown.append({"role": message.role, "parts": parts})
    return shown


def _part(part: Any) -> dict[str, Any]:
    kind = type(part).__name__
    if kind == "TextPart":
        return {"type": "text", "content": part.text}
    if kind == "ReasoningPart":
        return {"type": "reasoning", "content": part.text}
    if kind == "ToolCallPart":
        return {"type": "tool_call", "id": part.tool_call_id, "name": part.name, "arguments": part.arguments}
    if kind == "ToolResultPart":
        return {"type": "tool_call_response", "id": part.tool_call_id, "response": part.output}
    return {"type": kind.removesuffix("Part").lower()}


def _result(span: Span, response: Any) -> None:
    """What the model said and used."""
    body = response.response_json or {}
    span.set(names.RESPONSE_MODEL, response.resolved_model or body.get("model"))
    span.set(names.RESPONSE_ID, body.get("id"))
    parts: list[dict[str, Any]] = [{"type": "text", "content": "".join(response._chunks)}] if response._chunks else []
    parts += [
        {"type": "tool_call", "id": call.tool_call_id, "name": call.name, "arguments": call.arguments} for call in response._tool_calls
    ]
    if parts:
        span.output([{"role": "assistant", "parts": parts}])
    if response.input_tokens is None and response.output_tokens is None:
        span.set(names.USAGE_SOURCE, "missing")
        return
    details = response.token_details or {}
    # llm hands on what the provider counts: Anthropic leaves cached tokens out of its input, the others do not.
    keys = (
        ("input_tokens", "output_tokens") if span.attributes.get(names.PROVIDER) == "anthropic" else ("prompt_tokens", "completion_tokens")
    )
    usage = Usage.from_provider({**dict(zip(keys, (response.input_tokens, response.output_tokens), strict=True)), **details})
    span.usage(usage)  # type: ignore[attr-defined]
    span.set(names.USAGE_RAW, {"input": response.input_tokens, "output": response.output_tokens, **details})
