"""What can be made out of a document that may have mistakes: the parts that are sound enough to check further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clew.act.workflow.document import DEFAULT
from clew.act.workflow.problem import Place

SUB_WORKFLOW: Final = "workflow"
"""The node type that runs another document: ``path`` (from the document's own directory) or ``document``, and ``inputs``."""
RESERVED: Final = ("inputs", "run", "item", "index")
"""Roots of templates that are no nodes; no node may be called so."""


@dataclass(frozen=True, slots=True)
class DraftNode:
    """A node that has an id; everything else is as it stands in the document."""

    place: Place
    id: str
    type: str | None
    params: dict[str, Any]
    batch: dict[str, Any] | None
    fallback: dict[str, Any]

    @property
    def item_name(self) -> str | None:
        """What its templates call the batch's item; None without a batch."""
        if self.batch is None:
            return None
        name = self.batch.get("as", "item")
        return name if isinstance(name, str) else "item"


@dataclass(frozen=True, slots=True)
class DraftEdge:
    """An edge that names both its ends."""

    place: Place
    source: str
    target: str
    action: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A document as far as it can be made out."""

    nodes: tuple[DraftNode, ...]
    """In order; those with an id, of several with the same only the first."""
    twins: tuple[tuple[DraftNode, DraftNode], ...]
    """A later node and the first with its id."""
    edges: tuple[DraftEdge, ...]
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any]
    start: str | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Draft:
        nodes: dict[str, DraftNode] = {}
        twins = []
        for index, node in enumerate(_list(data.get("nodes"))):
            if not isinstance(node, dict) or not isinstance(id_ := node.get("id"), str):
                continue
            type_, batch = node.get("type"), node.get("batch")
            draft = DraftNode(
                ("nodes", index),
                id_,
                type_ if isinstance(type_, str) else None,
                _dict(node.get("params")),
                batch if isinstance(batch, dict) else None,
                _dict(node.get("fallback")),
            )
            if id_ in nodes:
                twins.append((draft, nodes[id_]))
            else:
                nodes[id_] = draft
        edges = [
            DraftEdge(("edges", index), edge["from"], edge["to"], action)
            for index, edge in enumerate(_list(data.get("edges")))
            if isinstance(edge, dict)
            and isinstance(edge.get("from"), str)
            and isinstance(edge.get("to"), str)
            and isinstance(action := edge.get("action", DEFAULT), str)
        ]
        start = data.get("start")
        return cls(
            tuple(nodes.values()),
            tuple(twins),
            tuple(edges),
            {name: _dict(input_) for name, input_ in _dict(data.get("inputs")).items()},
            _dict(data.get("outputs")),
            start if isinstance(start, str) else None,
        )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
