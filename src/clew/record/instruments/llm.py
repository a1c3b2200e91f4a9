"""A model call: what was asked, what came back, what it used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from clew.model import attributes as names
from clew.record import labels
from clew.record.guard import fault
from clew.record.span import Span

if TYPE_CHECKING:
    from clew.model.usage import Usage

# The readers of responses and usage take 10 ms to load: each method loads what it needs, not `import clew`.

_USAGE_ATTRIBUTES = {
    "input_tokens": names.INPUT_TOKENS,
    "output_tokens": names.OUTPUT_TOKENS,
    "cache_read_tokens": names.CACHE_READ_TOKENS,
    "cache_write_tokens": names.CACHE_WRITE_TOKENS,
    "cache_write_1h_tokens": names.CACHE_WRITE_1H_TOKENS,
    "reasoning_tokens": names.REASONING_TOKENS,
    "audio_input_tokens": names.AUDIO_INPUT_TOKENS,
    "audio_output_tokens": names.AUDIO_OUTPUT_TOKENS,
}


# What every model span asks, found by measuring: each call in between costs a tenth of a microsecond.
_held, _inherited = labels.held, labels.inherited
_enter = Span.__enter__  # without super(): it costs as much again


class ModelSpan(Span):
    """A span that uses a model: llm, embedding, agent. It takes the labels that hold where it starts."""

    __slots__ = ()

    def start(self) -> Self:
        if _held(None) or _inherited():
            self.update(labels.attributes(self.given))
        return super().start()

    def __enter__(self) -> Self:
        if _held(None) or _inherited():
            self.update(labels.attributes(self.given))
        _enter(self)
        return self

    def usage(self, usage: Usage | object = None, /, *, source: str = "provider", **tokens: int) -> Self:
        """Tokens used: a ``Usage``, a provider's usage object or response, or keywords named as the fields of ``Usage``.

        Totals are inclusive: input counts cached tokens, output counts reasoning. What the provider sent is kept beside
        (``clew.usage.raw``). Setting it again replaces it: providers that stream send running totals.
        """
        try:
            from clew.model.usage import Usage
            from clew.record.instruments import responses

            if usage is not None and not isinstance(usage, Usage):
                raw = responses.usage_of(usage)
                provider = self.attributes.get(names.PROVIDER)
                found = Usage.from_provider(usage, provider=provider if isinstance(provider, str) else None)
                if found is None:
                    return self
                self.set(names.USAGE_RAW, raw if isinstance(raw, Mapping) else responses.plain(raw))
                usage = found
            values = {field: getattr(usage, field) for field in _USAGE_ATTRIBUTES} if usage is not None else {}
            values.update(tokens)
            known = False
            for field, value in values.items():
                if field not in _USAGE_ATTRIBUTES:
                    raise TypeError(f"no class of tokens is named {field!r}; there are {', '.join(_USAGE_ATTRIBUTES)}")
                if value is not None:
                    self.set(_USAGE_ATTRIBUTES[field], int(value))
                    known = True
            if known:
                self.set(names.USAGE_SOURCE, source)
        except Exception:
            fault("recording usage")
        return self

    def cost(self, usd: float) -> Self:
        """What the provider charged, in US dollars."""
        return self.set(names.COST_USD, float(usd))

    def response(self, response: object) -> Self:
        """Take what a provider's response says: model, id, finish reasons, output messages, usage, reported cost.

        Understands OpenAI chat completions and responses, Anthropic messages, Gemini generateContent, embeddings; as the client
        library's object or as a dict. What has another shape is recorded as the output.
        """
        try:
            from clew.record.instruments import responses

            found = responses.read(response)
            for name, value in found.attributes.items():
                self.set(name, value)
            self.usage(response)
            if not found.attributes:
                self.output(response)
        except Exception:
            fault("reading a response")
        return self


class LlmSpan(ModelSpan):
    """A chat, completion or generation."""

    __slots__ = ()

    def messages(self, messages: Any) -> Self:
        """What the model is given: a text, or the list of messages in the provider's form."""
        try:
            from clew.record.instruments import responses

            system, given = responses.input_messages(messages)
            if system:
                self.set(names.SYSTEM_INSTRUCTIONS, system)
            self.set(names.INPUT_MESSAGES, given)
        except Exception:
            fault("recording messages")
        return self

    def input(self, value: Any) -> Self:
        return self.messages(value)

    def output(self, value: Any) -> Self:
        """What the model gave: a text, or a list of messages."""
        try:
            from clew.record.instruments import responses

            self.set(names.OUTPUT_MESSAGES, responses.output_messages(value))
        except Exception:
            fault("recording messages")
        return self

    def system(self, instructions: Any) -> Self:
        """System instructions that are not part of the messages."""
        try:
            from clew.record.instruments import responses

            self.set(names.SYSTEM_INSTRUCTIONS, responses.parts(instructions))
        except Exception:
            fault("recording system instructions")
        return self

    def tools(self, definitions: Any) -> Self:
        """Tools offered to the model, in the provider's form."""
        return self.set(names.TOOL_DEFINITIONS, definitions)

    def first_chunk(self) -> Self:
        """The first chunk of a stream has come: records the time since the start, in seconds. Later calls change nothing."""
        try:
            if self.started and names.RESPONSE_FIRST_CHUNK not in self.given:
                self.set(names.RESPONSE_FIRST_CHUNK, (self.recorder.now() - self.started) / 1e9)
        except Exception:
            fault("recording the first chunk")
        return self
