"""A workflow as a Mermaid flowchart, which GitHub, editors and the web UI draw."""

from __future__ import annotations

from clew.act.workflow.document import DEFAULT, ERROR, Document, Node
from clew.act.workflow.draft import SUB_WORKFLOW

_SHAPES = {
    # shape: what stands before and after the label
    "node": ("[", "]"),
    "batch": ("[[", "]]"),
    "workflow": ("[/", "/]"),
}
_LONGEST = 80
_ENTITIES = str.maketrans({character: f"#{ord(character)};" for character in '"#&<>`\\{}[]()|*_~;'})


def mermaid(document: Document) -> str:
    """The flowchart's text: a box for each node with its id and type, an arrow for each edge with its action.

    A node that runs for each item of a list is a box with double sides and says of what; a sub-workflow is slanted and names its document.
    Edges with action ``error`` are dotted.
    """
    names = {node.id: f"n{number}" for number, node in enumerate(document.nodes)}
    start = names[document.start if document.start is not None else document.nodes[0].id]
    lines = ["flowchart TD", f'    start(["{_label(document.name)}"]) --> {start}']
    for node in document.nodes:
        before, after = _SHAPES["batch" if node.batch is not None else "workflow" if node.type == SUB_WORKFLOW else "node"]
        lines.append(f'    {names[node.id]}{before}"{"<br/>".join(_label(text) for text in _texts(node))}"{after}')
    for edge in document.edges:
        arrow = "-.->" if edge.action == ERROR else "-->"
        action = "" if edge.action == DEFAULT else f'|"{_label(edge.action)}"|'
        lines.append(f"    {names[edge.source]} {arrow}{action} {names[edge.target]}")
    return "\n".join(lines) + "\n"


def _texts(node: Node) -> list[str]:
    texts = [node.id, node.type]
    if node.type == SUB_WORKFLOW:
        inline = node.params.get("document")
        runs = inline.get("name", "") if isinstance(inline, dict) else node.params.get("path", "")
        texts[-1] = f"{node.type} {runs}".strip()
    if node.batch is not None:
        items = node.batch.items
        of = items if isinstance(items, str) else f"{len(items)} items" if isinstance(items, list) else "a list"
        texts.append(f"for each of {of}" + (f", {node.batch.parallel} at once" if node.batch.parallel > 1 else ""))
    return texts


def _label(text: str) -> str:
    """A text inside Mermaid's quotes: on one line, and every character that could end the quotes or be read as markup as its entity."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…").translate(_ENTITIES)
