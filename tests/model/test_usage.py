"""Usage as each provider means it: inclusive, closed, never negative, never a guess."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_answers import Exchange, read

from clew.model.usage import Usage, reported_cost
from clew.model.usage_shapes import PLACES, SHAPES

Data = Callable[[str], Path]

CASES: dict[str, tuple[Any, Usage]] = {
    "OpenAI chat": (
        {
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 2},
            }
        },
        Usage(input_tokens=100, output_tokens=20, cache_read_tokens=64, reasoning_tokens=12, audio_input_tokens=3, audio_output_tokens=2),
    ),
    "OpenAI embeddings: nothing comes out": ({"usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(input_tokens=8, output_tokens=0)),
    "OpenAI responses": (
        {
            "usage": {
                "input_tokens": 4020,
                "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4012},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 4025,
            }
        },
        Usage(input_tokens=4020, output_tokens=5, cache_read_tokens=1, cache_write_tokens=4012, reasoning_tokens=0),
    ),
    "OpenAI responses, closing event of a stream": (
        {
            "type": "response.completed",
            "response": {"usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2, "total_tokens": 9}},
        },
        Usage(input_tokens=7, output_tokens=2, cache_read_tokens=0),
    ),
    "OpenAI realtime": (
        {
            "response": {
                "usage": {
                    "input_tokens": 50,
                    "output_tokens": 30,
                    "total_tokens": 80,
                    "input_token_details": {"cached_tokens": 10, "audio_tokens": 40},
                    "output_token_details": {"audio_tokens": 25},
                }
            }
        },
        Usage(input_tokens=50, output_tokens=30, cache_read_tokens=10, audio_input_tokens=40, audio_output_tokens=25),
    ),
    "Anthropic: input leaves the cached tokens out": (
        {
            "usage": {
                "input_tokens": 3,
                "cache_read_input_tokens": 9511,
                "cache_creation_input_tokens": 1956,
                "output_tokens": 44,
                "cache_creation": {"ephemeral_5m_input_tokens": 956, "ephemeral_1h_input_tokens": 1000},
            }
        },
        Usage(input_tokens=11470, output_tokens=44, cache_read_tokens=9511, cache_write_tokens=1956, cache_write_1h_tokens=1000),
    ),
    "Anthropic, parts of cache writes only": (
        {
            "usage": {
                "input_tokens": 1,
                "output_tokens": 2,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 30},
            }
        },
        Usage(input_tokens=41, output_tokens=2, cache_write_tokens=40, cache_write_1h_tokens=30),
    ),
    "Anthropic thinking is a part of the output": (
        {"usage": {"input_tokens": 6, "output_tokens": 489, "output_tokens_details": {"thinking_tokens": 77}}},
        Usage(input_tokens=6, output_tokens=489, reasoning_tokens=77),
    ),
    "Gemini: thoughts stand beside the answer, tool results beside the prompt": (
        {
            "usageMetadata": {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "toolUsePromptTokenCount": 25,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 240,
                "totalTokenCount": 375,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 70}, {"modality": "AUDIO", "tokenCount": 30}],
            }
        },
        Usage(input_tokens=125, output_tokens=250, cache_read_tokens=60, reasoning_tokens=240, audio_input_tokens=30),
    ),
    "Gemini that only thought": (
        {"usageMetadata": {"promptTokenCount": 10, "thoughtsTokenCount": 50, "totalTokenCount": 60}},
        Usage(input_tokens=10, output_tokens=50, reasoning_tokens=50),
    ),
    "Gemini in its Python package's names": (
        {
            "usage_metadata": {
                "prompt_token_count": 10,
                "candidates_token_count": 4,
                "cached_content_token_count": 2,
                "total_token_count": 14,
            }
        },
        Usage(input_tokens=10, output_tokens=4, cache_read_tokens=2),
    ),
    "Bedrock Converse": (
        {
            "usage": {
                "inputTokens": 3,
                "outputTokens": 121,
                "cacheReadInputTokens": 1712,
                "cacheWriteInputTokens": 236,
                "totalTokens": 2072,
                "cacheDetails": [{"ttl": "5m", "inputTokens": 36}, {"ttl": "1h", "inputTokens": 200}],
            }
        },
        Usage(input_tokens=1951, output_tokens=121, cache_read_tokens=1712, cache_write_tokens=236, cache_write_1h_tokens=200),
    ),
    "Bedrock InvokeModel": (
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 14, "outputTokenCount": 5}},
        Usage(input_tokens=14, output_tokens=5),
    ),
    "Cohere: billed units, not the prompt template": (
        {
            "usage": {
                "billed_units": {"input_tokens": 33, "output_tokens": 22},
                "cached_tokens": 144,
                "tokens": {"input_tokens": 1452, "output_tokens": 33},
            }
        },
        Usage(input_tokens=33, output_tokens=22),
    ),
    "Cohere embeddings": ({"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}}, Usage(input_tokens=4)),
    "DeepSeek": (
        {
            "usage": {
                "prompt_tokens": 50,
                "completion_tokens": 7,
                "total_tokens": 57,
                "prompt_cache_hit_tokens": 48,
                "prompt_cache_miss_tokens": 2,
            }
        },
        Usage(input_tokens=50, output_tokens=7, cache_read_tokens=48),
    ),
    "Mistral": (
        {"usage": {"prompt_tokens": 64, "completion_tokens": 6, "total_tokens": 70, "num_cached_tokens": 32}},
        Usage(input_tokens=64, output_tokens=6, cache_read_tokens=32),
    ),
    "Groq, last chunk of a stream": (
        {"x_groq": {"usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29, "queue_time": 0.01}}},
        Usage(input_tokens=20, output_tokens=9),
    ),
    "xAI: its total says that reasoning stands beside the answer": (
        {
            "usage": {
                "prompt_tokens": 30,
                "completion_tokens": 5,
                "total_tokens": 235,
                "completion_tokens_details": {"reasoning_tokens": 200},
            }
        },
        Usage(input_tokens=30, output_tokens=205, reasoning_tokens=200),
    ),
    "Grok behind a gateway that includes reasoning": (
        {
            "usage": {
                "prompt_tokens": 687,
                "completion_tokens": 240,
                "total_tokens": 927,
                "completion_tokens_details": {"reasoning_tokens": 165},
                "prompt_tokens_details": {"cached_tokens": 682},
            }
        },
        Usage(input_tokens=687, output_tokens=240, reasoning_tokens=165, cache_read_tokens=682),
    ),
    "A gateway whose total says that cached tokens stand beside the prompt": (
        {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 105, "prompt_tokens_details": {"cached_tokens": 90}}},
        Usage(input_tokens=100, output_tokens=5, cache_read_tokens=90),
    ),
    "Gemini behind OpenRouter: the total confirms the prompt, so what was written and read at once counts as read": (
        {
            "usage": {
                "prompt_tokens": 2168,
                "completion_tokens": 100,
                "total_tokens": 2268,
                "prompt_tokens_details": {"cache_write_tokens": 2161, "cached_tokens": 2161},
            }
        },
        Usage(input_tokens=2168, output_tokens=100, cache_read_tokens=2161, cache_write_tokens=7),
    ),
    "Perplexity": (
        {
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 10,
                "total_tokens": 19,
                "citation_tokens": 100,
                "num_search_queries": 2,
                "reasoning_tokens": 50,
            }
        },
        Usage(input_tokens=9, output_tokens=160, reasoning_tokens=50),
    ),
    "Ollama": (
        {"model": "qwen", "done": True, "prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4709213000},
        Usage(input_tokens=26, output_tokens=298),
    ),
    "Hugging Face text generation inference": (
        [{"generated_text": "hi", "details": {"finish_reason": "length", "generated_tokens": 20, "seed": None}}],
        Usage(output_tokens=20),
    ),
    "Voyage AI": ({"object": "list", "usage": {"total_tokens": 10}}, Usage(input_tokens=10, output_tokens=0)),
    "LangChain": (
        {
            "usage_metadata": {
                "input_tokens": 100,
                "output_tokens": 20,
                "total_tokens": 120,
                "input_token_details": {"cache_read": 30, "cache_creation": 5},
                "output_token_details": {"reasoning": 11},
            }
        },
        Usage(input_tokens=100, output_tokens=20, cache_read_tokens=30, cache_write_tokens=5, reasoning_tokens=11),
    ),
    "Clew's own classes": (
        {"input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 30, "cache_write_tokens": 40, "cache_write_1h_tokens": 10},
        Usage(input_tokens=100, output_tokens=20, cache_read_tokens=30, cache_write_tokens=40, cache_write_1h_tokens=10),
    ),
    "Numbers as text and as floats": (
        {"usage": {"prompt_tokens": "71", "completion_tokens": 46.0, "total_tokens": "117"}},
        Usage(input_tokens=71, output_tokens=46),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_provider_is_read_as_it_means_it(name: str) -> None:
    body, expected = CASES[name]
    assert Usage.from_provider(body) == expected


def test_objects_are_read_as_mappings_are() -> None:
    def thing(value: Any) -> Any:
        if isinstance(value, dict):
            return SimpleNamespace(**{key.replace("-", "_"): thing(item) for key, item in value.items()})
        return [thing(item) for item in value] if isinstance(value, list) else value

    for name, (body, expected) in CASES.items():
        if "InvokeModel" not in name:  # its key is no Python name
            assert Usage.from_provider(thing(body)) == expected, name


def test_a_part_alone_is_read_as_the_whole_answer() -> None:
    body, expected = CASES["OpenAI chat"]
    assert Usage.from_provider(body["usage"]) == expected
    assert Usage.from_provider(expected) is expected


def test_the_provider_decides_where_its_figures_do_not() -> None:
    body = {"usage": {"prompt_tokens": 30, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 200}}}
    assert Usage.from_provider(body, provider="x_ai") == Usage(input_tokens=30, output_tokens=205, reasoning_tokens=200)
    # Without it the part exceeds the whole, so the whole is raised to the part.
    assert Usage.from_provider(body) == Usage(input_tokens=30, output_tokens=200, reasoning_tokens=200)


def test_a_whole_below_its_parts_is_raised_to_them() -> None:
    body = {"usage": {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 30}}}
    usage = Usage.from_provider(body)
    assert usage == Usage(input_tokens=30, output_tokens=1, cache_read_tokens=30)
    assert usage.uncached_tokens == 0


def test_no_usage_is_none_and_not_zero() -> None:
    bodies: list[Any] = [
        *(None, {}, [], [1, 2], "usage", 7, {"usage": None}, {"usage": {}}, {"usage": "x"}, {"error": {"message": "no"}}),
        *({"usage": {"prompt_tokens": value}} for value in (None, True, -5, "many", float("nan"), 2**70)),
    ]
    for body in bodies:
        assert Usage.from_provider(body) is None, body


def test_an_object_that_raises_costs_only_itself() -> None:
    class Hostile:
        prompt_tokens = 5

        @property
        def completion_tokens(self) -> int:
            raise RuntimeError("no")

        @property
        def usage(self) -> int:
            raise RuntimeError("no")

    assert Usage.from_provider(Hostile()) == Usage(input_tokens=5)


def test_a_stream_is_never_summed() -> None:
    cumulative = [{"usage": {"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n}} for n in (1, 2, 3)]
    assert Usage.from_stream([*cumulative, {"usage": None}]) == Usage(input_tokens=9, output_tokens=3)
    anthropic = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"text": "hi"}},
        {"type": "message_delta", "usage": {"output_tokens": 15}},
    ]
    assert Usage.from_stream(anthropic) == Usage(input_tokens=100, output_tokens=15, cache_read_tokens=90)
    assert Usage.from_stream([{"choices": []}, {"usage": None}]) is None


_numbers = st.one_of(
    st.none(), st.integers(-5, 500), st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.integers(0, 500).map(str)
)
_expressions = [expression for shape in SHAPES for expression in dataclasses.astuple(shape)[1:] if isinstance(expression, str)]
_names = sorted({word for text in (*_expressions, *PLACES) for word in re.findall(r"[\w-]+", text)})
_bodies = st.recursive(
    _numbers, lambda inner: st.dictionaries(st.sampled_from(_names), inner, max_size=6) | st.lists(inner, max_size=2), max_leaves=25
)


@given(_bodies, st.sampled_from([None, "x_ai", "openai"]))
def test_parts_never_exceed_their_whole_whatever_the_source_says(body: Any, provider: str | None) -> None:
    usage = Usage.from_provider(body, provider=provider)
    if usage is None:
        return
    for name in Usage.__dataclass_fields__:
        value = getattr(usage, name)
        assert value is None or (type(value) is int and value >= 0), name
    assert (usage.cache_write_1h_tokens or 0) <= (usage.cache_write_tokens or 0)
    if usage.input_tokens is not None:
        assert usage.uncached_tokens is not None
        assert usage.uncached_tokens >= 0
        assert usage.uncached_tokens + (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0) == usage.input_tokens
        assert (usage.audio_input_tokens or 0) <= usage.input_tokens
    if usage.output_tokens is not None:
        assert max(usage.reasoning_tokens or 0, usage.audio_output_tokens or 0) <= usage.output_tokens


@given(st.lists(_bodies, max_size=4))
def test_a_stream_of_anything_is_read_or_refused(events: list[Any]) -> None:
    usage = Usage.from_stream(events)
    assert usage is None or usage.uncached_tokens is None or usage.uncached_tokens >= 0


def test_reported_cost_is_what_the_provider_says() -> None:
    assert reported_cost({"usage": {"prompt_tokens": 1, "cost": 0.025265}}) == 0.025265
    assert reported_cost({"cost": "0.5"}) == 0.5
    for body in (
        {"usage": {"prompt_tokens": 1}},
        {"usage": {"cost": None}},
        {"usage": {"cost": -1}},
        {"usage": {"cost": "nan"}},
        {},
        None,
        "x",
    ):
        assert reported_cost(body) is None, body


# Real bodies -----------------------------------------------------------------------------------------------------------------------------

GENAI_PRICES_NAME = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "input_audio_tokens": "audio_input_tokens",
    "output_audio_tokens": "audio_output_tokens",
}


def extractor_of(body: dict[str, Any]) -> tuple[str, str]:
    """The extractor of genai-prices that is meant for this body: provider and API flavour."""
    usage = body.get("usage", {})
    if "usageMetadata" in body:
        return "google", "default"
    if "meta" in body:
        return "cohere", "embeddings"
    if "billed_units" in usage:
        return "cohere", "default"
    if "inputTokens" in usage:
        return "aws", "default"
    if "input_tokens" in usage:
        return ("openai", "responses") if "total_tokens" in usage else ("anthropic", "default")
    return ("openai", "chat") if "completion_tokens" in usage else ("openai", "embeddings")


REASONS = {"num_cached_tokens": "Mistral's older name for cached prompt tokens; genai-prices does not read it"}
"""Key of a usage body -> why our reading of it differs from that of genai-prices."""


def test_agrees_with_genai_prices_on_real_bodies(shared_data: Data) -> None:
    rows = json.loads(gzip.decompress(shared_data("costs/usage_bodies.json.gz").read_bytes()))
    differing: Counter[str] = Counter()
    for row in rows:
        wanted = next(
            found["usage"]
            for found in row["extracted"]
            for extractor in found["extractors"]
            if (extractor["provider_id"], extractor["api_flavor"]) == extractor_of(row["body"])
        )
        usage = Usage.from_provider(row["body"])
        assert usage is not None, row["body"]
        difference = {ours for theirs, ours in GENAI_PRICES_NAME.items() if wanted.get(theirs, 0) != (getattr(usage, ours) or 0)}
        if difference:
            reason = next((key for key in REASONS if key in row["body"].get("usage", {})), None)
            assert reason is not None, (row["body"], usage, wanted)
            assert difference == {"cache_read_tokens"}
            differing[reason] += 1
    assert len(rows) == 1011
    assert differing == {"num_cached_tokens": 20}


@pytest.fixture(scope="module")
def exchanges(shared_data: Data) -> list[Exchange]:
    return list(read(shared_data("provider_responses.tar.xz")))


NO_USAGE = {
    "bedrock-agent-runtime": "an agent's trace: usage stands in each of its steps, not in the answer",
    "posthog.com": "not a model",
    "wiki17_abstracts": "not a model",
    "mcp.deepwiki.com": "not a model",
    "traceloop.com": "not a model",
    "oauth2.googleapis.com": "not a model",
    "huggingface.co/api/models/": "description of a model",
    "rackcdn.com": "a picture",
    ":countTokens": "counts tokens without spending them",
    "model_armor_prompt_template_text_gets_blocked": "blocked before the model: usageMetadata without counts",
    "test_azure/test_prompt_content_filtering": "refused before the model, with status 200",
    "localhost:8000/v1/completions": "streamed without stream_options.include_usage",
}
"""Part of an exchange's name -> why it has no usage."""


def test_every_recorded_answer_gives_its_usage_or_a_named_reason(exchanges: list[Exchange]) -> None:
    unexplained = [
        exchange.name
        for exchange in exchanges
        if exchange.usage is None and exchange.status == 200 and not any(part in exchange.name for part in NO_USAGE)
    ]
    assert unexplained == []
    assert sum(exchange.usage is not None for exchange in exchanges) > 460
    assert [exchange.name for exchange in exchanges if exchange.usage is not None and exchange.status != 200] == []


def test_streamed_answers_give_the_final_figures(exchanges: list[Exchange]) -> None:
    """No class of a stream exceeds the largest figure that any of its events shows for it (nothing was summed)."""
    streamed = [exchange for exchange in exchanges if exchange.streamed and exchange.usage is not None]
    assert len(streamed) > 55
    for exchange in streamed:
        usage, single = exchange.usage, [found for event in exchange.events if (found := Usage.from_provider(event)) is not None]
        assert usage is not None
        for name in Usage.__dataclass_fields__:
            figures = [value for found in single if (value := getattr(found, name)) is not None]
            assert getattr(usage, name) == (figures[-1] if figures else None), (exchange.name, name)


def _total(value: Any) -> int | None:
    """The last total that a body names, wherever it stands."""
    found = None
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("total_tokens", "totalTokens", "totalTokenCount") and isinstance(item, int):
                found = item
            elif key in ("usage", "usageMetadata", "response", "metadata", "x_groq"):
                inner = _total(item)
                found = inner if inner is not None else found
    return found


def test_input_and_output_make_the_total_that_the_provider_names(exchanges: list[Exchange]) -> None:
    checked, differing = 0, []
    for exchange in exchanges:
        total = next((found for event in reversed(exchange.events) if (found := _total(event)) is not None), None)
        usage = exchange.usage
        if usage is None or total is None:
            continue
        checked += 1
        if (usage.input_tokens or 0) + (usage.output_tokens or 0) != total:
            differing.append((exchange.name, total, usage))
    assert differing == []
    assert checked > 300
