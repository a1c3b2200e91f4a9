"""Why a model gave no usable answer, in words that name the model, the fault and the next step."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import httpx
import httpx2
from pydantic_ai import exceptions as pa

from clew.wire.redaction import redact_text


class BrokenStream(Exception):
    """A stream that ended without saying so."""


OF_MODELS: Final = (
    pa.ModelAPIError,
    pa.UnexpectedModelBehavior,
    pa.UserError,
    TimeoutError,
    BrokenStream,
    httpx.HTTPError,
    httpx2.HTTPError,
)
"""What comes from a model while its stream is read; anything else is the reader's."""

_LONGEST: Final = 400


def used_nothing(error: BaseException) -> bool:
    """Whether the request was not worked on, so that it used no tokens: the provider refused it (4xx), or it was never sent. After any
    other failure nobody knows."""
    if isinstance(error, pa.ModelHTTPError):
        return 400 <= error.status_code < 500 and error.status_code != 408 and not error.in_stream
    return isinstance(error, pa.ModelConnectionError) and error.phase in ("connect", "pool")


def text(name: str, error: BaseException, *, base_url: str | None, timeout_s: float | None) -> str:
    """One line about ``error``, without secrets.

    :param name: what the user calls the model
    """
    place = f" at {base_url}" if base_url else ""
    for kind, phrase in _PHRASES:
        if isinstance(error, kind):
            return redact_text(phrase(name, place, timeout_s, error))
    # Client libraries stumble over answers without form: what they raise then is theirs to choose.
    return redact_text(_no_answer(name, place, None, f"{type(error).__name__}: {error}"))


def _said(error: Any) -> str:
    """What the provider said: status and message."""
    body = getattr(error, "body", None)
    status = getattr(error, "status_code", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        body = inner.get("message", inner) if isinstance(inner, dict) else inner
    said = _short(body if isinstance(body, str) else json.dumps(body, default=str)) if body else ""
    return ": ".join(filter(None, [f"HTTP {status}" if status else "", said])) or _short(str(error))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… [cut: {len(text)} characters]"


def _rate_limit(name: str, place: str, _: float | None, error: Any) -> str:
    wait = f"; it asks to wait {error.retry_after:g} s" if getattr(error, "retry_after", None) is not None else ""
    return f"{name}{place} is rate limited ({_said(error)}){wait}; give the node a retry with a wait, or fallback_models"


def _timeout(name: str, place: str, timeout_s: float | None, _: Any) -> str:
    within = f" within {round(timeout_s, 2):g} s" if timeout_s is not None else " in time"
    return f"{name}{place} did not answer{within}; raise timeout_s, or check that the server answers"


def _no_answer(name: str, place: str, _: float | None, error: Any) -> str:
    return f"{name}{place} sent what is no answer ({_short(str(error))}); check that base_url speaks the provider's format"


_Phrase = Callable[[str, str, "float | None", Any], str]

# First fitting row; subclasses before their bases.
_PHRASES: Final[tuple[tuple[Any, _Phrase], ...]] = (
    (pa.ModelRateLimitError, _rate_limit),
    ((pa.ModelTimeoutError, pa.ModelRequestTimeout, TimeoutError, httpx.TimeoutException, httpx2.TimeoutException), _timeout),
    (pa.ModelQuotaExceededError, lambda name, place, _, error: f"{name}{place} refused, the quota is used up ({_said(error)}); check the account"),
    (pa.ModelAuthenticationError, lambda name, place, _, error: f"{name}{place} refused the key ({_said(error)}); check the provider's key variable"),
    (pa.ModelNotFoundError, lambda name, place, _, error: f"{name}{place} is not there ({_said(error)}); check the model's name and base_url"),
    (pa.ModelContextWindowExceededError, lambda name, place, _, error: f"{name}{place} cannot read that much ({_said(error)}); shorten the prompt"),
    (pa.ModelHTTPError, lambda name, place, _, error: f"{name}{place} failed ({_said(error)}); retry, or use fallback_models"),
    (BrokenStream, lambda name, place, *_: f"{name}{place} broke off its stream; retry, or turn stream off"),
    ((pa.ModelConnectionError, httpx.TransportError, httpx2.TransportError), lambda name, place, _, error: f"{name}{place} could not be reached, or broke off ({_short(_root(error))}); check base_url and that the server runs"),
    (pa.ContentFilterError, lambda name, place, _, error: f"{name}{place} refused by its content filter ({_short(str(error))})"),
    ((pa.ModelAPIError, pa.UnexpectedModelBehavior), _no_answer),
    (pa.UserError, lambda name, place, _, error: f"{name} cannot be used: {_short(str(error))}"),
)  # fmt: skip


def _root(error: BaseException) -> str:
    """The innermost cause that says something."""
    said = str(error) or type(error).__name__
    while error.__cause__ is not None:
        error = error.__cause__
        said = str(error) or said
    return said
