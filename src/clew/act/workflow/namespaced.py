"""Keeps each node's results under its own id, so that two nodes never overwrite each other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clew.act.workflow import running
from clew.act.workflow.wrapper import NodeWrapper
from clew.record.errors import error_type

ERROR_KEY: Final = "error"
ERROR_TYPE_KEY: Final = "error_type"
INPUTS_KEY: Final = "inputs"
CALLS_KEY: Final = "__llm_calls__"
"""Key of the shared store: one entry for each model call of the run so far, in the order they ended."""

FAILURES: Final = (Exception, SystemExit)
"""What fails a node. A node that calls ``sys.exit()`` ends itself, not the run."""


class Store(dict[str, Any]):
    """The shared store of a run: ``inputs``, the results of each node under its id, and keys in double underscores that are Clew's own.

    A node gets a :class:`Namespace`, so it changes the store nowhere but under its id.
    """

    secrets: frozenset[str] = frozenset()
    """Names of the inputs that must not be written anywhere."""


class Namespace(dict[str, Any]):
    """What a node sees as the shared store: its own results, to which it writes; and for reading, below them, the whole store."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, key: str) -> Any:
        value = self.root[key]
        visit = running.visit.get()
        if visit is not None:
            visit.reached.add(key)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self.root


class NamespacedNodeWrapper(NodeWrapper):
    """Publishes the node's results as ``shared[node_id]``, a new mapping for each visit.

    A node that fails publishes what it had so far, with ``error`` (the message) and ``error_type``; then the error goes on.
    """

    def __init__(self, inner_node: Any, node_id: str) -> None:
        super().__init__(inner_node)
        self.node_id = node_id

    def _run(self, shared: dict[str, Any]) -> Any:
        results = Namespace(shared)
        try:
            action = self.inner_node._run(results)
        except FAILURES as error:
            shared[self.node_id] = {**results, ERROR_KEY: str(error), ERROR_TYPE_KEY: error_type(error)}
            raise
        shared[self.node_id] = dict(results)
        return action
