"""Limits of what one record holds. What is beyond is left out or cut, as OpenTelemetry's own limits do: counted, and named on the record.

The lists that have a limit follow from the declared messages (otlp.py), and so does what tells cheaply that no list can be too long: each
element of a list has the list's tag before it, so that a body with few such bytes has no long list. Most bodies are not looked at further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from clew.model import attributes as names
from clew.wire.otlp import MESSAGES, Field, Signal


class Limits(NamedTuple):
    """Most of each in one record."""

    attributes: int
    """Of one span, event, link, log record, point, exemplar, resource or scope."""
    events: int
    links: int
    value_bytes: int
    """Of one text or one value, in UTF-8."""


MARKS = {"attributes": names.CUT_ATTRIBUTES, "events": names.CUT_EVENTS, "links": names.CUT_LINKS}
"""The attribute that says on a record how many were left out."""

_OBJECT = ord("{")
"""What stands before each element in JSON."""

_REPEATED = {field.name for fields in MESSAGES.values() for field in fields if field.label == "repeated"}

Spell = Callable[[str], str]
"""Makes a field's name that of the encoding."""


class _List(NamedTuple):
    """A list with a limit: the fields that lead from the request to the messages that hold it, and itself."""

    path: tuple[str, ...]
    holder: str
    field: Field
    limit: str

    @property
    def tag(self) -> int:
        """The byte that stands before each element in protobuf. No such field has a number above 15, whose tag would be longer."""
        return self.field.number << 3 | 2


@cache
def _lists(signal: Signal) -> tuple[_List, ...]:
    def walk(message: str, path: tuple[str, ...]) -> Iterator[_List]:
        for field in MESSAGES[message]:
            if field.type not in MESSAGES:
                continue
            if field.type == "KeyValue":
                yield _List(path, message, field, "attributes")
            elif message == "Span" and field.name in MARKS:
                yield _List(path, message, field, field.name)
            yield from walk(field.type, (*path, field.name))

    return tuple(walk(signal.request, ()))


def long_lists(signal: Signal, body: bytes, limits: Limits, *, is_json: bool) -> list[_List]:
    """Lists of which the body has enough elements in all for one to be too long. An element has two bytes at least."""
    possible = [item for item in _lists(signal) if len(body) > 2 * getattr(limits, item.limit)]
    if not possible:
        return []
    import numpy as np  # counts bytes five times as fast as bytes.count does

    data = np.frombuffer(body, np.uint8)
    signs = {_OBJECT} if is_json else {item.tag for item in possible}
    counts = {sign: np.count_nonzero(data == sign) for sign in signs}
    return [item for item in possible if counts[_OBJECT if is_json else item.tag] > getattr(limits, item.limit)]


def cut(signal: Signal, body: bytes, decoded: Callable[[], Any], limits: Limits, spell: Spell) -> dict[str, int]:
    """Cuts a decoded request in place.

    :param decoded: gives the body as a message of protobuf, or the same as a struct of JSON; called when it may have to be cut
    :return: how many attributes, events and links were left out and how many values were cut; empty when nothing was
    """
    lists = long_lists(signal, body, limits, is_json=spell is not str)
    if not lists and len(body) <= limits.value_bytes:
        return {}
    request = decoded()
    found: dict[str, int] = {}
    holders: dict[tuple[str, ...], list[Any]] = {(): [request]}
    for item in lists:
        most, name = getattr(limits, item.limit), spell(item.field.name)
        for holder in _held(holders, item.path, spell):
            held = getattr(holder, name)
            if held and len(held) > most:
                beyond = len(held) - most
                _shorten(holder, item, beyond, spell)
                found[item.limit] = found.get(item.limit, 0) + beyond
    if len(body) > limits.value_bytes:
        values = _cut_values(signal.request, request, limits.value_bytes, spell)
        if values:
            found["values"] = values
    return found


def _held(known: dict[tuple[str, ...], list[Any]], path: tuple[str, ...], spell: Spell) -> list[Any]:
    """The messages at ``path``; ``known`` are those of paths that were asked for before."""
    if path not in known:
        name, above = spell(path[-1]), _held(known, path[:-1], spell)
        members: list[Any] = []
        for message in above:
            held = getattr(message, name)
            if path[-1] in _REPEATED:
                if held:
                    members += held
            elif held is not None:
                members.append(held)
        known[path] = members
    return known[path]


def _shorten(holder: Any, item: _List, beyond: int, spell: Spell) -> None:
    held = getattr(holder, spell(item.field.name))
    del held[len(held) - beyond :]
    counter = f"dropped_{item.limit}_count"
    if any(field.name == counter for field in MESSAGES[item.holder]):
        before = getattr(holder, spell(counter)) or 0
        setattr(holder, spell(counter), min(before + beyond, (1 << 32) - 1))
    where = item.field.name if item.limit == "attributes" else "attributes"
    _note(holder, spell(where), MARKS[item.limit], beyond, spell)


def _note(holder: Any, where: str, name: str, number: int, spell: Spell) -> None:
    if spell is str:
        getattr(holder, where).add(key=name).value.int_value = number
        return
    from clew.wire.check import json_struct

    pair = json_struct("KeyValue")(key=name, value=json_struct("AnyValue")(**{spell("int_value"): number}))
    setattr(holder, where, [*(getattr(holder, where) or ()), pair])


def _cut_values(message: str, held: Any, limit: int, spell: Spell) -> int:
    """Cuts each text and each value of bytes; a list of values as its elements. Ids are no longer than they must be."""
    count = 0
    for field in MESSAGES[message]:
        value = getattr(held, spell(field.name))
        if field.type in MESSAGES:
            for inner in value or () if field.label == "repeated" else [value] if value is not None else []:
                count += _cut_values(field.type, inner, limit, spell)
        elif isinstance(value, str | bytes) and len(value) > limit // 4:
            shorter = _shorter(value, limit, encoded=field.type == "bytes" and isinstance(value, str))
            if shorter is not value:
                setattr(held, spell(field.name), shorter)
                count += 1
    return count


def _shorter(value: str | bytes, limit: int, *, encoded: bool) -> str | bytes:
    """``value``, or what of it fits and a note of its length; of bytes just what fits, since a note would be bytes too.

    :param encoded: it is base64 text, of which four characters are three bytes
    """
    if isinstance(value, bytes):
        return value if len(value) <= limit else value[:limit]
    if encoded:
        return value if len(value) <= limit // 3 * 4 + 4 else value[: limit // 3 * 4]
    data = value.encode("utf-8", "surrogatepass")
    return value if len(data) <= limit else f"{data[:limit].decode('utf-8', 'ignore')}… [cut: {len(value)} characters]"


def sentence(found: dict[str, int]) -> str:
    """What was cut, for whoever sent it; "" for nothing."""
    if not found:
        return ""
    told = ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
    return f"beyond the limits of this collector and cut: {told}; the records say so in attributes named clew.cut"
