"""Which span is current. OpenTelemetry's context is the truth once a program has loaded it, a context variable of our own until then."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, Final

modules: Final = sys.modules


class Trace:
    """What all spans of one trace have in common in this process.

    :ivar trace_id: 128 bits
    :ivar sampled: whether its spans are recorded; an error can turn it on (``sampling.py``)
    :ivar offset: nanoseconds to add to the monotonic clock for wall time; one per trace, so that its spans agree with each other
    :ivar kept: spans held back while it is undecided whether the trace is recorded; None when nothing is held back
    :ivar state: W3C ``tracestate`` of a remote parent, passed on as it came
    """

    __slots__ = ("kept", "offset", "sampled", "state", "trace_id")

    def __init__(self, trace_id: int, sampled: bool, offset: int, state: str = "") -> None:
        self.trace_id = trace_id
        self.sampled = sampled
        self.offset = offset
        self.kept: list[Any] | None = None
        self.state = state


class Remote:
    """A parent that is not ours to end: a span of another process, of another recorder, or of another tracer in this process."""

    __slots__ = ("span_id", "trace")

    def __init__(self, trace: Trace, span_id: int) -> None:
        self.trace = trace
        self.span_id = span_id


own: Final[ContextVar[Any]] = ContextVar("clew_span", default=None)


class Context:
    """The three operations on the current span; ``use`` replaces them when OpenTelemetry is loaded.

    :ivar current: the current ``Span`` or ``Remote``, or None
    :ivar attach: makes one current and returns a token
    :ivar detach: restores what was current; raises ValueError or RuntimeError in another context than the token's (:meth:`leave`)
    """

    __slots__ = ("attach", "bridged", "current", "detach")

    current: Callable[[], Any]
    attach: Callable[[Any], Any]
    detach: Callable[[Any], None]

    def __init__(self) -> None:
        self.own()

    def own(self) -> None:
        """Back to our own context variable."""
        self.bridged = False
        self.current = own.get
        self.attach = own.set
        self.detach = own.reset

    def release(self, token: Any) -> None:
        """Detach, wherever the token comes from; what cannot be restored here is left as it is."""
        try:
            self.detach(token)
        except (ValueError, RuntimeError):
            self.leave(None, token)

    def leave(self, span: Any, token: Any) -> None:
        """Detach where :attr:`detach` refuses. A token from before OpenTelemetry was loaded is our own variable's. In another context than
        the token's, as in a generator that went on elsewhere, something is to be restored only where ``span`` is current."""
        if token.var is own and self.detach != own.reset:
            with contextlib.suppress(ValueError, RuntimeError):
                own.reset(token)
                return
        if span is not None and self.current() is span:
            if token.old_value is Token.MISSING:
                self.attach(None)
            else:
                token.var.set(token.old_value)

    def bridge(self) -> None:
        """Take OpenTelemetry's context as the truth. For a caller that found ``opentelemetry.trace`` loaded."""
        self.bridged = True  # first: what follows may come here again
        from clew.record.opentelemetry import current, detach, make_current

        self.current, self.attach, self.detach = current, make_current, detach


context: Final = Context()
