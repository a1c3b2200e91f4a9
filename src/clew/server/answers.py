"""Errors as answers: one table from the tree of errors to HTTP statuses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from clew import errors

STATUSES: tuple[tuple[type[errors.ClewError], int], ...] = (
    (errors.NotFound, 404),
    (errors.AmbiguousId, 409),
    (errors.QueryError, 400),
    (errors.MalformedRecord, 400),
    (errors.SettingError, 400),
    (errors.PriceError, 500),
    (errors.StoreUnavailable, 503),
    (errors.StoreError, 500),
    (errors.ClewError, 500),
)
"""The first that fits counts."""


def status_of(error: errors.ClewError) -> int:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def document(error: errors.ClewError) -> dict[str, Any]:
    """``{"error": class, "message": text}``, and ``position`` for a filter: the index of the character at fault."""
    found: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, errors.FilterError):
        found["position"] = error.position
    return found


async def _answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ClewError)
    return JSONResponse(document(error), status_of(error))


def install(app: FastAPI) -> None:
    """Every error of Clew becomes an answer; what is no error of ours stays a 500 of the framework."""
    app.add_exception_handler(errors.ClewError, _answer)
