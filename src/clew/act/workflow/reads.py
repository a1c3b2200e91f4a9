"""Mistakes in what templates read: nodes, inputs and keys that are not there, and nodes that cannot have run before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from clew.act.workflow.document import ERROR
from clew.act.workflow.draft import Draft, DraftNode
from clew.act.workflow.flow import Flow
from clew.act.workflow.names import hint, nearest
from clew.act.workflow.problem import Place, shown
from clew.act.workflow.shape import Mistake
from clew.act.workflow.templates import Malformed, Reference, parse, texts

RUN_KEYS = ("calls", "tokens", "input_tokens", "output_tokens", "cost_usd", "partial_cost_usd", "unpriced_models")
"""What ``${run...}`` holds: see :func:`clew.act.workflow.metrics.run_figures`."""
BATCH_KEYS = ("results", "count", "failed")
ERROR_KEYS = ("error", "error_type")
"""What a failed node holds whose ``error`` edge was taken."""
FLAT = ("string", "number", "integer", "boolean")
"""Types of inputs that have nothing inside."""

Publishes = Callable[[DraftNode], Collection[str] | None]
"""The keys that a node publishes; None: any."""
Verbatim = Callable[[str | None], Collection[str]]
"""The parameters of a type that are taken as they stand."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Where a template stands: what it may read there."""

    node: DraftNode | None
    """None for the document's outputs."""
    item: str | None
    """What the batch's item is called there; None outside of a batch."""
    type: str | None


def mistakes(draft: Draft, flow: Flow, publishes: Publishes, verbatim: Verbatim) -> Iterator[Mistake]:
    """Every mistake in the templates of parameters, fallbacks, batches' items, and outputs."""
    reads = _Reads(draft, flow, publishes)
    for node in draft.nodes:
        params = {name: value for name, value in node.params.items() if name not in verbatim(node.type)}
        yield from reads.value((*node.place, "params"), params, _Reader(node, node.item_name, node.type))
        yield from reads.value((*node.place, "fallback"), node.fallback, _Reader(node, node.item_name, node.type))
        if node.batch is not None:
            yield from _batch(node, flow.ids)
            yield from reads.value((*node.place, "batch", "items"), node.batch.get("items"), _Reader(node, None, node.type))
    for name, output in draft.outputs.items():
        short = not isinstance(output, dict)
        value = output if short else output.get("value")
        yield from reads.value(("outputs", name) if short else ("outputs", name, "value"), value, _Reader(None, None, None))


def _batch(node: DraftNode, ids: Collection[str]) -> Iterator[Mistake]:
    name = node.item_name
    if name in ("inputs", "run", "index") or name in ids:
        what = "a node" if name not in ("inputs", "run", "index") else "something else"
        yield Mistake((*node.place, "batch", "as"), f"{name} means {what} already; choose another name for the item")
    items = (node.batch or {}).get("items", [])
    is_template = isinstance(items, str) and len(pieces := parse(items)) == 1 and not isinstance(pieces[0], str)
    if not isinstance(items, list) and not is_template:
        yield Mistake((*node.place, "batch", "items"), f"{shown(items)} is not usable; expected a list, or one template of a list")


class _Reads:
    def __init__(self, draft: Draft, flow: Flow, publishes: Publishes) -> None:
        self._draft, self._flow, self._publishes = draft, flow, publishes
        self._nodes = {node.id: node for node in draft.nodes}
        self._caught = {edge.source for edge in draft.edges if edge.action == ERROR}
        self._unreached = set(flow.unreached())

    def value(self, place: Place, value: Any, reader: _Reader) -> Iterator[Mistake]:
        for inner, text in texts(value):
            for piece in parse(text):
                if isinstance(piece, Malformed):
                    yield Mistake((*place, *inner), piece.message + _shell(reader))
                elif isinstance(piece, Reference):
                    found = self._reference(piece, reader)
                    if found is not None:
                        yield Mistake((*place, *inner), f"{piece.text}: {found[0]}", found[1])
        yield from self._keys(place, value)

    def _keys(self, place: Place, value: Any) -> Iterator[Mistake]:
        if isinstance(value, dict):
            for key, item in value.items():
                if "${" in key:
                    yield Mistake((*place, key), f"templates are not resolved in keys, as in {shown(key)}; write the key out")
                yield from self._keys((*place, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._keys((*place, index), item)

    def _reference(self, reference: Reference, reader: _Reader) -> tuple[str, str | None] | None:
        """What is wrong with a template, and the nearest name."""
        root = reference.root
        if reader.item is not None and root in (reader.item, "index"):
            return None
        if root == "inputs":
            return self._input(reference)
        if root == "run":
            return _first_step(reference, RUN_KEYS, "run")
        if root in self._nodes:
            return self._node(reference, self._nodes[root], reader)
        if root in ("item", "index"):
            return (
                f"{root} is there only in the parameters of a batch node{f', where it is called {reader.item}' if reader.item else ''}",
                None,
            )
        if root in self._draft.inputs:
            return f"there is no node {root}; did you mean ${{inputs.{root}}}?", f"inputs.{root}"
        names = [*self._nodes, "inputs", "run", *([reader.item, "index"] if reader.item else [])]
        near = nearest(root, names)
        return f"there is no node {root}; {hint(root, names, 'there')}{_shell(reader) if near is None else ''}", near

    def _input(self, reference: Reference) -> tuple[str, str | None] | None:
        if reference.path and not self._draft.inputs:
            return f"the document declares no inputs; add {reference.path[0]} to them", None
        wrong = _first_step(reference, self._draft.inputs, "the document's inputs")
        if wrong is not None or len(reference.path) < 2:
            return wrong
        name = reference.path[0]
        type_ = self._draft.inputs[name].get("type")
        if type_ in FLAT:
            return f"the input {name} is of type {type_}, so there is no {reference.path[1]} in it", None
        return None

    def _node(self, reference: Reference, node: DraftNode, reader: _Reader) -> tuple[str, str | None] | None:
        if (
            reader.node is not None
            and node.id not in self._unreached
            and reader.node.id not in self._unreached
            and not self._flow.can_precede(node.id, reader.node.id)
        ):
            if node.id == reader.node.id:
                return "a node cannot read what it is about to publish", None
            return (
                f"{node.id} can never have run before {reader.node.id}: no way leads from it to there; add an edge, or read another node",
                None,
            )
        if not reference.path:
            return None
        step = reference.path[0]
        if step in ERROR_KEYS and node.id not in self._caught:
            if (published := self._known(node)) is None or step in published:
                return None
            return f"{node.id} has no edge with action error, so the run ends when it fails; add one, or read another key", None
        known = self._known(node)
        return None if known is None else _first_step(reference, known, node.id)

    def _known(self, node: DraftNode) -> list[str] | None:
        keys = BATCH_KEYS if node.batch is not None else self._publishes(node)
        if keys is None:
            return None
        return [*keys, *node.fallback, *(ERROR_KEYS if node.id in self._caught else ())]


def _first_step(reference: Reference, known: Collection[str], what: str) -> tuple[str, str | None] | None:
    if not reference.path or reference.path[0] in known:
        return None
    step = reference.path[0]
    verb = "have" if what.endswith("inputs") else "has"
    return f"{what} {verb} no {step}; {hint(step, known, 'there')}", nearest(step, known)


def _shell(reader: _Reader) -> str:
    return "; a variable of the shell is written $NAME, or $${NAME} with braces" if reader.type == "shell" else ""
