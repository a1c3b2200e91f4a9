"""Runs a node once for each item of a list, one after the other or several at once."""

from __future__ import annotations

import contextvars
import copy
import queue
import threading
from collections.abc import Mapping
from typing import Any, Final

from clew.act.workflow import running
from clew.act.workflow.document import DEFAULT, Batch
from clew.act.workflow.namespaced import ERROR_KEY, FAILURES, Namespace
from clew.act.workflow.problem import kind
from clew.act.workflow.wrapper import NodeWrapper
from clew.errors import WorkflowError

ITEMS: Final = "items"
"""Parameter of the batch node: the list, resolved by the wrapper around it."""


class BatchNodeWrapper(NodeWrapper):
    """Publishes ``results`` (in the order of the items), ``count`` and ``failed`` (how many).

    Each item runs in a copy of the node, with ``${item}`` (or the name that the document gives it) and ``${index}`` in its scope; those in
    threads keep the context: the current span, the ledger of model calls. With ``on_error: fail`` the first failure by the order of the
    items is raised, once the items under way have ended; no further one is started.
    """

    def __init__(self, inner_node: Any, batch: Batch) -> None:
        super().__init__(inner_node)
        self.batch = batch
        self.params: dict[str, Any] = {}

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def _run(self, shared: Any) -> Any:
        items = self.params[ITEMS]
        if not isinstance(items, (list, tuple)):
            raise WorkflowError(f"batch.items is {kind(items)}, not a list; give it a list, or a template of one")
        outcomes: list[dict[str, Any] | BaseException | None] = [None] * len(items)
        root = getattr(shared, "root", shared)
        if self.batch.parallel == 1 or len(items) < 2:
            for index, item in enumerate(items):
                _go_on()
                outcomes[index] = self._one(root, index, item)
                if self._ends(outcomes[index]):
                    break
        else:
            self._in_threads(root, items, outcomes)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        results = [{ERROR_KEY: str(outcome)} if isinstance(outcome, BaseException) else outcome for outcome in outcomes]
        shared.update(results=results, count=len(items), failed=len(failures))
        if failures and self.batch.on_error == "fail":
            raise failures[0]
        return DEFAULT

    def _ends(self, outcome: object) -> bool:
        return isinstance(outcome, BaseException) and self.batch.on_error == "fail"

    def _one(self, root: Mapping[str, Any], index: int, item: Any) -> dict[str, Any] | BaseException:
        """What an item published, or why it failed."""
        node = copy.copy(self.inner_node)
        add_names(node, {self.batch.name: item, "index": index})
        node.set_params({})
        results = Namespace(root)
        try:
            node._run(results)
        except FAILURES as error:
            return error
        return dict(results)

    def _in_threads(self, root: Mapping[str, Any], items: Any, outcomes: list[dict[str, Any] | BaseException | None]) -> None:
        waiting: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for pair in enumerate(items):
            waiting.put(pair)
        stopped = threading.Event()

        def work() -> None:
            while not stopped.is_set():
                try:
                    index, item = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    _go_on()
                    outcome: Any = contextvars.copy_context().run(self._one, root, index, item)
                except BaseException as error:  # it would end this thread alone, and nobody would know
                    outcome = error
                outcomes[index] = outcome
                if self._ends(outcome):
                    stopped.set()

        # Daemons: an interrupted run must not wait for items that hang.
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work,), name=f"clew-batch-{number}", daemon=True)
            for number in range(min(self.batch.parallel, len(items)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            stopped.set()


def _go_on() -> None:
    """:raises WorkflowError: nobody waits any more for the batch"""
    if running.is_abandoned():
        raise WorkflowError("the batch was given up")


def add_names(node: Any, names: Mapping[str, Any]) -> None:
    """Gives the scope of a copied node, and of what it wraps, further names."""
    while isinstance(node, NodeWrapper):
        if "extra" in vars(node):
            vars(node)["extra"] = names
        node = node.inner_node
