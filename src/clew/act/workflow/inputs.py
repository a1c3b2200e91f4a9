"""The inputs of a run: given values checked and converted by what the document declares."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from clew.act.workflow.document import Document, Input
from clew.act.workflow.names import hint
from clew.act.workflow.problem import kind, on_one_line, shown
from clew.errors import DocumentError


def inputs_for(document: Document, given: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
    """A value for every declared input: what is given, converted to its type, else its default, else null where it is not required.

    Texts, as a command line gives them, are read as the declared type: ``5``, ``true``, ``{"a": 1}``; an input of type ``any`` stays a text.

    :param partial: an input that is missing is null and no mistake
    :raises DocumentError: names every input that is unknown, missing or of another type; the value of a secret one is not shown
    """
    problems = [
        f"inputs.{name}: the workflow has no input of that name{f'; {near}' if (near := hint(name, document.inputs)) else '; it has none at all'}"
        for name in given
        if name not in document.inputs
    ]
    values: dict[str, Any] = {}
    for name, declared in document.inputs.items():
        if name in given:
            try:
                values[name] = converted(given[name], declared.type)
            except ValueError:
                found = SECRET if declared.secret else shown(given[name])
                problems.append(f"inputs.{name}: {found} is not usable; expected {WORDS[declared.type]}")
        elif has_default(declared):
            values[name] = declared.default
        elif declared.required and not partial:
            about = f" ({declared.description})" if declared.description else ""
            problems.append(f"inputs.{name}: is missing{about}; give it as {name}=<{WORDS[declared.type]}>")
        else:
            values[name] = None
    if problems:
        raise DocumentError(f"the input of workflow {document.name}", [on_one_line(problem) for problem in problems])
    return values


def has_default(declared: Input) -> bool:
    """Whether the document gives a default; null counts when it is written."""
    return "default" in declared.model_fields_set


def converted(value: Any, type_: str) -> Any:
    """The value as the declared type.

    :raises ValueError: it is none
    """
    return _CONVERSIONS[type_](value)


SECRET: Final = "the value (a secret)"
"""What a message shows of it."""

WORDS: Mapping[str, str] = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping (as JSON)",
    "array": "a list (as JSON)",
    "any": "a value",
}

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(kind(value))
    return value


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(kind(value))
    return value


def _integer(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError("a fraction")
    return int(number)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.strip().lower() not in _TRUTH:
        raise ValueError(kind(value))
    return _TRUTH[value.strip().lower()]


def _structure(type_: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except RecursionError:
                raise ValueError("nested too deeply") from None
        if not isinstance(value, type_):
            raise ValueError(kind(value))
        return value

    return convert


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "object": _structure(dict),
    "array": _structure(list),
    "any": lambda value: value,
}
