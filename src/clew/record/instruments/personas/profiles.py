"""Persona profiles: what each persona is for and its default budget, from a file that the user can edit."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from clew import settings
from clew.errors import PersonaError

PACKAGED: Final = Path(__file__).with_name("personas.toml")
FILE: Final = "personas.toml"
"""Name of the user's file in the data directory."""

FIRST: Final = "none"
"""What stands for the persona before the first."""

_NAME: Final = re.compile(r"[^\s/\"'\\]{1,100}")
_WINDOW: Final = re.compile(r"(hour|day|week|month|[1-9]\d*[smhd])?")


@dataclass(frozen=True, slots=True)
class Profile:
    """One persona.

    :ivar tokens: its token budget; None: it has none
    :ivar window: "" each collector and each reported run has its own budget; else one for the machine, by the calendar (``day``) or rolling (``24h``)
    :ivar hard: refuse model calls once the budget is spent
    :ivar source: the file that says so
    """

    name: str
    about: str = ""
    tokens: int | None = None
    window: str = ""
    hard: bool = False
    source: str = ""


_CHECKS: Final[Mapping[str, tuple[Any, str]]] = {
    "about": (lambda value: isinstance(value, str), "a text in quotes"),
    "tokens": (lambda value: type(value) is int and value >= 0, "a whole number of at least 0"),
    "window": (lambda value: isinstance(value, str) and _WINDOW.fullmatch(value), 'one of "", "hour", "day", "week", "month", or a length such as "24h"'),
    "hard": (lambda value: isinstance(value, bool), "true or false"),
}  # fmt: skip


def profiles(data_dir: Path | None = None) -> dict[str, Profile]:
    """Every persona by name: those that Clew comes with, and over them those of the user's file.

    :param data_dir: whose ``personas.toml`` is meant; the setting ``personas`` goes before it
    :raises PersonaError: the user's file cannot be used; names the persona, the key and the value
    """
    found = _read(PACKAGED, {})
    own = own_file(data_dir)
    if own.exists() or settings.get("personas") is not None:
        found = _read(own, found)
    return found


def own_file(data_dir: Path | None = None) -> Path:
    """The user's file, whether or not it is there."""
    named: Path | None = settings.get("personas")
    data: Path = settings.get("data_dir", data_dir)
    return named if named is not None else data / FILE


def profile(name: str, data_dir: Path | None = None) -> Profile:
    """One persona.

    :raises PersonaError: there is none of that name; says which there are and where one is added
    """
    known = profiles(data_dir)
    if name in known:
        return known[name]
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1) or [other for other in known if other.startswith(f"{name}-")][:1]
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise PersonaError(f"there is no persona {name!r}; {hint} A new one is a table in {own_file(data_dir)}")


def _read(path: Path, known: dict[str, Profile]) -> dict[str, Profile]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PersonaError(f"{path} cannot be read: {error.strerror}; create it, or unset CLEW_PERSONAS") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PersonaError(f"{path} is not TOML: {error}") from None
    found = dict(known)
    for name, table in document.items():
        if not isinstance(table, dict):
            raise PersonaError(f"{path}: {name} = {table!r} is not a persona; write [{name}] above its keys")
        if not _NAME.fullmatch(name):
            raise PersonaError(f"{path}: {name!r} cannot be a persona's name; use letters, digits and hyphens")
        for key, value in table.items():
            if key not in _CHECKS:
                raise PersonaError(f"{path}: {name} has a key {key!r}; there are {', '.join(_CHECKS)}")
            fits, expected = _CHECKS[key]
            if not fits(value):
                raise PersonaError(f"{path}: {name}: {key} = {value!r} is not usable; expected {expected}")
        found[name] = replace(found.get(name, Profile(name)), **table, source=str(path))
    return found
