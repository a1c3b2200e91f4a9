"""Wraps any model, so that each request to it is a span and a call in the ledger, however it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pydantic_ai
from pydantic_ai import messages as pa
from pydantic_ai.exceptions import ModelRequestTimeout, ModelTimeoutError
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings, merge_model_settings
from pydantic_ai.usage import RequestUsage

from clew.act.workflow import calls
from clew.act.workflow.models import failures, replay
from clew.act.workflow.models.exchange import Exchange
from clew.act.workflow.models.messages import answer, described, last_prompt
from clew.errors import ModelError
from clew.model import attributes as names
from clew.model.usage import Usage
from clew.record.errors import error_type, is_failure
from clew.record.instruments.functions import llm

pydantic_ai.BANNER_ENABLED = False  # else the first request of a process writes a banner to the terminal


class RecordedModel(WrapperModel):
    """A model whose requests are recorded: messages, tools, usage, reported cost, time to the first chunk, failures; and noted as
    :class:`~clew.act.workflow.calls.ModelCall`. Whatever fails, raises :class:`~clew.errors.ModelError`.

    Use it within ``async with``, which closes its connections at the end.

    :param wrapped: the model
    :param name: what the user calls it, for messages
    :param timeout_s: longest time from a request to the last byte of its answer; None: none
    :param record_to: file that every exchange is appended to, for ``replay:FILE``
    :param close: closes what the model holds open
    """

    def __init__(
        self,
        wrapped: Model[Any],
        *,
        name: str | None = None,
        timeout_s: float | None = None,
        record_to: Path | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(wrapped)
        self.name = name or wrapped.model_id
        self.timeout_s = timeout_s
        self.record_to = record_to
        self._close = close

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> bool | None:
        try:
            return await super().__aexit__(*exception)
        finally:
            if self._close is not None:
                await self._close()

    async def request(
        self,
        messages: list[pa.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> pa.ModelResponse:
        call = _Call(self, messages, model_settings, model_request_parameters, stream=False)
        response: pa.ModelResponse | None = None
        try:
            with call.exchange.listening():
                async with asyncio.timeout_at(call.exchange.deadline):
                    response = await self.wrapped.request(messages, model_settings, model_request_parameters)
            call.check_end(response)
        except BaseException as error:
            call.end(response, error)
            raise call.translated(error) from error
        call.end(response)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[pa.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        call = _Call(self, messages, model_settings, model_request_parameters, stream=True)
        stream: StreamedResponse | None = None
        opened = self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context)
        try:
            # The context variable and the deadline are never held across the yield: a stream may be read in another task. What is read
            # after this is heard, and kept to the deadline, by the body itself.
            with call.exchange.listening():
                async with asyncio.timeout_at(call.exchange.deadline):
                    stream = await opened.__aenter__()
            try:
                yield stream
            except BaseException as error:
                await opened.__aexit__(type(error), error, error.__traceback__)
                raise
            await opened.__aexit__(None, None, None)
            call.check_end(stream.get())
        except BaseException as error:
            call.end_stream(stream, error)
            if stream is not None and not isinstance(error, failures.OF_MODELS):
                raise  # the reader's own
            raise call.translated(error) from error
        call.end_stream(stream)


class _Call:
    """One request: its span from the start to the end."""

    def __init__(
        self,
        model: RecordedModel,
        messages: list[pa.ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        *,
        stream: bool,
    ) -> None:
        self.model = model
        self.prompt = last_prompt(messages)
        self.request = replay.Request.of(messages, merge_model_settings(model.wrapped.settings, settings), parameters)
        self.span = llm(
            "chat",
            model=model.model_name,
            provider=model.system,
            stream=stream,
            cache_hit=isinstance(model.wrapped, replay.ReplayModel) or None,
            messages=described(messages),
            system=self.request.system,
            tools=self.request.tools or None,
            **{key: self.request.settings.get(key) for key in ("temperature", "max_tokens", "top_p", "seed")},
        ).start()
        timeout = model.timeout_s
        self.exchange = Exchange(None if timeout is None else asyncio.get_running_loop().time() + timeout)
        self.started = time.perf_counter()
        self.started_ns = time.perf_counter_ns()

    def check_end(self, response: pa.ModelResponse) -> None:
        """A body that ends early is no error to every client library; a stream that never said that it ends was cut. Anthropic's client
        streams long answers also when nobody asked for a stream."""
        if response.state == "complete" and self.exchange.is_cut:
            raise failures.BrokenStream

    def end_stream(self, stream: StreamedResponse | None, error: BaseException | None = None) -> None:
        if stream is None:
            return self.end(None, error)
        first = stream.time_to_first_chunk(self.started)
        if first is not None:
            self.span.set(names.RESPONSE_FIRST_CHUNK, first)
        response = stream.get()
        if response.state != "complete" and (error is None or not is_failure(error)):
            self.span.event("stream left before its end")
        return self.end(response, error)

    def end(self, response: pa.ModelResponse | None, error: BaseException | None = None) -> None:
        """End the span and note the call. What came is kept: text, usage and cost also of a call that failed."""
        duration_ns = time.perf_counter_ns() - self.started_ns
        usage = self.exchange.usage(self.model.system) or _usage(response)
        if usage is None and error is not None and failures.used_nothing(error):
            usage = Usage(input_tokens=0, output_tokens=0)
        cost = self.exchange.cost_usd
        served = isinstance(self.model.wrapped, replay.ReplayModel)
        answered = (response.model_name if response is not None else None) or self.exchange.model
        provider = (response.provider_name if response is not None else None) or self.model.system
        span = self.span
        span.set(names.RESPONSE_MODEL, answered)
        span.set(names.PROVIDER, provider)
        span.usage(usage)
        span.set(names.USAGE_RAW, self.exchange.raw_usage)
        if cost is not None:
            span.cost(cost)
        if served:
            span.set(names.CACHE_HIT, True)
        if response is not None:
            reason = _finish_reason(response) if error is None else None
            if response.parts:
                span.output([{**answer(response), "finish_reason": reason} if reason else answer(response)])
            span.set(names.RESPONSE_ID, response.provider_response_id)
            span.set(names.RESPONSE_FINISH_REASONS, [reason] if reason else None)
        kind = None
        if error is not None and is_failure(error):
            kind = _kind(error)
            span.fail(error)
            span.set(names.ERROR_TYPE, kind)
        span.__exit__(None, None, None)
        calls.note(
            calls.ModelCall(
                node_id="",
                model=answered or self.model.model_name,
                provider=provider,
                usage=usage,
                cost_usd=cost,
                duration_ns=duration_ns,
                error=kind,
                prompt=self.prompt,
                served_from_cache=served,
            )
        )
        if error is None and response is not None and self.model.record_to is not None:
            replay.append(self.model.record_to, self.request, response, usage=usage, cost_usd=cost)

    def translated(self, error: BaseException) -> BaseException:
        """The error that the caller gets: ours, unless the caller itself was interrupted."""
        if isinstance(error, ModelError) or not isinstance(error, Exception):
            return error
        kind = _kind(error)
        text = failures.text(self.model.name, error, base_url=self.model.base_url, timeout_s=self.model.timeout_s)
        found = ModelError(
            text, kind=kind if kind in ("rate_limit", "timeout") else "error", retry_after_s=getattr(error, "retry_after", None)
        )
        found.__suppress_context__ = True
        return found


def _kind(error: BaseException) -> str:
    return "timeout" if isinstance(error, (ModelTimeoutError, ModelRequestTimeout)) else error_type(error)


def _usage(response: pa.ModelResponse | None) -> Usage | None:
    """The usage that the client library took from the answer; it says 0 where a class was not reported."""
    if response is None or response.usage.unmeasured_requests or not response.usage.has_values():
        return None
    usage: RequestUsage = response.usage
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens or None,
        cache_write_tokens=usage.cache_write_tokens or None,
        cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
        reasoning_tokens=usage.output_reasoning_tokens or None,
        audio_input_tokens=usage.input_audio_tokens or None,
        audio_output_tokens=usage.output_audio_tokens or None,
    )


def _finish_reason(response: pa.ModelResponse) -> str | None:
    """As the provider called it, else as the library does."""
    theirs = (response.provider_details or {}).get("finish_reason")
    return theirs if isinstance(theirs, str) else response.finish_reason
