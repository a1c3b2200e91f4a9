"""What the attributes of a span say, whatever the dialect: the tables of dialects.py, read in Python. SQL reads them in observe/store/normalise.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clew.model import attributes as names
from clew.model.dialects import COLUMNS, KIND_MARKS, KIND_SOURCES, PARTS
from clew.model.kinds import Kind

_KEYS: Final[dict[str, tuple[str, ...]]] = {column.keys[0]: column.keys for column in COLUMNS}
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    whole: tuple([next(c.keys[0] for c in COLUMNS if c.name == part) for part in parts])
    for column in COLUMNS
    if (parts := PARTS.get(column.name)) and (whole := column.keys[0])
}


REFUSED: Final = ("refused", "budget_exceeded", "loop_detected")
"""Values of ``error.type`` on a span that a limit did not let start."""

_AS_IT_IS: Final[Mapping[str, str]] = {}


def kind_of(attributes: Mapping[str, Any]) -> Kind:
    """The kind of a span that another instrumentation made."""
    for source in KIND_SOURCES:
        kind = source.values.get(str(attributes.get(source.key, "")).lower())
        if kind is not None:
            return kind
    return next((kind for key, kind in KIND_MARKS.items() if key in attributes), "other")


def value_of(attributes: Mapping[str, Any], name: str, shorter: Mapping[str, str] = _AS_IT_IS) -> Any:
    """The value under an attribute's name, or under another dialect's name for it; None when there is none.

    :param shorter: attribute -> what it stands under in ``attributes``, where that is not its name
    """
    for key in _KEYS.get(name, (name,)):
        value = attributes.get(shorter.get(key, key))
        if value is not None and value != "":
            return value
    return None


def text_of(attributes: Mapping[str, Any], name: str) -> str:
    """The same as text, as the store has it; '' when there is none."""
    value = value_of(attributes, name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def number_of(attributes: Mapping[str, Any], name: str, shorter: Mapping[str, str] = _AS_IT_IS) -> float | None:
    """The same as a number: a count includes its parts."""
    number = _number(value_of(attributes, name, shorter))
    if number is None or name not in _PARTS:
        return number
    parts = sum([_number(value_of(attributes, part, shorter)) or 0 for part in _PARTS[name]])
    return number + parts if parts > number else number


def has_usage(attributes: Mapping[str, Any]) -> bool:
    return number_of(attributes, names.INPUT_TOKENS) is not None or number_of(attributes, names.OUTPUT_TOKENS) is not None


def is_refused(attributes: Mapping[str, Any]) -> bool:
    """Whether a limit did not let the span start: it says so, and that it used nothing. No request was made."""
    return text_of(attributes, names.ERROR_TYPE) in REFUSED and not any(
        number_of(attributes, name) != 0 for name in (names.INPUT_TOKENS, names.OUTPUT_TOKENS)
    )


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
