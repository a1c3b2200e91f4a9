"""Carries the current span to where work goes on: threads, pools, other processes.

asyncio tasks, ``asyncio.to_thread`` and forked processes inherit it by themselves. :func:`install` makes ``threading.Thread``,
``ThreadPoolExecutor`` and ``ProcessPoolExecutor`` do so too; only the current span and the labels are carried, no other context variable. For everything
else there are :func:`propagate` (callables) and :func:`traceparent` (subprocesses, queues, headers).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from clew.model.ids import TraceParent, parse_traceparent
from clew.record import labels, state
from clew.record.context import context, modules
from clew.record.guard import fault

if TYPE_CHECKING:
    from concurrent.futures import Future

P = ParamSpec("P")
R = TypeVar("R")


def current() -> Any:
    """The current span or remote parent, or None."""
    if not context.bridged and "opentelemetry.trace" in modules:
        context.bridge()
    return context.current()


def traceparent() -> str:
    """The current span as a W3C ``traceparent``, for a subprocess's environment (``TRACEPARENT``) or a header; "" where there is none."""
    try:
        here = current()
        if here is None:
            recorder = state.recorder
            here = recorder.parent if recorder is not None else None
        if here is None:
            return ""
        return str(TraceParent(f"{here.trace.trace_id:032x}", f"{here.span_id:016x}", here.trace.sampled))
    except Exception:
        fault("naming the current span")
        return ""


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, to be called anywhere with the span current that is current now. For callbacks and worker threads of other libraries."""
    here, held = current(), labels.current()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return _call_within(here, held, function, *args, **kwargs)

    return carried


def _call_within(here: Any, held: Mapping[str, str], function: Callable[..., R], /, *args: Any, **kwargs: Any) -> R:
    token = None
    before = labels.take(held)
    try:
        token = context.attach(here)
    except Exception:
        fault("carrying the current span")
    try:
        return function(*args, **kwargs)
    finally:
        labels.restore(before)
        if token is not None:
            context.release(token)


class attached:
    """``with attached("00-…-01"):`` makes a span of another process the parent of what is recorded inside. Text that names none changes nothing."""

    def __init__(self, traceparent: str | None) -> None:
        self._traceparent = traceparent
        self._token: Any = None

    def __enter__(self) -> None:
        try:
            parent = parse_traceparent(self._traceparent)
            recorder = state.recorder or state.running()
            if parent is not None and recorder is not None:
                current()
                self._token = context.attach(recorder.remote(parent))
        except Exception:
            fault("taking up a parent")

    def __exit__(self, *_: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            context.release(token)


class _InProcess:
    """A call that goes to another process with its parent and labels; pickled."""

    def __init__(self, parent: str, function: Callable[..., Any]) -> None:
        self.parent = parent
        self.labels = dict(labels.current())
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with attached(self.parent), labels.within(**self.labels):
            return self.function(*args, **kwargs)


_originals: dict[str, Any] = {}


def _carrying_start(self: threading.Thread) -> None:
    here, held = current(), labels.current()
    if here is not None or held:
        run = self.run
        self.run = lambda: _call_within(here, held, run)  # type: ignore[method-assign]
    _originals["start"](self)


def _carrying_submit_thread(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    here, held = current(), labels.current()
    if here is None and not held:
        return _originals["thread"](self, function, *args, **kwargs)  # type: ignore[no-any-return]
    return _submit_outside("thread", self, functools.partial(_call_within, here, held, function), args, kwargs)


def _carrying_submit_process(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    parent = traceparent()
    if not parent and not labels.current():
        return _originals["process"](self, function, *args, **kwargs)  # type: ignore[no-any-return]
    return _submit_outside("process", self, _InProcess(parent, function), args, kwargs)


def _submit_outside(pool: str, self: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Future[Any]:
    # A pool starts its threads and processes here: they outlive this span and must not keep it.
    token, before = context.attach(None), labels.take({})
    try:
        return _originals[pool](self, function, *args, **kwargs)  # type: ignore[no-any-return]
    finally:
        labels.restore(before)
        context.release(token)


def _patches() -> tuple[tuple[str, type, str, Callable[..., Any]], ...]:
    from concurrent.futures import process, thread  # 15 ms, mostly multiprocessing: not on `import clew`

    return (
        ("start", threading.Thread, "start", _carrying_start),
        ("thread", thread.ThreadPoolExecutor, "submit", _carrying_submit_thread),
        ("process", process.ProcessPoolExecutor, "submit", _carrying_submit_process),
    )


def install() -> None:
    """Carry the current span into new threads and into what is submitted to pools. Done with the first recorder (setting ``propagate``)."""
    for key, kind, name, ours in _patches():
        if key not in _originals:
            _originals[key] = getattr(kind, name)
            setattr(kind, name, ours)


def remove() -> None:
    """Undo :func:`install`, where nobody else has patched on top."""
    if not _originals:
        return
    for key, kind, name, ours in _patches():
        if getattr(kind, name) is ours:
            setattr(kind, name, _originals.pop(key))
