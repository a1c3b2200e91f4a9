"""What pydantic finds wrong with a value, in plain words."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from clew.act.workflow.names import hint, nearest
from clew.act.workflow.problem import Place, kind, shown
from clew.act.workflow.templates import is_templated


class Mistake(NamedTuple):
    """One mistake, at a place relative to what was checked."""

    place: Place
    message: str
    nearest: str | None = None
    """The valid name that was probably meant."""


def mistakes(model: type[BaseModel], value: Any, *, templated: bool = False) -> list[Mistake]:
    """Every mistake in a value that should be one of ``model``, by aliases alone. Never raises.

    :param templated: templates may stand in it: what a template's value would be is decided at run time, so it is no mistake yet
    """
    try:
        model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        return _told(model, value, error.errors(include_url=False), templated)
    except RecursionError:
        return [Mistake((), "is nested too deeply")]
    except Exception as error:  # a validator of somebody else's node type
        return [Mistake((), f"cannot be checked: {type(error).__name__}: {error}")]
    return []


def unknown_key(key: str, known: Collection[str]) -> str:
    """The message about a key that is not known."""
    near = hint(key, known)
    return f"unknown key {key}{f'; {near}' if near else '; it takes none'}"


def _told(model: type[BaseModel], value: Any, errors: Sequence[Mapping[str, Any]], templated: bool) -> list[Mistake]:
    told: list[Mistake] = []
    expected: dict[Place, tuple[Any, list[str]]] = {}
    for error in errors:
        loc, type_ = error["loc"], error["type"]
        place = _place(value, loc)
        at = _at(value, place)
        if type_ == "extra_forbidden":
            key = str(loc[-1])
            known = sorted(_keys(model, loc[:-1]))
            told.append(Mistake(place, unknown_key(key, known), nearest(key, known)))
        elif type_ == "missing":
            told.append(Mistake((*place, str(loc[-1])), f"{loc[-1]} is missing; add it"))
        elif type_ in ("value_error", "assertion_error"):
            said = str(error["ctx"]["error"])
            if not place:
                told.append(Mistake(place, said))
            elif not (templated and is_templated(at)):
                told.append(Mistake(place, f"{shown(error['input'])} is not usable: {said}"))
        elif not (templated and is_templated(at)):
            expected.setdefault(place, (error["input"], []))[1].append(_expected(error))
    told = [mistake for mistake in told if not _is_typo(mistake, told)]
    for place, (found, phrases) in expected.items():
        if not any(mistake.place[: len(place)] == place for mistake in told if len(mistake.place) > len(place)) and not any(
            other[: len(place)] == place for other in expected if len(other) > len(place)
        ):
            unresolved = (
                "" if templated or not is_templated(found) else "; templates are resolved in params, fallback, batch.items and outputs"
            )
            told.append(Mistake(place, f"{_found(found)} is not usable; expected {' or '.join(dict.fromkeys(phrases))}{unresolved}"))
    return told


def _is_typo(missing: Mistake, told: Sequence[Mistake]) -> bool:
    """Whether a missing key is there under a mistaken name, which is told already."""
    return missing.nearest is None and any(
        other.nearest == missing.place[-1] and other.place[:-1] == missing.place[:-1] for other in told if missing.place and other.nearest
    )


def _found(value: Any) -> str:
    return kind(value) if value is None or isinstance(value, (dict, list)) else shown(value)


def _place(value: Any, loc: Sequence[str | int]) -> Place:
    """The part of pydantic's location that leads through the value; names of union members and ``[key]`` do not."""
    place: list[str | int] = []
    for step in loc:
        if step in value if isinstance(value, dict) else isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            place.append(step)
    return tuple(place)


def _at(value: Any, place: Place) -> Any:
    for step in place:
        value = value[step]
    return value


def _keys(annotation: Any, loc: Sequence[str | int]) -> set[str]:
    """The keys that a model takes at a location."""
    return {field.alias or name for model in _models(annotation, loc) for name, field in model.model_fields.items()}


def _models(annotation: Any, loc: Sequence[str | int]) -> Iterator[type[BaseModel]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _models(arguments[0], loc)
    elif origin in (Union, types.UnionType):
        inside = [argument for argument in arguments if loc and getattr(argument, "__name__", None) == loc[0]]
        for argument in inside or arguments:
            yield from _models(argument, loc[1:] if inside else loc)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            yield annotation
        for name, field in annotation.model_fields.items():
            if loc and loc[0] == (field.alias or name):
                yield from _models(field.annotation, loc[1:])
    elif loc and arguments:
        yield from _models(arguments[-1], loc[1:])


_Context = Mapping[str, Any]

_TYPES: Mapping[str, str] = {
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "none_required": "nothing",
    "string_unicode": "a text of whole characters",
}

_LIMITS: Mapping[str, Callable[[_Context], str]] = {
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"at least {context['ge']:g}",
    "less_than": lambda context: f"less than {context['lt']:g}",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
    "multiple_of": lambda context: f"a multiple of {context['multiple_of']:g}",
    "literal_error": lambda context: f"{context['expected']}".replace("'", ""),
    "enum": lambda context: f"{context['expected']}".replace("'", ""),
    "string_too_short": lambda context: f"a text of at least {_plural(context['min_length'], 'character')}",
    "string_too_long": lambda context: f"a text of at most {_plural(context['max_length'], 'character')}",
    "too_short": lambda context: f"at least {_plural(context['min_length'], 'item')}",
    "too_long": lambda context: f"at most {_plural(context['max_length'], 'item')}",
}

ID_WORDS = "a name of letters, digits, _ and - that does not begin with a digit or -"
_PATTERNS: Mapping[str, str] = {r"^[A-Za-z_][A-Za-z0-9_-]*$": ID_WORDS}


def _expected(error: Mapping[str, Any]) -> str:
    type_, context = error["type"], error.get("ctx", {})
    if type_ in _TYPES:
        return _TYPES[type_]
    if type_ in _LIMITS:
        return _LIMITS[type_](context)
    if type_ == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"a text like {context['pattern']}")
    return str(error["msg"]).removeprefix("Input should be ").removeprefix("Value should be ")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
