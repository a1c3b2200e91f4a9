"""Dashboards of users: a small JSON file each, in ``dashboards/`` of the data directory."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import TypeAdapter, ValidationError

from clew.errors import ClewError, NotFound, QueryError
from clew.model.dashboards import BY_NAME
from clew.model.dashboards.panel import Dashboard, Panel, Question
from clew.observe.query.dashboards.panels import NAME, mistakes, mistakes_of

MOST: Final = 200
"""Dashboards that users may keep."""
LARGEST: Final = 256 << 10
"""Bytes of one, as JSON."""
MOST_TOLD: Final = 8
"""Mistakes that are told at once."""

_DASHBOARD: Final = TypeAdapter(Dashboard)
_PANEL: Final = TypeAdapter(Panel)
_writing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is no dashboard, and why."""

    name: str
    reason: str


def folder(data_dir: Path) -> Path:
    return data_dir / "dashboards"


def names(data_dir: Path) -> list[str]:
    place = folder(data_dir)
    return sorted(file.stem for file in place.glob("*.json") if NAME.fullmatch(file.stem)) if place.is_dir() else []


def find(data_dir: Path, name: str) -> Dashboard:
    """The dashboard of that name: one of ours, else one of the users'.

    :raises NotFound: there is none
    :raises QueryError: its file is no dashboard; says why
    """
    if name in BY_NAME:
        return BY_NAME[name]
    file = folder(data_dir) / f"{name}.json"
    if not NAME.fullmatch(name) or not file.is_file():
        raise NotFound(f"there is no dashboard {name[:80]!r}; GET /api/v1/dashboards lists them")
    try:
        return read(file.read_bytes(), name)
    except QueryError as error:
        raise QueryError(f"{file}: {error}") from None


def own(data_dir: Path) -> Iterator[Dashboard | Unusable]:
    """Those of users, by name."""
    for name in names(data_dir):
        try:
            yield find(data_dir, name)
        except ClewError as error:
            yield Unusable(name, str(error))


def read(data: bytes, name: str) -> Dashboard:
    """A dashboard from its JSON.

    :raises QueryError: it is none; names every mistake
    """
    given = _parsed(data)
    if given.setdefault("name", name) != name:
        raise QueryError(f"the name in the body is {given['name']!r:.80}, that in the address {name!r}; leave it out of the body")
    given.setdefault("about", "")
    made: Dashboard = _made(_DASHBOARD, given)
    _refuse(mistakes(made))
    return made


def read_panel(given: dict[str, Any]) -> Panel:
    """One panel.

    :raises QueryError: it is none; names every mistake
    """
    made: Panel = _made(_PANEL, {"id": "preview", **given})
    _refuse(mistakes_of(made))
    return made


def write(data_dir: Path, dashboard: Dashboard) -> bool:
    """Keeps it, whole or not at all; gives back whether it is new. Durable when this returns.

    :raises QueryError: the name is taken by one of ours, or there are too many
    """
    if dashboard.name in BY_NAME:
        raise QueryError(f"{dashboard.name} is built in and cannot be replaced; keep yours under another name")
    place = folder(data_dir)
    with _writing:
        known = names(data_dir)
        if dashboard.name not in known and len(known) >= MOST:
            raise QueryError(f"there are {MOST} dashboards already; delete one first")
        place.mkdir(mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_DASHBOARD.dump_json(dashboard, indent=2))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(place / f"{dashboard.name}.json")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return dashboard.name not in known


def delete(data_dir: Path, name: str) -> None:
    """
    :raises NotFound: there is none
    :raises QueryError: it is built in
    """
    if name in BY_NAME:
        raise QueryError(f"{name} is built in and cannot be deleted")
    with _writing:
        if name not in names(data_dir):
            raise NotFound(f"there is no dashboard {name[:80]!r}; GET /api/v1/dashboards lists them")
        (folder(data_dir) / f"{name}.json").unlink()


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        given = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(given, dict):
        raise QueryError('the body is no dashboard; it begins {"title": TEXT, "panels": [...]}')
    return given


def _made(adapter: TypeAdapter[Any], given: dict[str, Any]) -> Any:
    try:
        made = adapter.validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        _refuse(_told(error, given))
        raise QueryError(str(error)[:1000]) from None
    _refuse(_unknown("", given, made))
    return made


def _refuse(found: Iterator[str]) -> None:
    said = list(dict.fromkeys(found))
    if said:
        more = f"; and {len(said) - MOST_TOLD} more" if len(said) > MOST_TOLD else ""
        raise QueryError("; ".join(said[:MOST_TOLD]) + more)


def _told(error: ValidationError, given: dict[str, Any]) -> Iterator[str]:
    """Each mistake with its place; of a question only what is said of its own kind."""
    kinds = {
        kind.__name__: str(next(field.default for field in dataclasses.fields(kind) if field.name == "of")) for kind in get_args(Question)
    }
    for one in error.errors(include_url=False):
        place = one["loc"]
        named = next((part for part in place if part in kinds), None)
        if named is not None:
            before = place[: place.index(named)]
            question = _at(given, before)
            of = question.get("of") if isinstance(question, dict) else None
            if of not in kinds.values():
                yield f"{_written(before)}: of is {of!r:.80}; choose from {', '.join(kinds.values())}"
                continue
            if kinds[str(named)] != of:
                continue
            place = (*before, *place[place.index(named) + 1 :])
        yield f"{_written(place)}: {one['msg'][0].lower()}{one['msg'][1:]}"


def _at(given: Any, place: tuple[int | str, ...]) -> Any:
    for part in place:
        given = given[part]
    return given


def _written(place: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _unknown(place: str, given: Any, made: Any) -> Iterator[str]:
    """Names that mean nothing: most likely they are misspelt."""
    if dataclasses.is_dataclass(made) and isinstance(given, dict):
        known = [field.name for field in dataclasses.fields(made)]
        for name, value in given.items():
            if name not in known:
                yield f"{place or 'the body'}: {name[:80]!r} means nothing here; there are {', '.join(known)}"
            else:
                yield from _unknown(f"{place}.{name}".removeprefix("."), value, getattr(made, name))
    elif isinstance(made, tuple) and isinstance(given, list):
        for number, (one, value) in enumerate(zip(made, given, strict=False)):
            yield from _unknown(f"{place}[{number}]", value, one)
