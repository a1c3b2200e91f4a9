"""What a node may know of the run it is part of: where its files are, how long its try may still take, how to run a workflow inside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from clew.act.workflow.calls import ModelCall
from clew.act.workflow.document import Document
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.registry import node_types
from clew.cost.prices import PriceBook
from clew.errors import WorkflowError


class RunDocument(Protocol):
    """Runs a document inside the current run; see :func:`run_inside`."""

    def __call__(self, document: Document, inputs: Mapping[str, Any], *, base: Path) -> dict[str, Any]: ...


@dataclass(slots=True)
class Running:
    """One run, its sub-workflows included."""

    base: Path
    """Directory that relative paths of the document start from."""
    run_document: RunDocument | None = None
    types: Mapping[str, type[NodeType]] | None = None
    """Type -> class of node; None: those of Clew and of installed packages."""
    prices: PriceBook | None = None
    """For ``${run.cost_usd}``; None: the price data as installed."""
    depth: int = 0
    """Workflows around this one."""
    name: str = ""
    """Of the workflow."""
    calls: list[ModelCall] = field(default_factory=list)
    """The model calls of the nodes that have ended so far, in the order they ended."""


@dataclass(slots=True)
class Visit:
    """One execution of a node, as far as its wrappers must know of each other."""

    path: str
    """Ids of the nodes around it and its own, ``outer/inner``."""
    sequence: int = 0
    """Number of its entry in the trace."""
    resolutions: list[tuple[str, str, Any]] | None = None
    """Parameter, template, and what it became; None: nobody asks."""
    params: Any = None
    """The parameters, resolved."""
    trace: Any = None
    """What the trace noted when it began."""
    reached: set[str] = field(default_factory=set)
    """Keys of the shared store, not its own, that the node took without a template."""


class Try:
    """One try of a node, or the whole run: how long it may take, and what to stop when it is given up.

    :param outer: the try that it is part of, whose end is its own too
    """

    def __init__(self, timeout_s: float | None = None, outer: Try | None = None) -> None:
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if outer is not None and outer.deadline is not None:
            self.deadline = outer.deadline if self.deadline is None else min(self.deadline, outer.deadline)
        self.abandoned = False
        self._stops: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def abandon(self) -> None:
        """Give the try up: calls what :func:`on_abandon` registered."""
        with self._lock:
            self.abandoned = True
            stops, self._stops = self._stops, []
        for stop in stops:
            with suppress(Exception):  # what is to be stopped may have ended meanwhile
                stop()

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            late = self.abandoned
            if not late:
                self._stops.append(stop)
        if late:
            stop()
        try:
            yield
        finally:
            with self._lock, suppress(ValueError):
                self._stops.remove(stop)


run: Final[ContextVar[Running | None]] = ContextVar("clew_run", default=None)
visit: Final[ContextVar[Visit | None]] = ContextVar("clew_visit", default=None)
attempt: Final[ContextVar[Try | None]] = ContextVar("clew_try", default=None)


def base() -> Path:
    """Directory that relative paths of the document start from; outside a run the current one."""
    current = run.get()
    return current.base if current is not None else Path.cwd()


def types() -> Mapping[str, type[NodeType]]:
    """The node types of this run."""
    current = run.get()
    return node_types() if current is None or current.types is None else current.types


def remaining_s() -> float | None:
    """Seconds that this try of the node may still take, never negative; None: as long as it likes."""
    current = attempt.get()
    if current is None or current.deadline is None:
        return None
    return max(current.deadline - time.monotonic(), 0.0)


def is_abandoned() -> bool:
    """Whether nobody waits any more for what this try does."""
    current = attempt.get()
    return current is not None and current.abandoned


@contextmanager
def on_abandon(stop: Callable[[], None]) -> Iterator[None]:
    """While the ``with`` is open, ``stop`` is called, from another thread, if this try is given up: its time is over, or the run is
    interrupted. For what a node starts outside this process: ``with on_abandon(process.kill): process.wait()``."""
    current = attempt.get()
    if current is None:
        yield
    else:
        with current.stopping(stop):
            yield


def run_inside(document: Document, inputs: Mapping[str, Any], *, base: Path) -> dict[str, Any]:
    """Run ``document`` as part of the run that the calling node belongs to: its nodes are recorded, counted and traced with it, under the
    calling node. Returns the outputs.

    :raises NodeFailed: a node of it failed for good
    :raises WorkflowError: an input is missing or of another type
    """
    current = run.get()
    if current is None or current.run_document is None:
        raise WorkflowError(f"workflow {document.name} can only be run inside a run; run it with clew.act.workflow.run.run")
    return current.run_document(document, inputs, base=base)
