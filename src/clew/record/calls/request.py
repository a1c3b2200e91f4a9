"""One request to a model, with its tries: each is a span; which one is next, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clew.model import attributes as names
from clew.record import labels
from clew.record.calls import streams
from clew.record.calls.arguments import Arguments
from clew.record.calls.result import from_cache, spent
from clew.record.context import context
from clew.record.errors import error_type, is_failure, retry_after
from clew.record.guard import fault
from clew.record.instruments.functions import llm as llm_span
from clew.record.processor import Refused
from clew.record.span import Span

if TYPE_CHECKING:
    from clew.record.calls.observed import ObservableLLM

LONGEST_WAIT_S: Final = 60.0
"""A provider that asks for more is asked again sooner."""
_LARGEST_DOUBLING: Final = 16
FALLBACK_EVENT: Final = "clew.fallback"


class Candidate(NamedTuple):
    """One of the models that are asked in turn: a function, and the name it is given as ``model=``, if any."""

    function: Callable[..., Any]
    arguments: Arguments
    model: str | None


class Request:
    """The tries of one request. ``begin`` starts the next one, ``took`` or ``failed`` ends it."""

    def __init__(
        self,
        llm: ObservableLLM,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        whose: Mapping[str, str | None],
        trace: Any,
        metadata: Mapping[str, Any],
    ) -> None:
        self._llm = llm
        self._args = args
        self._kwargs = dict(kwargs)
        self._whose = whose
        self._trace = trace
        self._metadata = metadata
        self._index = 0
        self._try = 1
        self._before: tuple[Any, str, str] | None = None
        self._given_up: str | None = None
        self.span: Any = None

    @property
    def _candidate(self) -> Candidate:
        return self._llm.candidates[self._index]

    def begin(self) -> None:
        """Start the span of the next try.

        :raises Refused: a budget does not allow it
        """
        candidate, llm = self._candidate, self._llm
        try:
            given = candidate.arguments.read(self._args, self._kwargs)
        except Exception:
            fault("reading the arguments of a call")
            given = {}
        given = {"model": llm.model, "provider": llm.provider, **given}
        if candidate.model is not None:
            given["model"] = candidate.model
        elif self._index:
            given["model"] = getattr(candidate.function, "__name__", None) if given["model"] == llm.model else given["model"]
        held = labels.current()
        whose = {name: value or (held.get(name) or llm.defaults.get(name)) for name, value in self._whose.items()}
        name = llm.name or getattr(candidate.function, "__name__", None) or "chat"
        span: Any = llm_span(name, **self._metadata, **given, **whose)
        if self._before is not None:
            before, from_model, reason = self._before
            if self._try > 1:
                span.set(names.RETRY_ATTEMPT, self._try)
                span.set(names.RETRY_REASON, reason)
            if self._given_up is not None:
                span.set(names.FALLBACK_FROM, self._given_up)
                span.set(names.FALLBACK_REASON, reason if self._try == 1 else None)
            span.link(before, {"clew.link": "fallback" if self._try == 1 else "retry", "clew.from": from_model, "clew.reason": reason})
        parent = getattr(self._trace, "span", self._trace)
        token = context.attach(parent) if isinstance(parent, Span) and parent.started and not parent.ended else None
        try:
            self.span = span.start()
        finally:
            if token is not None:
                context.release(token)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """The span is current while the function runs."""
        token = context.attach(self.span) if isinstance(self.span, Span) and self.span.started else None
        try:
            yield
        finally:
            if token is not None:
                context.release(token)

    def call(self) -> Any:
        """Call the function of this try."""
        candidate = self._candidate
        if candidate.model is None:
            return candidate.function(*self._args, **self._kwargs)
        args, kwargs = self._args, {**self._kwargs, "model": candidate.model}
        if "model" in candidate.arguments.names and (place := candidate.arguments.names.index("model")) < len(args):
            args, kwargs = (*args[:place], candidate.model, *args[place + 1 :]), self._kwargs
        return candidate.function(*args, **kwargs)

    def took(self, result: Any) -> Any:
        """The function gave this: record it and end the span, or let a stream do so."""
        span = self.span
        if not isinstance(span, Span):
            return result
        stream = streams.recorded(result, span, self._finish, self._llm.hides)
        if stream is not None:
            span.set(names.REQUEST_STREAM, True)
            return stream
        try:
            span.response(result)  # type: ignore[attr-defined]
            if from_cache(result) or (self._llm.cached is not None and self._llm.cached(result)):
                span.set(names.CACHE_HIT, True)
        except Exception:
            fault("reading a response")
        self._finish(span, None)
        return result

    def failed(self, error: BaseException) -> float | None:
        """This try failed: seconds to wait before the next one, or None when there is none and the error is the caller's."""
        span, llm = self.span, self._llm
        reason = error_type(error)
        wait: float | None = None
        model = str(self._model() or "")
        if isinstance(error, Exception) and not isinstance(error, Refused):
            if self._try <= llm.retries and reason in llm.retry_on:
                asked = retry_after(error)
                wait = asked if asked is not None else llm.wait_s * 2 ** min(self._try - 1, _LARGEST_DOUBLING)
                self._try += 1
            elif self._index + 1 < len(llm.candidates):
                self._index, self._try, self._given_up, wait = self._index + 1, 1, model, 0.0
                following = self._candidate
                to = following.model or str(getattr(following.function, "__name__", ""))
                span.event(FALLBACK_EVENT, {"clew.from": model, "clew.to": to, "clew.reason": reason})
                fell_back(model, to, reason)
            self._before = (span, model, reason)
        if isinstance(span, Span):
            self._finish(span, error)
        return None if wait is None else min(wait, LONGEST_WAIT_S)

    def _model(self) -> Any:
        found = self.span.attributes
        return found.get(names.RESPONSE_MODEL) or found.get(names.REQUEST_MODEL) or self._llm.model

    def _finish(self, span: Span, error: BaseException | None) -> None:
        """End the span. What the call used is kept, however it ended."""
        try:
            if error is not None:
                spent(span, error)
            found = span.attributes
            tokens = found.get(names.OUTPUT_TOKENS)
            first = found.get(names.RESPONSE_FIRST_CHUNK)
            seconds = (span.recorder.now() - span.started) / 1e9 - (first if isinstance(first, float) else 0.0)
            if isinstance(tokens, int) and tokens and seconds > 0 and not found.get(names.CACHE_HIT):
                span.set(names.RESPONSE_SPEED, tokens / seconds)
            if error is None and names.INPUT_TOKENS not in found and tokens is None and not found.get(names.CACHE_HIT):
                span.set(names.USAGE_SOURCE, "missing")
            if error is not None and is_failure(error):
                span.fail(error)
            self._tell(span)
        except Exception:
            fault("recording a call")
        span.__exit__(None, None, None) if error is None or is_failure(error) else span.end()

    def _tell(self, span: Span) -> None:
        metrics = self._llm.metrics
        found = span.attributes
        persona, chatmode = found.get(names.PERSONA), found.get(names.CHATMODE)
        counts = [found.get(names.INPUT_TOKENS), found.get(names.OUTPUT_TOKENS)]
        if metrics is None or persona is None or counts == [None, None]:
            return
        metrics.record_token_usage(persona, chatmode or "", str(self._model() or ""), sum(count or 0 for count in counts), call=span)


def fell_back(from_model: str, to_model: str, reason: str) -> None:
    """Count that a request went to another model."""
    from clew.record.metrics.handles import metric

    metric("llm_fallback_total").labels(from_model=from_model, to_model=to_model, reason=reason).inc()
