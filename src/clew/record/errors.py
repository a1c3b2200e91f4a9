"""What an exception means for the span it ends: its class of error, and the event that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clew.errors import ModelError, Refused
from clew.model import attributes as names
from clew.record.values import cut, text

MAX_FRAMES: Final = 64
"""Innermost frames of a stack trace that are recorded: a runaway recursion has a thousand."""
MAX_STACKTRACE: Final = 32_768

# Classes of the provider packages, known by name: none is imported.
_RATE_LIMIT: Final = frozenset(
    {
        "RateLimitError",
        "RateLimited",
        "TooManyRequests",
        "TooManyRequestsError",
        "ResourceExhausted",
        "ThrottlingException",
        "ThrottlingError",
    }
)
_TIMEOUT: Final = frozenset(
    {
        *("APITimeoutError", "Timeout", "TimeoutException", "ReadTimeout", "ConnectTimeout", "WriteTimeout", "PoolTimeout"),
        *("ReadTimeoutError", "ConnectTimeoutError", "DeadlineExceeded", "ModelTimeoutError", "ServerTimeoutError", "GatewayTimeoutError"),
    }
)
_RATE_LIMIT_CODES: Final = frozenset(
    {"rate_limit_error", "rate_limit_exceeded", "rate_limit", "RESOURCE_EXHAUSTED", "ThrottlingException", "TooManyRequestsException"}
)
_TIMEOUT_CODES: Final = frozenset({"timeout_error", "timeout", "DEADLINE_EXCEEDED", "ModelTimeoutException"})


def error_type(error: BaseException) -> str:
    """``rate_limit``, ``timeout``, or the name of the exception's class.

    Told by the class and its bases, by the HTTP status, and by the provider's code: an error in the middle of a stream has status 200.
    """
    if isinstance(error, ModelError) and error.kind != "error":
        return error.kind
    if isinstance(error, Refused):  # by a limit: the call was not made
        return error.error_type
    class_names = {kind.__name__ for kind in type(error).__mro__}
    status, codes = http_status(error), _codes(error)
    if status == 429 or class_names & _RATE_LIMIT or codes & _RATE_LIMIT_CODES:
        return "rate_limit"
    if isinstance(error, TimeoutError) or class_names & _TIMEOUT or status in (408, 504) or codes & _TIMEOUT_CODES:
        return "timeout"
    return type(error).__qualname__


def http_status(error: BaseException) -> int | None:
    """The HTTP status that a client library put on its exception."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        response = response.get("ResponseMetadata")
        found = response.get("HTTPStatusCode") if isinstance(response, Mapping) else None
        return found if isinstance(found, int) else None
    for holder in (error, response):
        for field in ("status_code", "status", "http_status", "code"):
            value = getattr(holder, field, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return None


def _codes(error: BaseException) -> set[str]:
    """What the provider called the error: ``code`` and ``type`` of the exception and of the body it came with."""
    body = getattr(error, "body", None)
    response = getattr(error, "response", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    botocore = response.get("Error") if isinstance(response, Mapping) else None
    found = [getattr(error, "code", None), getattr(error, "type", None), getattr(error, "status", None)]
    for holder in (body, inner, botocore):
        if isinstance(holder, Mapping):
            found += [holder.get("code"), holder.get("type"), holder.get("status"), holder.get("Code")]
    return {code for code in found if isinstance(code, str)}


def retry_after(error: BaseException) -> float | None:
    """Seconds that the provider asks to wait: of our own errors, or of the answer's ``Retry-After``; None when it does not say."""
    given = getattr(error, "retry_after_s", None)
    headers = getattr(getattr(error, "response", None), "headers", None)
    if given is None and headers is not None and hasattr(headers, "get"):
        given = headers.get("retry-after")
    try:
        seconds = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


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
