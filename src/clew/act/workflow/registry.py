"""Which node types there are: those of Clew, and those of installed packages (entry points of the group ``clew.nodes``)."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from clew.act.workflow.nodes.node import NodeType

GROUP: Final = "clew.nodes"
"""Entry point group; the name of an entry point is the type, its object a subclass of NodeType."""

BUILT_IN: Final[dict[str, str]] = {
    "llm": "clew.act.workflow.nodes.llm:LlmNode",
    "shell": "clew.act.workflow.nodes.shell:ShellNode",
    "python": "clew.act.workflow.nodes.python:PythonNode",
    "http": "clew.act.workflow.nodes.http:HttpNode",
    "read_file": "clew.act.workflow.nodes.files:ReadFileNode",
    "write_file": "clew.act.workflow.nodes.files:WriteFileNode",
    "git": "clew.act.workflow.nodes.git:GitNode",
    "gate": "clew.act.workflow.nodes.gate:GateNode",
    "workflow": "clew.act.workflow.nodes.subworkflow:WorkflowNode",
}
"""Type -> where its class is."""


class NodeTypeWarning(UserWarning):
    """A third-party node type that cannot be used; the others can."""


def node_types() -> dict[str, type[NodeType]]:
    """Type -> class, built-in types first. A third-party type that does not load, is no node type, or takes a name that is taken is left
    out with a :class:`NodeTypeWarning` that names it."""
    types = {name: _built_in(place) for name, place in BUILT_IN.items()}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _distribution(entry))):
        complaint = _taken(entry, types) or _load(entry, types)
        if complaint:
            warnings.warn(f"node type {entry.name!r} of {_distribution(entry)} is left out: {complaint}", NodeTypeWarning, stacklevel=2)
    return types


def _built_in(place: str) -> type[NodeType]:
    module, _, name = place.partition(":")
    found: type[NodeType] = getattr(import_module(module), name)
    return found


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value


def _taken(entry: EntryPoint, types: dict[str, type[NodeType]]) -> str | None:
    if entry.name not in types:
        return None
    owner = "Clew" if entry.name in BUILT_IN else f"{types[entry.name].__module__}"
    return f"{owner} has a type of that name"


def _load(entry: EntryPoint, types: dict[str, type[NodeType]]) -> str | None:
    """Adds the type; or says what is wrong with it."""
    try:
        found = entry.load()
    except Exception as error:  # whatever somebody else's module raises costs that module alone
        return f"{entry.value} does not load: {type(error).__name__}: {error}"
    if not (isinstance(found, type) and issubclass(found, NodeType)):
        return f"{entry.value} is no subclass of NodeType"
    if found.execute is NodeType.execute and found.exec is NodeType.exec:
        return f"{entry.value} does not implement execute()"
    types[entry.name] = found
    return None
