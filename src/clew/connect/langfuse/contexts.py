"""What :class:`LangfuseIntegration` hands out: a trace, a span or a generation that is open, and current until it ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clew.record import labels
from clew.record.context import context
from clew.record.span import Span

if TYPE_CHECKING:
    from clew.connect.langfuse.integration import LangfuseIntegration


class SpanContext:
    """An open span. What is recorded before its end is inside it. Leaving its ``with`` ends it, an exception as failed.

    :ivar span: the span of the record
    """

    def __init__(self, integration: LangfuseIntegration, span: Any, whose: Mapping[str, str | None] | None = None) -> None:
        self._integration = integration
        self.span = span
        self._labels = labels.put(**{name: value for name, value in (whose or {}).items() if value is not None}) if whose else None
        self._token = context.attach(span) if isinstance(span, Span) and span.started else None

    @property
    def trace_id(self) -> str:
        """As Langfuse knows the trace: 32 hex digits; "" while recording is off."""
        return f"{self.span.trace_id:032x}" if self.span.trace_id else ""

    @property
    def observation_id(self) -> str:
        """As Langfuse knows the observation: 16 hex digits."""
        return f"{self.span.span_id:016x}"

    def update(self, *, input: Any = None, output: Any = None, metadata: Mapping[str, Any] | None = None, **attributes: Any) -> Self:
        """Set what is known by now."""
        for value, method in ((input, self.span.input), (output, self.span.output)):
            if value is not None:
                method(value)
        self.span.update({**(metadata or {}), **attributes})
        return self

    def score(self, name: str, value: float | bool | str, comment: str | None = None) -> str:
        """Judge this observation; gives the score's id."""
        return self._integration.score(self, name, value, comment)

    def fail(self, reason: BaseException | str) -> Self:
        """It failed."""
        self.span.fail(reason)
        return self

    def end(self, status: str | None = None) -> None:
        """End it. A status of ``error``, ``failed`` or ``failure`` says that it failed. Ending twice changes nothing."""
        self._leave(status)

    def _leave(self, status: str | None, error: BaseException | None = None) -> None:
        token, self._token = self._token, None
        if token is not None:
            context.release(token)
        held, self._labels = self._labels, None
        if held is not None:
            labels.restore(held)
        if status in ("error", "failed", "failure"):
            self.span.fail(status)
        self.span.__exit__(type(error) if error is not None else None, error, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave(None, error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave(None, error)


class TraceContext(SpanContext):
    """An open trace: its root span."""

    def score_trace(self, name: str, value: float | bool | str, comment: str | None = None) -> str:
        """Judge the trace as a whole; gives the score's id."""
        return self._integration.score(self, name, value, comment, whole_trace=True)


class GenerationContext(SpanContext):
    """An open model call. One that fails is a generation too, with its time, its class of error and what it used."""

    def completion(self, value: Any, usage: Any = None) -> Self:
        """What the model gave: a provider's response, or a text with its ``usage``."""
        self.span.output(value) if isinstance(value, str) else self.span.response(value)
        self.usage(usage)
        return self

    def usage(self, usage: Any) -> Self:
        """Tokens in any provider's form, or Langfuse's ``{"input": ..., "output": ...}``."""
        if isinstance(usage, Mapping) and ("input" in usage or "output" in usage):
            usage = {"prompt_tokens": usage.get("input"), "completion_tokens": usage.get("output")}
        if usage is not None:
            self.span.usage(usage)
        return self
