"""LangChain and LangGraph, by OpenInference's instrumentor, whose spans are made by callbacks and are never current: what runs inside a node or a tool would
hang beside it. LangChain runs such code in a copy of the context that names the node's run; there its span is made current, for that copy alone."""

from __future__ import annotations

import functools
import sys
from typing import Any, Final

from clew.connect.frameworks.patches import Patches
from clew.record.guard import fault

_ENTRY: Final = "_set_config_context"
_MODULES: Final = ("langchain_core.runnables.config", "langgraph._internal._runnable")
"""Where a copy of the context is told its run."""


class LangChainInstrumentor:
    """Both libraries."""

    def __init__(self) -> None:
        from openinference.instrumentation.langchain import LangChainInstrumentor as Theirs

        self._theirs = Theirs()
        self._patches = Patches()
        self._running = False

    def instrument(self, *, tracer_provider: Any) -> None:
        """Start."""
        self._theirs.instrument(tracer_provider=tracer_provider)
        self._running = True
        for name in _MODULES:
            if name in sys.modules:
                self._nest(sys.modules[name])
            else:
                from wrapt import register_post_import_hook

                register_post_import_hook(self._nest, name)

    def uninstrument(self) -> None:
        """Stop."""
        self._running = False
        self._patches.undo()
        self._theirs.uninstrument()

    def _nest(self, module: Any) -> None:
        if self._running and callable(getattr(module, _ENTRY, None)):
            self._patches.replace(module, _ENTRY, _current)


def _current(original: Any) -> Any:
    from openinference.instrumentation.langchain import get_current_span
    from opentelemetry import context, trace

    @functools.wraps(original)
    def enter(*args: Any, **kwargs: Any) -> Any:
        entered = original(*args, **kwargs)
        try:
            span = get_current_span()
            if span is not None:
                context.attach(trace.set_span_in_context(span))
        except Exception:
            fault("finding the span of a LangChain run")
        return entered

    return enter
