"""What an exception means for the span it ends: its class of error, and the event that describes it."""

from __future__ import annotations

from typing import Any, Final

from clew.errors import ModelError, Refused
from clew.model import attributes as names
from clew.record.values import cut, text

MAX_FRAMES: Final = 64
"""Innermost frames of a stack trace that are recorded: a runaway recursion has a thousand."""
MAX_STACKTRACE: Final = 32_768

_RATE_LIMIT: Final = frozenset({"RateLimitError", "TooManyRequests", "TooManyRequestsError", "ResourceExhausted", "ThrottlingException"})
_TIMEOUT: Final = frozenset(
    {"APITimeoutError", "Timeout", "ReadTimeout", "ConnectTimeout", "WriteTimeout", "PoolTimeout", "TimeoutException", "DeadlineExceeded"}
)


def error_type(error: BaseException) -> str:
    """``rate_limit``, ``timeout``, or the name of the exception's class."""
    if isinstance(error, ModelError) and error.kind != "error":
        return error.kind
    if isinstance(error, Refused):  # by a limit: the call was not made
        return error.error_type
    classes = type(error).__mro__
    class_names = {kind.__name__ for kind in classes}
    status = _status(error)
    if status == 429 or class_names & _RATE_LIMIT:
        return "rate_limit"
    if isinstance(error, TimeoutError) or class_names & _TIMEOUT or status in (408, 504):
        return "timeout"
    return type(error).__qualname__


def _status(error: BaseException) -> int | None:
    """The HTTP status that a client library put on its exception."""
    for holder in (error, getattr(error, "response", None)):
        for field in ("status_code", "status", "code"):
            value = getattr(holder, field, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return None


def is_failure(error: BaseException) -> bool:
    """Whether leaving a span by ``error`` means that it failed. A generator left early, and ``sys.exit()`` without a fault, did not."""
    if isinstance(error, SystemExit):
        return error.code not in (None, 0)
    return not isinstance(error, GeneratorExit)


def describe(error: BaseException) -> dict[str, Any]:
    """Attributes of the ``exception`` event. The stack trace is left out where it says nothing: cancellation, interrupt, exit."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    values: dict[str, Any] = {names.EXCEPTION_TYPE: name, names.EXCEPTION_MESSAGE: text(error, MAX_STACKTRACE)}
    if isinstance(error, Exception) and error.__traceback__ is not None:
        import traceback  # 5 ms: not on `import clew`

        lines = traceback.format_exception(kind, error, error.__traceback__, limit=-MAX_FRAMES)
        values[names.EXCEPTION_STACKTRACE] = cut("".join(lines), MAX_STACKTRACE)
    return values
