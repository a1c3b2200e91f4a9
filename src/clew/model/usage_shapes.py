"""How providers report tokens: one row per shape of usage object, and the reading of an answer by these rows.

A row says which keys make the shape known and where each class of tokens stands. In an expression `` | `` separates alternatives (the
first that is present counts), `` + `` adds what is present, ``.`` steps inside, and ``list[key=value]`` picks the first item whose key
has that value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

Counts = dict[str, int]
"""Class of tokens -> count, as the source counts them; plus ``cache_outside`` and ``reasoning_outside`` (0 or 1) of its shape."""

_LARGEST: Final = 2**63 - 1  # what OTLP and the store can hold; a count beyond it is damage, not usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One way to report usage.

    ``cache_outside``: ``input`` leaves cached tokens out; ``reasoning_outside``: ``output`` leaves reasoning out.
    """

    source: str
    marks: str
    input: str = ""
    output: str = ""
    total: str = ""
    cache_read: str = ""
    cache_write: str = ""
    cache_write_1h: str = ""
    reasoning: str = ""
    audio_input: str = ""
    audio_output: str = ""
    cache_outside: bool = False
    reasoning_outside: bool = False
    snake_case_too: bool = False
    """The provider's own Python package gives the same names in snake case."""
    providers: tuple[str, ...] = ()
    """When given, the row is for these providers only."""


PLACES: tuple[str, ...] = (
    "usage",
    "usageMetadata",
    "usage_metadata",
    "response.usage",  # OpenAI Responses and Realtime: closing event of a stream
    "message.usage",  # Anthropic: message_start
    "delta.usage",  # Cohere v2: message-end
    "metadata.usage",  # Bedrock Converse: closing event of a stream
    "response.meta",  # Cohere v1: stream-end
    "x_groq.usage",  # Groq: last chunk of a stream
    "result.usage",  # Cloudflare
    "meta",  # Cohere v1 and embeddings
    "amazon-bedrock-invocationMetrics",  # Bedrock InvokeModelWithResponseStream: last chunk
    "details",  # Hugging Face text generation inference
    "",  # the body is the usage object, or has the figures at its top (Ollama)
)
"""Where an answer keeps its usage object; the first place that holds a known shape counts."""

SHAPES: tuple[Shape, ...] = (
    Shape(
        source="Google Gemini and Vertex AI",
        marks="promptTokenCount | candidatesTokenCount | thoughtsTokenCount | responseTokenCount",
        input="promptTokenCount + toolUsePromptTokenCount",
        output="candidatesTokenCount | responseTokenCount",
        total="totalTokenCount",
        cache_read="cachedContentTokenCount",
        reasoning="thoughtsTokenCount",
        audio_input="promptTokensDetails[modality=AUDIO].tokenCount + toolUsePromptTokensDetails[modality=AUDIO].tokenCount",
        audio_output="candidatesTokensDetails[modality=AUDIO].tokenCount | responseTokensDetails[modality=AUDIO].tokenCount",
        reasoning_outside=True,
        snake_case_too=True,
    ),
    Shape(
        source="Amazon Bedrock Converse",
        marks="inputTokens | outputTokens",
        input="inputTokens",
        output="outputTokens",
        total="totalTokens",
        cache_read="cacheReadInputTokens | cacheReadInputTokenCount",
        cache_write="cacheWriteInputTokens | cacheWriteInputTokenCount",
        cache_write_1h="cacheDetails[ttl=1h].inputTokens",
        cache_outside=True,
    ),
    Shape(
        source="Amazon Bedrock InvokeModel metrics",
        marks="inputTokenCount | outputTokenCount",
        input="inputTokenCount",
        output="outputTokenCount",
        cache_read="cacheReadInputTokenCount",
        cache_write="cacheWriteInputTokenCount",
        cache_outside=True,
    ),
    Shape(
        source="Perplexity",
        marks="citation_tokens | num_search_queries | search_context_size",
        input="prompt_tokens",
        output="completion_tokens + citation_tokens",
        total="total_tokens",
        reasoning="reasoning_tokens | completion_tokens_details.reasoning_tokens",
        reasoning_outside=True,
    ),
    Shape(
        source="xAI, which keeps reasoning apart from completion_tokens",
        marks="prompt_tokens | completion_tokens",
        providers=("x_ai", "x-ai", "xai"),
        input="prompt_tokens",
        output="completion_tokens",
        total="total_tokens",
        cache_read="prompt_tokens_details.cached_tokens | cached_prompt_text_tokens",
        reasoning="completion_tokens_details.reasoning_tokens | reasoning_tokens",
        audio_input="prompt_tokens_details.audio_tokens",
        audio_output="completion_tokens_details.audio_tokens",
        reasoning_outside=True,
    ),
    Shape(
        source="OpenAI chat completions and embeddings, and all that follow their form (Azure, Mistral, Groq, DeepSeek, Together, ...)",
        marks="prompt_tokens | completion_tokens",
        input="prompt_tokens",
        output="completion_tokens",
        total="total_tokens",
        # DeepSeek, Mistral, Moonshot, xAI, Databricks and LiteLLM each named the cached part before the details object had a place for it.
        cache_read="prompt_tokens_details.cached_tokens | prompt_cache_hit_tokens | num_cached_tokens | cached_tokens"
        " | cached_prompt_text_tokens | cache_read_input_tokens",
        cache_write="prompt_tokens_details.cache_write_tokens | prompt_tokens_details.cache_creation_tokens | cache_creation_input_tokens",
        reasoning="completion_tokens_details.reasoning_tokens | reasoning_tokens",
        audio_input="prompt_tokens_details.audio_tokens",
        audio_output="completion_tokens_details.audio_tokens",
    ),
    Shape(
        source="Cohere: what is billed",
        marks="billed_units.input_tokens | billed_units.output_tokens",
        input="billed_units.input_tokens",
        output="billed_units.output_tokens",
    ),
    Shape(
        source="Cohere without billed units",
        marks="tokens.input_tokens | tokens.output_tokens",
        input="tokens.input_tokens",
        output="tokens.output_tokens",
        cache_read="cached_tokens",
    ),
    Shape(
        source="OpenAI responses, images and realtime; LangChain",
        marks="input_tokens_details | input_token_details | output_tokens_details.reasoning_tokens | output_token_details",
        input="input_tokens",
        output="output_tokens",
        total="total_tokens",
        cache_read="input_tokens_details.cached_tokens | input_tokens_details.cache_read_input_tokens | input_token_details.cached_tokens"
        " | input_token_details.cache_read",
        cache_write="input_tokens_details.cache_write_tokens | input_token_details.cache_creation",
        reasoning="output_tokens_details.reasoning_tokens | output_token_details.reasoning",
        audio_input="input_tokens_details.audio_tokens | input_token_details.audio_tokens | input_token_details.audio",
        audio_output="output_tokens_details.audio_tokens | output_token_details.audio_tokens | output_token_details.audio",
    ),
    Shape(
        source="Clew and pydantic-ai: inclusive already",
        marks="cache_read_tokens | cache_write_tokens | reasoning_tokens | audio_input_tokens | input_audio_tokens",
        input="input_tokens",
        output="output_tokens",
        cache_read="cache_read_tokens",
        cache_write="cache_write_tokens",
        cache_write_1h="cache_write_1h_tokens",
        reasoning="reasoning_tokens",
        audio_input="audio_input_tokens | input_audio_tokens",
        audio_output="audio_output_tokens | output_audio_tokens",
    ),
    Shape(
        source="Anthropic messages, and every source that says only input_tokens and output_tokens",
        marks="input_tokens | output_tokens",
        input="input_tokens",
        output="output_tokens",
        total="total_tokens",
        cache_read="cache_read_input_tokens",
        cache_write="cache_creation_input_tokens | cache_creation.ephemeral_5m_input_tokens + cache_creation.ephemeral_1h_input_tokens",
        cache_write_1h="cache_creation.ephemeral_1h_input_tokens",
        reasoning="output_tokens_details.thinking_tokens",
        cache_outside=True,
    ),
    Shape(
        source="Ollama",
        marks="prompt_eval_count | eval_count",
        input="prompt_eval_count",
        output="eval_count",
    ),
    Shape(
        source="Amazon Titan",
        marks="inputTextTokenCount",
        input="inputTextTokenCount",
        output="totalOutputTextTokenCount",
    ),
    Shape(
        source="Hugging Face text generation inference",
        marks="generated_tokens",
        output="generated_tokens",
    ),
    Shape(
        source="Voyage AI and Jina embeddings: a total only, all of it input",
        marks="total_tokens",
        input="total_tokens",
        total="total_tokens",
    ),
)

COST: Final = "cost | cost_usd | pydantic_ai_gateway.cost_estimate | total_cost"
"""Where the usage object says what was charged, in USD."""

_Step = tuple[str, str, str, str]  # name, another name for it, key and value of the list item wanted ("" when none)
_Path = tuple[_Step, ...]
_Expression = tuple[tuple[_Path, ...], ...]  # alternatives of sums


@cache
def _expression(text: str, snake_case_too: bool = False) -> _Expression:
    return tuple(tuple(_path(path, snake_case_too) for path in branch.split(" + ")) for branch in text.split(" | "))


def _path(text: str, snake_case_too: bool = False) -> _Path:
    steps = [re.fullmatch(r"([^\[]+)(?:\[(\w+)=(\w+)\])?", step) for step in text.split(".") if step]
    return tuple((m[1], _snake_case(m[1]) if snake_case_too else m[1], m[2] or "", m[3] or "") for m in steps if m)


def _snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


_CLASSES: Final = ("input", "output", "total", "cache_read", "cache_write", "cache_write_1h", "reasoning", "audio_input", "audio_output")


@cache
def _places() -> tuple[_Path, ...]:
    return tuple(_path(place) for place in PLACES)


@cache
def _rows() -> tuple[tuple[Shape, _Expression, tuple[tuple[str, _Expression], ...]], ...]:
    return tuple(
        (
            shape,
            _expression(shape.marks, shape.snake_case_too),
            tuple((name, _expression(getattr(shape, name), shape.snake_case_too)) for name in _CLASSES if getattr(shape, name)),
        )
        for shape in SHAPES
    )


def read_counts(body: object, provider: str | None = None) -> Counts:
    """The figures of the first known shape in ``body``, as the source counts them; empty when there is none."""
    if isinstance(body, Sequence) and not isinstance(body, (str, bytes, bytearray)) and len(body) == 1:
        body = body[0]  # Hugging Face answers with a list of one
    for place in _places():
        part = _follow(body, place)
        if part is None or isinstance(part, (str, bytes, int, float)):
            continue
        for shape, marks, classes in _rows():
            if shape.providers and provider not in shape.providers:
                continue
            if not any(_follow(part, path) is not None for branch in marks for path in branch):
                continue
            counts = {name: count for name, expression in classes if (count := _count(part, expression)) is not None}
            if counts:
                return counts | {"cache_outside": int(shape.cache_outside), "reasoning_outside": int(shape.reasoning_outside)}
    return {}


def read_cost(body: object) -> float | None:
    """USD that the usage object of ``body`` reports as charged, or None."""
    for place in _places():
        part = _follow(body, place)
        if part is None:
            continue
        for branch in _expression(COST):
            value = _number(_follow(part, branch[0]))
            if value is not None and value >= 0:
                return float(value)
    return None


def _count(part: object, expression: _Expression) -> int | None:
    for branch in expression:
        present = [count for path in branch if (count := _tokens(_follow(part, path))) is not None]
        if present:
            total = sum(present)
            return total if total <= _LARGEST else None
    return None


def _follow(value: object, path: _Path) -> object:
    for name, other, key, wanted in path:
        value = _member(value, name, other)
        if key:
            if not isinstance(value, (list, tuple)):
                return None
            value = next((item for item in value if _text(_member(item, key, key)) == wanted), None)
        if value is None:
            return None
    return value


def _member(value: object, name: str, other: str) -> object:
    if isinstance(value, Mapping):
        found = value.get(name)
        return found if found is not None or other == name else value.get(other)
    if value is None or isinstance(value, (str, bytes, int, float, list, tuple)):
        return None
    for attribute in (name, other):
        try:
            found = getattr(value, attribute, None)
        except Exception:  # a property of somebody else's object may raise anything; what raises is absent
            found = None
        if found is not None and not callable(found):
            return found
    return None


def _text(value: object) -> str:
    """Text of a key that may be an enum member."""
    return str(getattr(value, "value", value))


def _number(value: object) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    elif not hasattr(type(value), "__float__"):
        return None
    elif isinstance(value, int):
        return value
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:  # __float__ of somebody else's object, or text that is no number
        return None
    return number if math.isfinite(number) else None


def _tokens(value: Any) -> int | None:
    """A count of tokens; None for what is no number, not finite, negative or larger than 64 bits."""
    number = _number(value)
    return int(number) if number is not None and 0 <= number <= _LARGEST else None
