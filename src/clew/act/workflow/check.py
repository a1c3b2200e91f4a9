"""Checks a workflow document: every mistake at once, each with its place, line, value and the nearest valid name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from clew.act.workflow import flow as connections
from clew.act.workflow import reads, shape
from clew.act.workflow import source as sources
from clew.act.workflow.document import Document
from clew.act.workflow.draft import SUB_WORKFLOW, Draft, DraftNode
from clew.act.workflow.flow import Flow
from clew.act.workflow.inputs import SECRET, WORDS, converted
from clew.act.workflow.names import hint, nearest
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.problem import Place, Problem, on_one_line, shown, written
from clew.act.workflow.shape import Mistake
from clew.act.workflow.source import Source
from clew.act.workflow.templates import is_templated
from clew.errors import DocumentError

DEEPEST: Final = 20
"""Sub-workflows inside one another."""

Types: TypeAlias = Mapping[str, type[NodeType]]


def problems(source: Source, types: Types) -> list[Problem]:
    """Every mistake in a document and in the sub-workflows that it names, in the order of the lines; empty: it can be run.

    A template's value is known only at run time, so types, patterns and paths of templated values are not checked. Never raises.
    """
    check = _Check(types)
    check.document(source, (), (source.path.resolve(),) if source.path is not None else ())
    own, others = ([problem for problem in check.found if (problem.file is None) is mine] for mine in (True, False))
    return sorted(dict.fromkeys(own), key=lambda problem: problem.line or 0) + list(dict.fromkeys(others))


def checked(source: Source, types: Types) -> Document:
    """The document, without a mistake.

    :raises DocumentError: names every mistake
    """
    found = problems(source, types)
    if found:
        raise DocumentError(source.name, [str(problem) for problem in found])
    return Document.model_validate(source.data, by_alias=True, by_name=False)


class _Check:
    """One check, sub-workflows included; each file is checked once."""

    def __init__(self, types: Types) -> None:
        self.types = types
        self.found: list[Problem] = []
        self._outputs: dict[Path, Collection[str] | None] = {}

    def document(self, source: Source, prefix: Place, chain: tuple[Path, ...], file: str | None = None, data: Any = None) -> Draft:
        """Checks the document of ``source``, or ``data``, which stands at ``prefix`` in it; ``chain``: the files that lead here."""
        if not prefix:
            self.found += [Problem(fault.place, fault.message, fault.line, file, fault.nearest) for fault in source.faults]

        def tell(mistakes: Iterator[Mistake] | list[Mistake], under: Place = ()) -> None:
            for mistake in mistakes:
                place = (*prefix, *under, *mistake.place)
                self.found.append(Problem(written(place), on_one_line(mistake.message), source.line(place), file, mistake.nearest))

        data = source.data if data is None else data
        tell(shape.mistakes(Document, data))
        draft = Draft.of(data if isinstance(data, dict) else {})
        tell(_defaults(draft))
        published: dict[str, Collection[str] | None] = {}
        for node in draft.nodes + tuple(twin for twin, _ in draft.twins):
            tell(self._type(node))
            tell(self._params(node), (*node.place, "params"))
            if node.type == SUB_WORKFLOW and SUB_WORKFLOW in self.types:
                published[node.id] = self._sub_workflow(node, source, prefix, chain, file, tell)
        flow = Flow.of(draft)
        tell(connections.mistakes(draft, flow, self._chooses))

        def publishes(node: DraftNode) -> Collection[str] | None:
            return published[node.id] if node.id in published else self._publishes(node.type)

        tell(reads.mistakes(draft, flow, publishes, self._verbatim))
        return draft

    def _type(self, node: DraftNode) -> Iterator[Mistake]:
        if node.type is not None and node.type not in self.types:
            near = hint(node.type, self.types)
            yield Mistake((*node.place, "type"), f"there is no node type {shown(node.type)}; {near}", nearest(node.type, self.types))

    def _params(self, node: DraftNode) -> list[Mistake]:
        type_ = self.types.get(node.type or "")
        if type_ is None:
            return []
        found = shape.mistakes(type_.Params, node.params, templated=True)
        if node.type == SUB_WORKFLOW:  # what is inside the document is checked as a document
            found = [mistake for mistake in found if mistake.place[:1] != ("document",) or len(mistake.place) == 1]
        return found

    def _chooses(self, type_: str | None) -> bool:
        """Whether nodes of a type may end with actions of their own."""
        class_ = self.types.get(type_ or "")
        return class_ is None or class_.action is not NodeType.action or class_.post is not NodeType.post

    def _verbatim(self, type_: str | None) -> Collection[str]:
        class_ = self.types.get(type_ or "")
        return class_.verbatim if class_ is not None else ()

    def _publishes(self, type_: str | None) -> Collection[str] | None:
        class_ = self.types.get(type_ or "")
        return (class_.outputs or None) if class_ is not None else None

    def _sub_workflow(
        self,
        node: DraftNode,
        source: Source,
        prefix: Place,
        chain: tuple[Path, ...],
        file: str | None,
        tell: Callable[[list[Mistake], Place], None],
    ) -> Collection[str] | None:
        """Checks what the node runs; the keys that it publishes, None when they are not known."""
        path, inline = node.params.get("path"), node.params.get("document")
        inside = (*node.place, "params")
        child: Draft | None = None
        outputs: Collection[str] | None = None
        if isinstance(inline, dict):
            child = self.document(source, (*prefix, *inside, "document"), chain, file, inline)
            outputs = _outputs(child)
        elif isinstance(path, str) and not is_templated(path):
            target = source.base / path
            try:
                loop = (resolved := target.resolve()) in chain
            except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, links in a circle
                tell([Mistake(("path",), f"{shown(path)} is no path: {error}")], inside)
                return None
            if loop or len(chain) > DEEPEST:
                way = " → ".join(step.name for step in [*chain[chain.index(resolved) :], resolved]) if loop else f"{len(chain)} files deep"
                tell([Mistake(("path",), f"a workflow cannot run itself ({way}); make the repetition a loop of edges")], inside)
                return None
            try:
                found = sources.read(target)
            except DocumentError as error:
                said = "; ".join(error.problems)
                tell([Mistake(("path",), f"{shown(path)}: {said}")], inside)
                return None
            if resolved in self._outputs:
                child = Draft.of(found.data)
            else:
                self._outputs[resolved] = None
                child = self.document(found, (), (*chain, resolved), str(target))
            outputs = self._outputs[resolved] = _outputs(child)
        if child is not None:
            tell(list(_given(node, child)), inside)
        return outputs


def _outputs(child: Draft) -> Collection[str] | None:
    return child.outputs.keys() or None


def _defaults(draft: Draft) -> Iterator[Mistake]:
    for name, declared in draft.inputs.items():
        default, type_ = declared.get("default"), declared.get("type", "any")
        if default is not None and isinstance(type_, str) and type_ in WORDS and not _fits(default, type_):
            found = SECRET if declared.get("secret") is True else shown(default)
            yield Mistake(("inputs", name, "default"), f"{found} is not usable; expected {WORDS[type_]}, the type of the input")


def _fits(value: Any, type_: str) -> bool:
    if isinstance(value, str) and type_ not in ("string", "any"):
        return False
    try:
        converted(value, type_)
    except (ValueError, OverflowError):
        return False
    return True


def _given(node: DraftNode, child: Draft) -> Iterator[Mistake]:
    """Mistakes in the inputs that a node gives to its sub-workflow."""
    given = node.params.get("inputs", {})
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        if name not in child.inputs:
            near = hint(name, child.inputs)
            yield Mistake(
                ("inputs", name),
                f"the sub-workflow has no input {shown(name)}{f'; {near}' if near else '; it has none at all'}",
                nearest(name, child.inputs),
            )
            continue
        type_ = child.inputs[name].get("type", "any")
        if isinstance(type_, str) and type_ in WORDS and not is_templated(value):
            try:
                converted(value, type_)
            except (ValueError, OverflowError):
                found = SECRET if child.inputs[name].get("secret") is True else shown(value)
                yield Mistake(("inputs", name), f"{found} is not usable; expected {WORDS[type_]}, the type of the sub-workflow's input")
    probably = {nearest(name, child.inputs) for name in given if name not in child.inputs}
    for name, declared in child.inputs.items():
        if name not in given and name not in probably and declared.get("required", True) is True and "default" not in declared:
            yield Mistake(
                ("inputs",),
                f"the sub-workflow needs the input {name}; add {name}: <{WORDS.get(str(declared.get('type', 'any')), 'a value')}>",
            )
