"""Decoration: each call of a function is a span. One decorator for functions, coroutines, generators and async generators.

A generator's span is open from its first step to its last. Its body sees the span as current, its consumer never does: the span is
attached for the length of one step and detached before the value is handed out, so it makes no difference where the next step runs, or
whether there is one. A generator that is left early ends its span when it is closed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, cast

from clew.record import state
from clew.record.context import context
from clew.record.guard import fault
from clew.record.instrument import Instrument
from clew.record.span import OK, Span

F = TypeVar("F", bound=Callable[..., Any])


def decorate(function: F, kind: type[Span], instrument: Instrument, name: str | None, attributes: dict[str, Any]) -> F:
    """``function`` wrapped; ``function`` itself when recording is off now. Of tools, arguments and result are recorded.

    :param name: name of the spans; None: the function's
    :param attributes: attributes of each of them
    """
    if state.is_off():
        return function
    name = name if name is not None else getattr(function, "__name__", type(function).__name__)
    given = dict(attributes)
    arguments = _Arguments(function) if instrument.kind == "tool" else None

    def new(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        span = kind(instrument, name, dict(given))
        if arguments is not None:
            arguments.record(span, args, kwargs)
        return span

    wrapped: Any
    if inspect.isasyncgenfunction(function):
        wrapped = _async_generator(function, new)
    elif inspect.isgeneratorfunction(function):
        wrapped = _generator(function, new)
    elif inspect.iscoroutinefunction(function):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            span = new(args, kwargs)
            with span:
                result = await function(*args, **kwargs)
                if arguments is not None:
                    span.output(result)
                return result

    else:

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            span = new(args, kwargs)
            with span:
                result = function(*args, **kwargs)
                if arguments is not None:
                    span.output(result)
                return result

    return cast(F, functools.wraps(function)(wrapped))


class _Arguments:
    """Names the arguments of a call. Reading a signature costs microseconds, so it is read once."""

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        positional = [item.name for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
        self.skipped = 1 if positional[:1] in (["self"], ["cls"]) else 0
        self.names = positional[self.skipped :]
        self.rest = next((item.name for item in parameters if item.kind is item.VAR_POSITIONAL), "args")

    def record(self, span: Span, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            args = args[self.skipped :]
            values = dict(zip(self.names, args, strict=False))
            if len(args) > len(self.names):
                values[self.rest] = args[len(self.names) :]
            values.update(kwargs)
            span.input(values)
        except Exception:
            fault("recording arguments")


class Steps:
    """Makes a span current for the length of a step of a generator, and what the body left current for the next."""

    __slots__ = ("here", "token")

    def __init__(self, span: Span) -> None:
        self.here: Any = span if span.started else None
        self.token: Any = None

    def __enter__(self) -> None:
        if self.here is not None:
            self.token = context.attach(self.here)

    def __exit__(self, *_: object) -> None:
        token, self.token = self.token, None
        if token is None:
            return
        self.here = context.current() or self.here
        context.release(token)


def _generator(function: Callable[..., Any], new: Callable[[tuple[Any, ...], dict[str, Any]], Span]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = new(args, kwargs).start()
        step = Steps(span)
        body = function(*args, **kwargs)
        resume, given = body.send, None
        try:
            while True:
                try:
                    with step:
                        value = resume(given)
                except StopIteration as stop:
                    _went_well(span)
                    return stop.value
                try:
                    given = yield value
                    resume = body.send
                except GeneratorExit:
                    with step:
                        body.close()
                    raise
                except BaseException as error:
                    resume, given = body.throw, error
        except BaseException as error:
            span._left_by(error)
            raise
        finally:
            span.end()

    return wrapped


def _async_generator(function: Callable[..., Any], new: Callable[[tuple[Any, ...], dict[str, Any]], Span]) -> Callable[..., Any]:
    async def wrapped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = new(args, kwargs).start()
        step = Steps(span)
        body = function(*args, **kwargs)
        resume, given = body.asend, None
        try:
            while True:
                try:
                    with step:
                        value = await resume(given)
                except StopAsyncIteration:
                    _went_well(span)
                    return
                try:
                    given = yield value
                    resume = body.asend
                except GeneratorExit:
                    with step:
                        await body.aclose()
                    raise
                except BaseException as error:
                    resume, given = body.athrow, error
        except BaseException as error:
            span._left_by(error)
            raise
        finally:
            span.end()

    return wrapped


def _went_well(span: Span) -> None:
    if span.status_code == 0:
        span.status_code = OK
