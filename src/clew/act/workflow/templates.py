"""Templates: ``${node.key.path}`` in the values of a document.

The root is a node's id, ``inputs``, ``run``, or in a batch the item's name and ``index``; the steps after it are keys or list indexes
(``${a.items.0}`` or ``${a.items[0]}``, ``-1`` is the last). A value that is one template and nothing else keeps the type of what it
becomes; inside a longer text a text goes in as it is, any other value as compact JSON. ``$${`` is a literal ``${``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from clew.act.workflow.names import hint, listed, nearest
from clew.act.workflow.problem import Place, kind
from clew.errors import TemplateError

Note: TypeAlias = Callable[[str, str, Any], None]
"""Is told of each template: the parameter's path, the template, and what it became."""

_PIECE = re.compile(r"(?P<escape>\$\$\{)|\$\{(?P<inside>[^{}]*)(?P<end>\}?)")
_REFERENCE = re.compile(r"(?P<root>[A-Za-z_][A-Za-z0-9_-]*)(?P<path>(?:\.[^\s.\[\]{}$\"']+|\[-?[0-9]+\])*)")
_STEP = re.compile(r"\.([^.\[]+)|\[(-?[0-9]+)\]")
_INDEX = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One template."""

    text: str
    """As it stands in the document, ``${node.key.0}``."""
    root: str
    path: tuple[str, ...]
    """The steps after the root, indexes as text."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """What begins like a template and is none."""

    text: str

    @property
    def message(self) -> str:
        return f"{self.text} is not a template; write ${{node.key}} or ${{inputs.name}}, or $${{ for a literal ${{"


Piece: TypeAlias = str | Reference | Malformed


@lru_cache(maxsize=2048)
def parse(text: str) -> tuple[Piece, ...]:
    """The literal texts and templates of a text, in order; neighbouring literals are joined. Never raises."""
    pieces: list[Piece] = []
    literal, end = "", 0
    for match in _PIECE.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        if match["escape"]:
            literal += "${"
            continue
        if literal:
            pieces.append(literal)
            literal = ""
        found = _REFERENCE.fullmatch(match["inside"]) if match["end"] else None
        if found is None:
            pieces.append(Malformed(match[0] if len(match[0]) <= 60 else match[0][:59] + "…"))
        else:
            path = tuple(key or index for key, index in _STEP.findall(found["path"]))
            pieces.append(Reference(match[0], found["root"], path))
    literal += text[end:]
    return (*pieces, literal) if literal else tuple(pieces)


def escaped(text: str) -> str:
    """The text with every ``${`` as ``$${``, so that resolving gives it back unchanged."""
    return text.replace("${", "$${")


def texts(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text in a value that may hold a template, with its place in it; keys of mappings do not count."""
    if isinstance(value, str):
        if "${" in value:
            yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*place, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from texts(item, (*place, index))


def references(value: Any) -> list[Reference]:
    """Every well-formed template in a value, in order."""
    return [piece for _, text in texts(value) for piece in parse(text) if isinstance(piece, Reference)]


def is_templated(value: Any) -> bool:
    """Whether the value is or holds a template, so that what it becomes is known only at run time."""
    return any(not isinstance(piece, str) for _, text in texts(value) for piece in parse(text))


def resolve(value: Any, scope: Mapping[str, Any], note: Note | None = None) -> Any:
    """The value with its templates replaced by what ``scope`` holds. Where nothing is templated the same object comes back.

    What a whole-value template becomes is the very object in the scope, not a copy.

    :param note: is called for each template, in order, with the path of its parameter, such as ``headers.accept`` or ``args[0]``
    :raises TemplateError: a template names what is not there, or is malformed
    """
    return _resolve(value, scope, note, "")


def _resolve(value: Any, scope: Mapping[str, Any], note: Note | None, place: str) -> Any:
    if isinstance(value, str):
        return _text(value, scope, note, place) if "${" in value else value
    changed: Any = None
    if isinstance(value, dict):
        for key, item in value.items():
            new = _resolve(item, scope, note, (f"{place}.{key}" if place else str(key)) if note else "")
            if new is not item:
                if changed is None:
                    changed = dict(value)
                changed[key] = new
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            new = _resolve(item, scope, note, f"{place}[{index}]" if note else "")
            if new is not item:
                if changed is None:
                    changed = list(value)
                changed[index] = new
    return value if changed is None else changed


def _text(text: str, scope: Mapping[str, Any], note: Note | None, place: str) -> Any:
    parts: list[Any] = []
    pieces = parse(text)
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        if isinstance(piece, Malformed):
            raise TemplateError(piece.message)
        found = look_up(piece, scope)
        if note is not None:
            note(place, piece.text, found)
        if len(pieces) == 1:
            return found
        parts.append(found if isinstance(found, str) else _compact(found))
    return "".join(parts)


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    except (TypeError, ValueError):  # keys that JSON does not have, a value that holds itself
        return str(value)


def look_up(reference: Reference, scope: Mapping[str, Any]) -> Any:
    """What the template stands for.

    :raises TemplateError: names the template, the deepest part of it that exists, and what is there instead
    """
    try:
        value = scope[reference.root]
    except KeyError:
        near = hint(reference.root, scope, "there")
        raise TemplateError(f"{reference.text}: there is no {reference.root}{f'; {near}' if near else ''}") from None
    for depth, step in enumerate(reference.path):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, (list, tuple)) and _INDEX.fullmatch(step) and -len(value) <= int(step) < len(value):
            value = value[int(step)]
        else:
            raise TemplateError(f"{reference.text}: {_missing(value, '.'.join((reference.root, *reference.path[:depth])), step)}")
    return value


def _missing(value: Any, name: str, step: str) -> str:
    if isinstance(value, Mapping):
        keys = [str(key) for key in value]
        near = nearest(step, keys)
        there = f"its keys are {listed(keys)}{f'; did you mean {near}?' if near else ''}" if keys else "it is empty"
        return f"{name} has no {step}; {there}"
    if isinstance(value, (list, tuple)):
        return f"{name} is a list of {len(value)}; {step} is not one of its indexes{f' (0 to {len(value) - 1})' if value else ''}"
    return f"{name} is {kind(value)}, so there is no {step} in it; read ${{{name}}} as a whole"
