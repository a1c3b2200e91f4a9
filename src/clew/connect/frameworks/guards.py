"""Guards: what other people's instrumentations wrap checks first whether limits let the call be made.

Their wrappers swallow whatever comes out of the start of a span, or say what a span is only after its start. So the function that they wrap
is wrapped before, on the inside: there the refusal comes up, and goes out to the caller as an error of the call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from clew.model.kinds import Kind
from clew.record import propagation, state
from clew.record.guard import fault
from clew.record.limits import pending

GUARDED: Final[dict[str, tuple[str, ...]]] = {
    "openai": ("openai:OpenAI.request", "openai:AsyncOpenAI.request"),
    "anthropic": (
        "anthropic.resources.messages:Messages.create",
        "anthropic.resources.messages:AsyncMessages.create",
        "anthropic.resources.messages:Messages.stream",
        "anthropic.resources.messages:AsyncMessages.stream",
    ),
    "litellm": (
        "litellm:completion",
        "litellm:acompletion",
        "litellm:responses",
        "litellm:aresponses",
        "litellm:embedding",
        "litellm:aembedding",
    ),
}
"""Library -> what its instrumentor wraps."""


def guard(library: str, tracer: str) -> None:
    """Put the guards of a library in place, before its instrumentor wraps it. Without limits they cost a look-up; they stay in place.

    :param tracer: name of the instrumentor's tracer
    """
    for path in GUARDED.get(library, ()):
        module, _, names = path.partition(":")
        try:
            *owners, name = names.split(".")
            holder = functools.reduce(getattr, owners, import_module(module))
            found = getattr(holder, name)
            if not hasattr(found, "__clew_guard__"):
                setattr(holder, name, _guarded(found, "embedding" if "embedding" in name else "llm", tracer))
                pending.guarded.add(tracer)
        except Exception:
            fault(f"guarding {path}")


def _guarded(function: Callable[..., Any], kind: Kind, tracer: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        _check(kind, tracer)
        return function(*args, **kwargs)

    checked.__clew_guard__ = True  # type: ignore[attr-defined]
    return checked


def _check(kind: Kind, tracer: str) -> None:
    """:raises clew.Refused: a limit does not let the call be made that the current span stands for"""
    refusal = pending.take()
    if refusal is not None:
        raise refusal
    recorder = state.recorder
    here = propagation.current()
    if recorder is None or here is None:
        return
    for processor in recorder.processors:
        late = getattr(processor, "on_told", None)
        if late is not None:
            late(here.span_id, kind, tracer)  # its instrumentation may have wrapped the span itself
