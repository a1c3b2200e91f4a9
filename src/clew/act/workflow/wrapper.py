"""What every wrapper of a node does: it stands for the node, passes on what it does not know, and copies the node with itself."""

from __future__ import annotations

import copy
from typing import Any, Self


class NodeWrapper:
    """Stands for ``inner_node`` in a flow. A subclass wraps :meth:`_run`.

    pocketflow copies each node before it runs it (``copy.copy``) and gives it the flow's parameters; both reach the innermost node, so two
    executions share no state. Transitions (``>>``, ``- "action" >>``) are the inner node's too.
    """

    inner_node: Any

    def __init__(self, inner_node: Any) -> None:
        self.inner_node = inner_node

    def _run(self, shared: Any) -> Any:
        return self.inner_node._run(shared)

    def run(self, shared: Any) -> Any:
        return self._run(shared)

    def set_params(self, params: dict[str, Any]) -> None:
        self.inner_node.set_params(params)

    def __getattr__(self, name: str) -> Any:
        # While an object is being copied or unpickled it has no inner node yet, and asks for __setstate__ and its like.
        if name == "inner_node" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.inner_node, name)

    def __rshift__(self, other: Any) -> Any:
        return self.inner_node.next(other)

    def __sub__(self, action: str) -> Any:
        return self.inner_node - action

    def _copied(self, inner_node: Any) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.inner_node = inner_node
        return new

    def __copy__(self) -> Self:
        return self._copied(copy.copy(self.inner_node))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The node is copied to its depth; what else the wrapper holds, collectors above all, is shared."""
        new = self._copied(None)
        memo[id(self)] = new
        new.inner_node = copy.deepcopy(self.inner_node, memo)
        return new
