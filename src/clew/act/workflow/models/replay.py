"""Recorded exchanges with models: written to a file by a live run, served from it later without a network. The format is docs/models.md's.

A line of the file is one exchange: ``{"request": {...}, "answer": {...}}``. A request is matched by its content alone: instructions,
messages, tools, output schema, and the settings that change an answer. Times and the model's name take no part. Of several answers to
the same request the last in the file counts, so a run always gets the same answers.
"""

from __future__ import annotations

import difflib
import json
import os
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from pydantic_ai import messages as pa
from pydantic_ai.models import CompletedStreamedResponse, Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings, merge_model_settings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_jsonable_python

from clew.act.workflow.models.messages import answer, described, instructions, response_parts
from clew.errors import ModelError
from clew.model.usage import Usage
from clew.wire.redaction import redact_text

SETTINGS: Final = ("temperature", "max_tokens", "top_p", "top_k", "seed", "stop_sequences", "presence_penalty", "frequency_penalty")
"""Settings that change an answer; time-outs and retries do not."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked, as far as it matters for the answer."""

    messages: list[dict[str, Any]]
    system: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    output: dict[str, Any] | None = None
    """``{"mode": "native" or "tool" or ..., "schema": JSON Schema}`` of a structured answer."""
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, messages: Sequence[pa.ModelMessage], settings: Mapping[str, Any] | None, parameters: ModelRequestParameters) -> Self:
        output = None
        if parameters.output_object is not None:
            output = {"mode": parameters.output_mode, "schema": parameters.output_object.json_schema}
        elif parameters.output_tools:
            output = {"mode": parameters.output_mode, "schema": parameters.output_tools[0].parameters_json_schema}
        return cls(
            messages=described(messages),
            system=instructions(messages),
            tools=[_tool(tool) for tool in parameters.function_tools],
            output=output,
            settings={key: value for key in SETTINGS if (value := (settings or {}).get(key)) is not None},
        )

    @property
    def content(self) -> str:
        """One text for equal requests, without secrets: keys sorted, nothing that is empty."""
        given = {key: value for key, value in asdict(self).items() if value not in (None, [], {})}
        return redact_text(json.dumps(to_jsonable_python(given, fallback=str), ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def append(path: Path, request: Request, response: pa.ModelResponse, *, usage: Usage | None, cost_usd: float | None) -> None:
    """Add one exchange to the file, which only its owner can read; secrets are masked. The line is handed to the system at once.

    :raises ModelError: the file cannot be written
    """
    told = {
        "model": response.model_name,
        "provider": response.provider_name,
        "id": response.provider_response_id,
        "parts": answer(response)["parts"],
        "finish_reason": response.finish_reason,
        "usage": None if usage is None else {key: value for key, value in asdict(usage).items() if value is not None},
        "cost_usd": cost_usd,
    }
    said = redact_text(json.dumps({key: value for key, value in told.items() if value is not None}, ensure_ascii=False, default=str))
    line = f'{{"request":{request.content},"answer":{said}}}\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _writing:
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
    except OSError as error:
        raise ModelError(f"the exchange cannot be recorded to {path}: {error.strerror}; name a file that can be written") from error


_writing: Final = threading.Lock()


class ReplayModel(Model[Any]):
    """Answers from recorded exchanges; always the same to the same request.

    :param path: a file that :func:`append` wrote
    :raises ModelError: it cannot be read; names the line
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._answers = _read(path)

    @property
    def model_name(self) -> str:
        return self.path.name

    @property
    def system(self) -> str:
        return "replay"

    @property
    def base_url(self) -> str | None:
        return None

    @property
    def profile(self) -> ModelProfile:
        """Structured answers are asked for in the way that the recorded model was."""
        asked = {json.loads(content).get("output", {}).get("mode") for content in self._answers}
        return ModelProfile(supports_json_schema_output="tool" not in asked, supports_json_object_output=True, supports_tools=True)

    async def request(
        self,
        messages: list[pa.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> pa.ModelResponse:
        request = Request.of(messages, merge_model_settings(self.settings, model_settings), model_request_parameters)
        content = request.content
        found = self._answers.get(content)
        if found is None:
            raise ModelError(self._unknown(content))
        return _response(found)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[pa.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        response = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(response, model_request_parameters=model_request_parameters, replay_events=True)

    def _unknown(self, content: str) -> str:
        how = "record it: run once with a live model and record_to set to this file"
        if not self._answers:
            return f"{self.path} holds no exchange; {how}"
        nearest = max(
            self._answers, key=lambda known: difflib.SequenceMatcher(None, known[-_COMPARED:], content[-_COMPARED:]).quick_ratio()
        )
        number = list(self._answers).index(nearest) + 1
        return (
            f"{self.path} holds no answer to this request: {_prompt(content)!r}; the nearest of {len(self._answers)} is number {number}, "
            f"{_prompt(nearest)!r}, which differs in {_difference(nearest, content)}; {how}"
        )


_COMPARED: Final = 4000
_SHOWN: Final = 120


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Content of a request -> its answer."""
    answers: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ModelError(f"recorded exchanges cannot be read from {path}: {reason}; record some with record_to") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            exchange = json.loads(line)
            _response(exchange["answer"])
            content = json.dumps(exchange["request"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):  # a killed process leaves a prefix
                break
            raise ModelError(f"line {number} of {path} is no exchange: {type(error).__name__}: {error}; see docs/models.md") from error
        answers.pop(content, None)
        answers[content] = exchange["answer"]
    return answers


def _response(told: Mapping[str, Any]) -> pa.ModelResponse:
    usage = told.get("usage")
    return pa.ModelResponse(
        parts=response_parts(told["parts"]),
        model_name=told.get("model"),
        provider_name=told.get("provider"),
        provider_response_id=told.get("id"),
        finish_reason=told.get("finish_reason"),
        usage=RequestUsage(unmeasured_requests=1) if usage is None else _usage(Usage(**usage)),
    )


def _usage(usage: Usage) -> RequestUsage:
    return RequestUsage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=usage.cache_read_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
        cache_write_1h_tokens=usage.cache_write_1h_tokens or 0,
        output_reasoning_tokens=usage.reasoning_tokens or 0,
        input_audio_tokens=usage.audio_input_tokens or 0,
        output_audio_tokens=usage.audio_output_tokens or 0,
    )


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    return {
        "name": tool.name,
        **({"description": tool.description} if tool.description else {}),
        "parameters": tool.parameters_json_schema,
    }


def _prompt(content: str) -> str:
    """The end of what was asked, for a reader."""
    texts = [part.get("content") for message in json.loads(content)["messages"] for part in message["parts"] if part.get("type") == "text"]
    text = " ".join(str(texts[-1] if texts else content).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _difference(known: str, asked: str) -> str:
    """Which parts of two requests differ."""
    one, other = json.loads(known), json.loads(asked)
    return ", ".join(sorted(key for key in {*one, *other} if one.get(key) != other.get(key)))
