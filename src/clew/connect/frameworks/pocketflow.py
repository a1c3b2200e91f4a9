"""PocketFlow: every node that runs is a span, and a flow too: as a workflow, inside another flow as a node. What Clew's own runtime runs is recorded by
it and left alone."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any, Final

from clew.connect.frameworks.patches import Patches
from clew.model import attributes as names
from clew.record.instruments.functions import node, workflow

_inside: Final[ContextVar[bool]] = ContextVar("clew_pocketflow", default=False)


class PocketFlowInstrumentor:
    """Nodes and flows of the process: sync, async, batched and parallel."""

    def __init__(self) -> None:
        self._patches = Patches()

    def instrument(self) -> None:
        """Start."""
        import pocketflow

        for kind in vars(pocketflow).values():
            if not isinstance(kind, type) or not issubclass(kind, pocketflow.BaseNode):
                continue
            if "_run" in vars(kind) and kind is not pocketflow.AsyncNode:  # its _run only refuses
                self._patches.replace(kind, "_run", _sync)
            if "_run_async" in vars(kind):
                self._patches.replace(kind, "_run_async", _async)

    def uninstrument(self) -> None:
        """Stop."""
        self._patches.undo()


def _sync(original: Any) -> Any:
    @functools.wraps(original)
    def run(self: Any, shared: Any) -> Any:
        if _is_clews(self):
            return original(self, shared)
        token = _inside.set(True) if _is_flow(self) else None
        try:
            with _span(self, nested=token is not None and token.old_value is True) as span:
                action = original(self, shared)
                _ran(span, self, action)
                return action
        finally:
            if token is not None:
                _inside.reset(token)

    return run


def _async(original: Any) -> Any:
    @functools.wraps(original)
    async def run(self: Any, shared: Any) -> Any:
        token = _inside.set(True) if _is_flow(self) else None
        try:
            with _span(self, nested=token is not None and token.old_value is True) as span:
                action = await original(self, shared)
                _ran(span, self, action)
                return action
        finally:
            if token is not None:
                _inside.reset(token)

    return run


def _is_flow(node: Any) -> bool:
    return hasattr(node, "start_node")


def _is_clews(node: Any) -> bool:
    first = getattr(node, "start_node", None)
    return any(kind.__module__.startswith("clew.act.") for made in (node, first) for kind in type(made).__mro__)


def _span(made: Any, *, nested: bool) -> Any:
    kind = type(made).__name__
    return workflow(kind) if _is_flow(made) and not nested else node(kind, **{names.NODE_TYPE: kind})


def _ran(span: Any, made: Any, action: Any) -> None:
    span.set(names.NODE_ACTION, action if isinstance(action, str) else None)
    tries = getattr(made, "cur_retry", 0)
    if isinstance(tries, int) and tries:
        span.set(names.RETRY_ATTEMPT, tries + 1)
