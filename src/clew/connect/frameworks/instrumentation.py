"""``clew.instrument`` and ``clew.uninstrument``."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import sys
import threading
from typing import Any, Final

from clew.connect.frameworks.table import BY_NAME, TABLE, Library
from clew.errors import MissingLibrary, UnknownLibrary
from clew.record import state
from clew.record.guard import fault

_lock: Final = threading.Lock()
_instrumentors: Final[dict[str, Any]] = {}
"""By the path of the instrumentor: LangChain's records LangGraph too."""
_wanted: Final[dict[str, set[str]]] = {}
"""Path of an instrumentor -> the names it was asked for."""


def instrument(*libraries: str) -> tuple[str, ...]:
    """Record what these libraries do from here on: their spans nest in ours, and ours in theirs. A second time changes nothing.

    Nothing is imported for it: a library that the program has not loaded yet is recorded from the moment it does.

    :param libraries: names of docs/instrument.md; none: all of them that are installed together with what records them
    :returns: the names that are recorded, of those that were asked for; empty while recording is off
    :raises UnknownLibrary: there is no such name
    :raises MissingLibrary: a library, or what records it, is not installed; says how to install it. Also a ``MissingExtra``
    """
    wanted = list(dict.fromkeys(map(_library, libraries))) if libraries else [row for row in TABLE if _missing(row) is None]
    if state.is_off():
        return ()
    with _lock:
        for library in wanted:
            if (missing := _missing(library)) is not None:
                raise missing
            if library.name in _wanted.get(library.instrumentor, ()):
                continue
            _wanted.setdefault(library.instrumentor, set()).add(library.name)
            if (library.first or library.module) in sys.modules or not _is_there("wrapt"):
                _start(library)
            else:
                from wrapt import register_post_import_hook

                register_post_import_hook(functools.partial(_loaded, library), library.first or library.module)
    return tuple(library.name for library in wanted)


def uninstrument(*libraries: str) -> tuple[str, ...]:
    """Record them no longer; none named: all that are recorded.

    :returns: the names that were recorded until now
    :raises UnknownLibrary: there is no such name
    """
    done = []
    with _lock:
        for library in [_library(name) for name in libraries] if libraries else TABLE:
            names = _wanted.get(library.instrumentor, set())
            if library.name not in names:
                continue
            names.discard(library.name)
            done.append(library.name)
            if not names:
                del _wanted[library.instrumentor]
                if (running := _instrumentors.pop(library.instrumentor, None)) is not None:
                    running.uninstrument()
    return tuple(done)


def instrumented() -> tuple[str, ...]:
    """The names that are recorded now."""
    return tuple(library.name for library in TABLE if library.name in _wanted.get(library.instrumentor, ()))


def _library(name: str) -> Library:
    folded = name.lower().replace("-", "_")
    if folded in BY_NAME:
        return BY_NAME[folded]
    near = difflib.get_close_matches(folded, BY_NAME, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(BY_NAME)}"
    raise UnknownLibrary(
        f"clew.instrument knows no library {name!r}; {hint} Any other OpenTelemetry instrumentation can be given tracer_provider=clew.tracer_provider()"
    )


def _missing(library: Library) -> MissingLibrary | None:
    """What has to be installed first, or None."""
    call = f"clew.instrument({library.name!r})"
    if not _is_there(library.module):
        return MissingLibrary(call, library.distribution, f"pip install {library.distribution}")
    module = library.needs or library.instrumentor.partition(":")[0]
    if not _is_there(module) or not _is_there("opentelemetry.trace" if library.dialect != "clew" else module):
        return MissingLibrary(call, library.package, library.install)
    return None


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _loaded(library: Library, module: Any) -> None:
    """The program has loaded a library that is waited for. What fails here must not fail its import."""
    try:
        if library.name in _wanted.get(library.instrumentor, ()):
            _start(library)
    except Exception:
        fault(f"recording {library.name}")


def _start(library: Library) -> None:
    path = library.instrumentor
    if path in _instrumentors:
        return
    module, _, kind = path.partition(":")
    made = getattr(importlib.import_module(module), kind)()
    if library.dialect == "clew":
        made.instrument()
    else:
        from clew.connect.frameworks.guards import guard
        from clew.record.control import tracer_provider

        guard(library.name, module)
        made.instrument(tracer_provider=tracer_provider())
    _instrumentors[path] = made
