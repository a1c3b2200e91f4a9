"""The node type ``workflow``: runs another document inside the run."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from clew.act.workflow import check, running, source
from clew.act.workflow.nodes import node


class WorkflowNode(node.NodeType):
    """Runs another workflow and publishes its outputs. Its nodes are recorded, counted and traced with this run, under this node."""

    type = "workflow"
    verbatim = frozenset({"document"})

    class Params(node.Params):
        path: str | None = None
        """File of the workflow; relative to the document's directory."""
        document: dict[str, Any] | None = None
        """The workflow itself, instead of ``path``. Templates in it are its own."""
        inputs: dict[str, Any] = Field(default_factory=dict)
        """Its inputs."""

        @model_validator(mode="after")
        def _one_document(self) -> WorkflowNode.Params:
            if (self.path is None) == (self.document is None):
                raise ValueError("a workflow node has one workflow: give path or document")
            return self

    def execute(self, params: Params) -> dict[str, Any]:
        base = running.base()
        if params.path is not None:
            written = source.read(base / params.path)
            base = (base / params.path).parent
        else:
            assert params.document is not None
            written = source.of(params.document, name="the document of the node")
        return running.run_inside(check.checked(written, running.types()), params.inputs, base=base)
