"""Values of any depth as JSON text. The cost is bounded whatever comes: so many items, so deep, so many characters; what is cut says so.

Nothing lazy is consumed: a generator, a coroutine or an unknown iterable is named, not read. Nothing a value does, such as a raising
``__repr__``, gets out.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from clew.record.values import SCALARS, Value, cut, text, type_name

MAX_DEPTH: Final = 64
"""Deeper nesting is cut; real messages and arguments stay far below it, and readers recurse."""
MAX_ITEMS: Final = 20_000
"""Most items of one value, all levels together: about 5 ms of the caller's time."""

_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def deep(value: Any, limit: int) -> Value | None:
    """``value`` as a scalar where it stands for one (a date, an enum), else as JSON text of at most ``limit`` characters."""
    plain = _Walk(limit).plain(value, 0)
    if plain is None or type(plain) in SCALARS:
        return plain  # type: ignore[no-any-return]
    return cut(_json(plain), limit)


class _Walk:
    """One bounded walk over one value."""

    def __init__(self, limit: int) -> None:
        self.characters = limit
        self.items = MAX_ITEMS
        self.path: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        """``value`` as dicts, lists and scalars, no larger than allowed."""
        kind = type(value)
        if kind is str:
            return self.string(value)
        if kind is int:
            return value if -(1 << 63) <= value < 1 << 64 else self.string(_digits(value))
        if kind is bool or value is None:
            return value
        if kind is float:
            return value if value - value == 0 else str(value)  # JSON has no infinity and no NaN
        try:
            return self.container(value, depth)
        except Exception as error:
            return f"<{type_name(value)}: reading it raised {type(error).__name__}>"

    def string(self, value: str) -> str:
        if len(value) > self.characters:
            value = f"{value[: max(self.characters, 0)]}… [cut: {len(value)} characters]"
        self.characters -= len(value)
        return value

    def container(self, value: Any, depth: int) -> Any:
        reader = _reader(value)
        if not isinstance(reader, (_Mapping, _Sequence)):
            return self.string(reader) if isinstance(reader, str) else self.plain(reader, depth)
        if id(value) in self.path:
            return "<cycle>"
        if depth >= MAX_DEPTH:
            return f"<cut: nested deeper than {MAX_DEPTH}>"
        self.path.add(id(value))
        try:
            return self.mapping(reader, depth) if isinstance(reader, _Mapping) else self.sequence(reader, depth)
        finally:
            self.path.discard(id(value))

    def mapping(self, reader: _Mapping, depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in reader.items:
            if not self.room():
                plain["…"] = f"[cut: {reader.length} items]"
                break
            name = key if type(key) is str else text(key, 256)
            plain[self.string(name)] = self.plain(item, depth + 1)
        return plain

    def sequence(self, reader: _Sequence, depth: int) -> list[Any]:
        plain: list[Any] = []
        for item in reader.items:
            if not self.room():
                plain.append(f"… [cut: {reader.length} items]")
                break
            plain.append(self.plain(item, depth + 1))
        return plain

    def room(self) -> bool:
        self.items -= 1
        self.characters -= 2  # the separators
        return self.items >= 0 and self.characters > 0


@dataclasses.dataclass(slots=True)
class _Mapping:
    items: Iterable[tuple[Any, Any]]
    length: int


@dataclasses.dataclass(slots=True)
class _Sequence:
    items: Iterable[Any]
    length: int


def _reader(value: Any) -> Any:
    """How ``value`` is read: its items, or what stands for it."""
    if isinstance(value, dict):
        # A copy of what can be read at most: another thread may change the original meanwhile.
        return _Mapping(list(islice(dict.items(value), MAX_ITEMS + 1)), dict.__len__(value))
    if isinstance(value, list):
        return _Sequence(list.__getitem__(value, slice(MAX_ITEMS + 1)), list.__len__(value))
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, tuple):
        fields = getattr(type(value), "_fields", None)
        if isinstance(fields, tuple):
            return _Mapping(zip(fields, tuple.__iter__(value), strict=False), len(fields))
        return _Sequence(tuple.__iter__(value), tuple.__len__(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes(value)
    if isinstance(value, (set, frozenset)):
        return _Sequence(list(islice(value, MAX_ITEMS + 1)), len(value))
    for kinds, read in _KNOWN:
        if isinstance(value, kinds):
            return read(value)
    return _object(value)


_KNOWN: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...]] = (
    ((datetime.datetime, datetime.date, datetime.time), lambda value: value.isoformat()),
    ((datetime.timedelta, uuid.UUID, decimal.Decimal, pathlib.PurePath), str),
    (BaseException, lambda value: f"{type(value).__name__}: {text(value)}"),
    ((type, FunctionType, BuiltinFunctionType, MethodType), lambda value: f"<{value.__module__}.{value.__qualname__}>"),
    (ModuleType, lambda value: f"<module {value.__name__}>"),
)  # fmt: skip


def _object(value: Any) -> Any:
    kind = type(value)
    fields = _fields(kind, value)
    if fields is not None:
        return fields
    for way in ("__next__", "__anext__", "__await__", "__iter__", "__aiter__", "__getitem__"):
        if hasattr(kind, way):  # reading it may consume it, wait, or ask a database
            shape = getattr(value, "shape", None)
            return f"<{type_name(value)}{f' of shape {shape}' if isinstance(shape, tuple) else ''}>"
    if kind.__repr__ is object.__repr__:  # type: ignore[comparison-overlap]
        return f"<{type_name(value)}>"
    try:
        return repr(value)
    except Exception as error:
        return f"<{type_name(value)}: repr() raised {type(error).__name__}>"


def _fields(kind: type, value: Any) -> _Mapping | None:
    """The fields of a value of a class that declares them: dataclass, attrs, msgspec, pydantic."""
    declared: Any = None
    if dataclasses.is_dataclass(kind):
        declared = [field.name for field in dataclasses.fields(kind) if field.repr]
    elif isinstance(getattr(kind, "__struct_fields__", None), tuple):
        declared = kind.__struct_fields__  # type: ignore[attr-defined]
    elif isinstance(getattr(kind, "__attrs_attrs__", None), tuple):
        declared = [attribute.name for attribute in kind.__attrs_attrs__]  # type: ignore[attr-defined]
    elif isinstance(getattr(kind, "model_fields", None), Mapping) and isinstance(getattr(value, "__dict__", None), dict):
        extra = getattr(value, "__pydantic_extra__", None)
        items = {**value.__dict__, **(extra if isinstance(extra, dict) else {})}
        return _Mapping([(name, item) for name, item in items.items() if item is not None], len(items))
    if declared is None:
        return None
    missing = object()
    items_of = [(name, getattr(value, name, missing)) for name in declared]
    return _Mapping([(name, item) for name, item in items_of if item is not missing], len(items_of))


def _bytes(value: bytes | bytearray | memoryview) -> str:
    data = bytes(value[: 1 << 20])
    rest = f"… [cut: {len(value)} bytes]" if len(value) > len(data) else ""
    try:
        return data.decode("utf-8") + rest
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(data).decode('ascii')}{rest}"


def _digits(value: int) -> str:
    # Python refuses to print integers of more than 4300 digits, and printing them is quadratic.
    return str(value) if value.bit_length() < 4096 else f"<int of {value.bit_length()} bits>"
