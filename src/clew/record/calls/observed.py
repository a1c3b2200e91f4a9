"""``ObservableLLM`` and ``observe_llm``: every call of a model through any function or client is a span, however it ends."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

from clew.record import state
from clew.record.calls.arguments import Arguments
from clew.record.calls.request import Candidate, Request
from clew.record.calls.result import Generated, generated

T = TypeVar("T")


class TokenMetrics(Protocol):
    """What takes the tokens of each call: :class:`clew.PersonaMetricsCollector`, or anything like it."""

    def record_token_usage(self, persona: str, chatmode: str, model: str, tokens: int, *, call: Any) -> None:
        """``call`` is the span of the call."""


class Attachable(Protocol):
    """A destination that records go to once it is attached: ``clew.connect.langfuse.LangfuseIntegration``."""

    def attach(self) -> Any:
        """From here on; a second time changes nothing."""


class ObservableLLM:
    """A function that asks a model, recorded: model, provider, messages, tools, answer, usage, reported cost, time to the first token, tokens per
    second, failures told apart, retries, and the models tried instead.

    Called as the function is: sync, async, or giving a stream. Persona, chatmode, workflow and stage come from where the call is made
    (docs/recording.md, Labels) unless they are given.

    :param llm_function: what asks the model and gives its answer: a provider's response in any known shape, a text, or a stream of either
    :param model: its model, where a call does not name it
    :param langfuse: attached, so that its calls go there too
    :param metrics: told the tokens of each call
    :param default_persona: where neither the call nor its context names one; likewise ``default_chatmode``
    :param provider: of the model, by OpenTelemetry's name
    :param fallback: models to ask in turn when one fails: names, for a function that takes ``model=``, or functions
    :param retries: further tries of one model, after a rate limit or a timeout (``retry_on``); waits what the provider asks, else ``wait_s``, doubled each
        time, at most 60 s
    :param cached: tells of a result whether it came from a local cache: such a call costs nothing
    """

    def __init__(
        self,
        llm_function: Callable[..., Any] | None = None,
        model: str | None = None,
        langfuse: Attachable | None = None,
        metrics: TokenMetrics | None = None,
        default_persona: str | None = None,
        default_chatmode: str | None = None,
        *,
        persona: str | None = None,
        chatmode: str | None = None,
        provider: str | None = None,
        name: str | None = None,
        fallback: Sequence[str | Callable[..., Any]] = (),
        retries: int = 0,
        retry_on: Sequence[str] = ("rate_limit", "timeout"),
        wait_s: float = 1.0,
        cached: Callable[[Any], bool] | None = None,
        cost_per_1k_tokens: float | None = None,
    ) -> None:
        self.model = model
        self.provider = provider
        self.name = name
        self.metrics = metrics
        self.labels = {"persona": persona, "chatmode": chatmode}
        self.defaults = {"persona": default_persona, "chatmode": default_chatmode}
        self.fallback = tuple(fallback)
        self.retries = retries
        self.retry_on = frozenset(retry_on)
        self.wait_s = wait_s
        self.cached = cached
        self.cost_per_1k_tokens = cost_per_1k_tokens
        self.hides: Callable[[Any], bool] | None = None
        """Tells which pieces of a stream the caller did not ask for."""
        self.function = llm_function
        self.candidates: tuple[Candidate, ...] = () if llm_function is None else self._candidates(llm_function)
        if langfuse is not None:
            langfuse.attach()

    def _candidates(self, function: Callable[..., Any]) -> tuple[Candidate, ...]:
        first = Candidate(function, Arguments(function), None)
        for other in self.fallback:
            if isinstance(other, str) and not first.arguments.takes("model"):
                raise TypeError(f"the fallback {other!r} is a model's name, and {_name(function)} takes no model=; give a function instead")
        return (
            first,
            *(
                Candidate(function, first.arguments, other) if isinstance(other, str) else Candidate(other, Arguments(other), None)
                for other in self.fallback
            ),
        )

    def with_function(self, function: Callable[..., Any]) -> ObservableLLM:
        """The same for another function."""
        import copy

        other = copy.copy(self)
        other.function = function
        other.candidates = other._candidates(function)
        return other

    def __call__(
        self,
        *args: Any,
        persona: str | None = None,
        chatmode: str | None = None,
        trace: Any = None,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call the function with ``args`` and ``kwargs``; what it gives is given back, a stream as a stream.

        :param persona: whose call it is; likewise ``chatmode``
        :param trace: the trace it belongs to, of ``LangfuseIntegration.start_trace``; default: the current span's
        :param metadata: further attributes of the call
        :raises Refused: a budget does not allow the call; the function was not called
        """
        if not self.candidates:
            raise TypeError("this ObservableLLM has no function; give one: ObservableLLM(ask, model=...)")
        first = self.candidates[0]
        for keyword, value in (("persona", persona), ("chatmode", chatmode), ("metadata", metadata)):
            if value is not None and keyword in first.arguments.names:
                kwargs[keyword] = value
        whose = {"persona": persona or self.labels["persona"], "chatmode": chatmode or self.labels["chatmode"]}
        request = Request(self, args, kwargs, whose=whose, trace=trace, metadata=metadata or {})
        if inspect.iscoroutinefunction(first.function):
            return self._later(request)
        return self._now(request)

    def _now(self, request: Request) -> Any:
        while True:
            request.begin()
            try:
                with request.current():
                    result = request.call()
            except BaseException as error:
                wait = request.failed(error)
                if wait is None:
                    raise
                time.sleep(wait)
                continue
            if inspect.isawaitable(result):  # a function that only hands on a client's coroutine
                return self._later(request, result)
            return request.took(result)

    async def _later(self, request: Request, begun: Awaitable[Any] | None = None) -> Any:
        while True:
            if begun is None:
                request.begin()
            try:
                with request.current():
                    result = request.call() if begun is None else begun
                    if inspect.isawaitable(result):
                        result = await result
            except BaseException as error:
                wait = request.failed(error)
                if wait is None:
                    raise
                begun = None
                await asyncio.sleep(wait)
                continue
            return request.took(result)

    def wrap_sync(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` recorded as this is."""
        return wrapped(self.with_function(function), function)

    def wrap_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` recorded as this is, to be awaited; one that is not async runs in a thread."""
        if inspect.iscoroutinefunction(function):
            return wrapped(self.with_function(function), function)

        @functools.wraps(function)
        async def in_thread(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.to_thread(function, *args, **kwargs)

        return wrapped(self.with_function(in_thread), in_thread)

    def generate(
        self,
        prompt: Any,
        system_message: str | None = None,
        temperature: float = 0.7,
        max_tokens: int = 2000,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Ask, and have the answer with its figures; to be awaited when the function is async.

        The function gets of ``system_message``, ``temperature`` and ``max_tokens`` what it takes.

        :returns: ``response`` (text), ``tokens_used`` (input and output; None when the model did not say), ``cost_usd`` (reported, else computed from
            prices or ``cost_per_1k_tokens``; None when unknown), ``latency_ms``
        """
        if not self.candidates:
            raise TypeError("this ObservableLLM has no function; give one: ObservableLLM(ask, model=...)")
        arguments = self.candidates[0].arguments
        wanted = {"system_message": system_message, "temperature": temperature, "max_tokens": max_tokens}
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None and arguments.takes(name)}
        started = time.perf_counter()
        result = self(prompt, metadata=metadata, **given, **kwargs)

        def done(result: Any) -> Generated:
            model = kwargs.get("model") or self.model
            return generated(result, self.provider, model, time.perf_counter() - started, self.cost_per_1k_tokens)

        async def later() -> Generated:
            return done(await result)

        return later() if inspect.isawaitable(result) else done(result)


@overload
def observe_llm(target: None = None, /, **options: Any) -> Callable[[T], T]: ...
@overload
def observe_llm(target: T, /, **options: Any) -> T: ...
def observe_llm(target: Any = None, /, **options: Any) -> Any:
    """Record the model calls of a function or a client.

    ::

        @clew.observe_llm(model="gpt-4o", provider="openai", persona="backend-engineer")
        async def ask(prompt: str) -> str: ...

        client = clew.observe_llm(OpenAI())

    A function is called as before; a client looks and behaves as before, and its calls that ask a model are recorded. While recording is off and neither
    ``fallback`` nor ``retries`` is given, the target is given back as it is.

    :param target: a function, sync, async or generator; or a client of openai, anthropic, google-genai, groq, mistralai, cohere, ollama, boto3's
        bedrock-runtime, or a LangChain model
    :param options: those of :class:`ObservableLLM`; for a client of OpenAI's form also ``stream_usage=True``, which asks it for the usage of streams and keeps
        the additional chunk from the program
    """
    if target is None:
        return functools.partial(observe_llm, **options)
    if state.is_off() and not options.get("fallback") and not options.get("retries"):
        return target
    if inspect.isroutine(target) or isinstance(target, functools.partial):
        return wrapped(ObservableLLM(target, **options), target)
    from clew.record.calls.clients import ObservedClient, is_client

    if is_client(target):
        return ObservedClient(target, options)
    if callable(target):
        return wrapped(ObservableLLM(target, **options), target)
    raise TypeError(f"{type(target).__name__} is neither a function nor a client that is known; wrap the function that calls it")


def wrapped(llm: ObservableLLM, function: Callable[..., Any]) -> Callable[..., Any]:
    """``llm`` as a function that looks like ``function``."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def asked(*args: Any, **kwargs: Any) -> Any:
            return await llm(*args, **kwargs)

        return asked

    @functools.wraps(function, updated=())
    def asking(*args: Any, **kwargs: Any) -> Any:
        return llm(*args, **kwargs)

    return asking


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
