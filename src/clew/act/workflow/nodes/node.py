"""What a node type is: a pocketflow node with typed parameters. Third parties make theirs the same way (entry point ``clew.nodes``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import pocketflow
from pydantic import BaseModel, ConfigDict, ValidationError

from clew.act.workflow.document import DEFAULT
from clew.act.workflow.problem import written
from clew.act.workflow.shape import mistakes
from clew.errors import WorkflowError


class Params(BaseModel):
    """Base of a node type's parameters: what a document may say under ``params``."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


_Model: TypeAlias = type[BaseModel]  # inside the class below, `type` is the node's


class NodeType(pocketflow.Node):  # type: ignore[misc]
    """One step: prepare, execute, publish; the result is the action, which names the edge to take.

    A subclass says what it is called, which parameters it takes and which keys it publishes, and implements :meth:`execute`::

        class Shout(NodeType):
            type = "shout"
            outputs = {"text": "What was said, in capitals"}

            class Params(Params):
                text: str

            def execute(self, params: Params) -> dict[str, Any]:
                return {"text": params.text.upper()}

    What it raises fails the node (its retries, fallback and ``error`` edge apply); the message should name the value and the next step.
    Asynchronous users' functions are run to completion inside. A node must not keep state between two executions: it is copied for each.
    """

    type: ClassVar[str]
    Params: ClassVar[_Model] = Params
    outputs: ClassVar[Mapping[str, str]] = {}
    """Published key -> what it holds; empty: not known beforehand, so templates to any key pass the check."""
    verbatim: ClassVar[frozenset[str]] = frozenset()
    """Parameters that are taken as they stand: the templates in them are not this document's to resolve."""
    kind: ClassVar[str] = "other"
    """Kind of the span inside the node's own (``clew.node``) span; "other" makes none."""

    @classmethod
    def load(cls, params: Mapping[str, Any]) -> None:
        """Import what takes long and a node with these parameters will need. Called in a thread of its own when a run begins, while earlier
        nodes work; what it raises, the node itself will raise again."""

    def prep(self, shared: dict[str, Any]) -> Any:
        """The parameters, checked; templates are resolved by then.

        :raises WorkflowError: what a template gave does not fit
        """
        try:
            return self.Params.model_validate(self.params)
        except ValidationError as error:
            told = [f"{written(('params', *mistake.place))}: {mistake.message}" for mistake in mistakes(self.Params, self.params)]
            raise WorkflowError("; ".join(told)) from error

    def exec(self, prep_res: Any) -> Any:
        return self.execute(prep_res)

    def post(self, shared: dict[str, Any], prep_res: Any, exec_res: Any) -> str:
        shared.update(exec_res)
        return self.action(exec_res)

    def execute(self, params: Any) -> dict[str, Any]:
        """The results by key."""
        raise NotImplementedError

    def action(self, results: Mapping[str, Any]) -> str:
        """Which edge to take."""
        return DEFAULT
