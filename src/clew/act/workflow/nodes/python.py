"""The node type ``python``: calls a function."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from clew.act.workflow import running
from clew.act.workflow.completion import complete
from clew.act.workflow.document import DEFAULT
from clew.act.workflow.nodes import function, node
from clew.record.instruments.functions import tool


class PythonNode(node.NodeType):
    """Calls a Python function. A mapping that it returns is published key by key, anything else under ``result``."""

    type = "python"
    kind = "tool"

    class Params(node.Params):
        function: str = Field(pattern=function.PATTERN)
        """``package.module:name``; modules in the document's directory come before installed ones."""
        args: dict[str, Any] = Field(default_factory=dict)
        """Keyword arguments."""

    def execute(self, params: Params) -> dict[str, Any]:
        called = function.find(params.function, running.base())
        with tool(params.function.partition(":")[2], arguments=params.args) as span:
            result = called(**params.args)
            if inspect.isawaitable(result):
                result = complete(_awaited(result))
            elif inspect.isgenerator(result):
                result = list(result)
            span.output(result)
        if isinstance(result, Mapping) and all(isinstance(key, str) for key in result):
            return dict(result)
        return {"result": result}

    def action(self, results: Mapping[str, Any]) -> str:
        """What the function returned under ``action``, if that is a text."""
        action = results.get("action")
        return action if isinstance(action, str) else DEFAULT


async def _awaited(result: Any) -> Any:
    return await result
