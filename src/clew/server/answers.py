"""Errors as answers: one table from the tree of errors to HTTP statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
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


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no answer."""

    error: str
    """Class of the error."""
    message: str
    """What is wrong and what to do; of a filter with the place, over three lines."""
    position: int | None = None
    """Index of the character at fault, for a filter."""


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "What was asked for cannot be answered, and why"},
    "5XX": {"model": Problem, "description": "The server failed"},
}
"""Of every route, for the OpenAPI document."""


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


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """A parameter that is missing or of another type."""
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in error.errors())
    return JSONResponse({"error": "QueryError", "message": said}, 400)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = f"there is no {request.url.path[:200]!r}" if error.status_code == 404 else error.detail
    return JSONResponse({"error": "HTTPException", "message": said}, error.status_code, error.headers)


def install(app: FastAPI) -> None:
    """Every error of Clew and of the framework becomes an answer; what is no error of ours stays a 500 of the framework."""
    app.add_exception_handler(errors.ClewError, _answer)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
