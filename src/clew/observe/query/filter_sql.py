"""A filter as a condition in SQL. What the user wrote goes into parameters only, never into the SQL."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from clew.errors import FilterError, QueryError
from clew.observe.query.filter import And, AnyOf, Compare, Equals, Node, Not, Operator, Or, Place, Present, Range, Term, Text, Value, all_of
from clew.observe.query.filter_values import DURATION_UNITS, SIZES, duration_ns, number, span_of_time_ns, usd

FieldType = Literal["text", "enum", "number", "duration_ns", "usd", "time"]
AttributeKind = Literal["text", "number", "bool"]
AttributeOperator = Literal["=", "like", ">", ">=", "<", "<=", "present"]

SINCE: Final = "since"
"""``since:1h`` and ``since:2026-01-01`` are ``start:>=-1h`` and ``start:>=2026-01-01``, where there is a field ``start`` of type time."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that can be filtered by.

    ``column_sql`` yields, by ``type``: text (a String; '' is absent), enum (a String of ``values``), number, duration_ns (nanoseconds), usd
    or time (nanoseconds since 1970, UTC). It may be NULL where unknown. It is a name or a call, or stands in parentheses.
    """

    name: str
    column_sql: str
    type: FieldType
    values: tuple[str, ...] | None = None
    """The closed set of an enum."""
    help: str = ""
    table: str = ""
    """Where the column is, when not on the row itself: a table with the key of the rows (trace_id and span_id of spans)."""
    own: str = ""
    """What the row itself says: the table is asked only where that is ''."""
    equals: str = ""
    """Whether the column equals ``{value}``, where that is told faster than by ``column_sql``."""
    each: str = ""
    """An array of which one element passes the test; ``column_sql`` is the name of an element then."""


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL with placeholders such as ``{p0:String}``, and their values by name."""

    sql: str
    parameters: dict[str, Any]


Bind = Callable[[str, Any], str]
"""(type of the engine, value) -> the placeholder of a new parameter."""


class TextSearch(Protocol):
    """SQL that is true where a span holds the text: as a word, or as words in this order."""

    def __call__(self, text: str, is_phrase: bool, bind: Bind, /) -> str: ...


class AttributeLookup(Protocol):
    """SQL that is true where the attribute of that key, of that kind, stands in that relation to the value.

    ``like`` takes a LIKE pattern; for ``present`` the kind and the value are None: an attribute of any kind.
    """

    def __call__(self, key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str: ...


def compile(
    node: Node,
    fields: Mapping[str, Field],
    *,
    now: datetime,
    text: TextSearch,
    attribute: AttributeLookup,
    key: str = "trace_id, span_id",
    prefix: str = "p",
) -> Condition:
    """The condition that a filter stands for; NULL (unknown) fails every test, and so passes a negated one.

    :param fields: by name
    :param key: the columns that tell one row from the others, and are in the tables of ``fields`` too
    :param now: what relative times count from; with a zone
    :param prefix: of the parameters' names, where two conditions stand in one statement
    :raises FilterError: a field, a value or a comparison that does not exist; points at the character
    """
    compiler = _Compiler(fields, now, text, attribute, key, prefix)
    sql = compiler.node(node)
    return Condition(sql, compiler.parameters)


@dataclass
class _Compiler:
    fields: Mapping[str, Field]
    now: datetime
    text: TextSearch
    attribute: AttributeLookup
    key: str
    prefix: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def node(self, node: Node) -> str:
        match node:
            case And(nodes):
                return _joined(" AND ", map(self.node, nodes)) if nodes else "1"
            case Or(nodes):
                return _joined(" OR ", map(self.node, nodes))
            case Not(inner):
                return f"NOT ifNull({self.node(inner)}, 0)"
            case Text(text, phrase):
                return self.text(text, phrase, self._bind)
            case Term() if node.attribute:
                return self._attribute(node)
            case Term(name, test):
                if name == SINCE and SINCE not in self.fields and "start" in self.fields:
                    return self._since(self.fields["start"], node)
                if name not in self.fields:
                    raise node.place.error(self._unknown(name))
                field = self.fields[name]
                condition = self._test(field, test, node.place)
                if field.each:
                    condition = f"arrayExists({field.column_sql} -> {condition}, {field.each})"
                if field.table:
                    condition = f"({self.key}) IN (SELECT {self.key} FROM {field.table} WHERE {condition})"
                if field.own:
                    own = self._test(replace(field, column_sql=field.own), test, node.place)
                    condition = f"({own} OR ({field.own} = '' AND {condition}))"
                return condition

    def _bind(self, type_: str, value: Any) -> str:
        name = f"{self.prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{type_}}}"

    def _unknown(self, name: str) -> str:
        nearest = difflib.get_close_matches(name, self.fields, 1, 0.5)
        hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(sorted(self.fields))}"
        return f"there is no field {name}; {hint} An attribute is written @{name}:..., a text with a colon in quotes"

    def _test(self, field: Field, test: Equals | Compare | Range | AnyOf | Present, place: Place) -> str:
        column = field.column_sql
        match test:
            case Present():
                return f"ifNull({column}, '') != ''" if field.type in ("text", "enum") else f"isNotNull({column})"
            case Equals(value):
                return self._equals(field, value)
            case AnyOf(values):
                return _joined(" OR ", (self._equals(field, value) for value in values))
            case Compare(operator, value):
                if field.type in ("text", "enum"):
                    raise place.error(f"{field.name} is text and has no order; write {field.name}:value or {field.name}:val*")
                return self._compare(field, operator, value)
            case Range(low, high):
                if field.type in ("text", "enum"):
                    raise place.error(f"{field.name} is text and has no range; quote a value that holds two dots")
                return self._between(field, low, high)

    def _equals(self, field: Field, value: Value) -> str:
        column = field.column_sql
        if field.type in ("text", "enum"):
            if _is_pattern(value):
                return f"{column} LIKE {self._bind('String', _like(value.text))}"
            if field.values is not None and value.text not in field.values:
                nearest = difflib.get_close_matches(value.text, field.values, 1, 0.5)
                hint = f"did you mean {nearest[0]}?" if nearest else f"expected one of {', '.join(field.values)}"
                raise value.place.error(f"{field.name} is never {value.text!r}; {hint}")
            place = self._bind("String", value.text)
            return field.equals.replace("{value}", place) if field.equals else f"{column} = {place}"
        if field.type == "time":
            return self._between(field, value, value)
        return f"{column} = {self._bound(field, value)}"

    def _compare(self, field: Field, operator: Operator, value: Value) -> str:
        if field.type == "time":
            first, last = self._time(field, value)
            return f"{field.column_sql} {operator} {self._bind('Int64', last if operator in ('>', '<=') else first)}"
        return f"{field.column_sql} {operator} {self._bound(field, value)}"

    def _between(self, field: Field, low: Value | None, high: Value | None) -> str:
        """Both ends included; a date as the upper end includes its whole day."""
        parts = []
        for operator, value, end in ((">=", low, 0), ("<=", high, 1)):
            if value is not None:
                bound = self._bind("Int64", self._time(field, value)[end]) if field.type == "time" else self._bound(field, value)
                parts.append(f"{field.column_sql} {operator} {bound}")
        return _joined(" AND ", parts)

    def _bound(self, field: Field, value: Value) -> str:
        """Placeholder of a number, an amount or a duration."""
        if field.type == "duration_ns":
            if (nanoseconds := duration_ns(value.text)) is None:
                raise value.place.error(f"{value.text!r} is no duration; write a number and a unit ({', '.join(DURATION_UNITS)}), as in 2s")
            return self._bind("Int64", nanoseconds)
        found = usd(value.text) if field.type == "usd" else number(value.text)
        if found is None:
            raise value.place.error(f"{value.text!r} is no number; write one as in 0.05 or 10k ({', '.join(SIZES)})")
        return self._bind("Float64", found)

    def _time(self, field: Field, value: Value) -> tuple[int, int]:
        if (found := span_of_time_ns(value.text, self.now)) is None:
            raise value.place.error(f"{value.text!r} is no time; write one as in 2026-01-31, 2026-01-31T15:30, today or -1h (an hour ago)")
        return found

    def _since(self, start: Field, term: Term) -> str:
        if not isinstance(term.test, Equals):
            raise term.place.error("since takes one time, as in since:1h or since:2026-01-31")
        value = term.test.value
        if duration_ns(value.text) is not None:
            value = Value(f"-{value.text}", value.quoted, value.place)
        return self._compare(start, ">=", value)

    def _attribute(self, term: Term) -> str:
        key = self._bind("String", term.name)
        match term.test:
            case Present():
                return self.attribute(key, "present", None, None)
            case Equals(value):
                return self._attribute_equals(key, value)
            case AnyOf(values):
                return _joined(" OR ", (self._attribute_equals(key, value) for value in values))
            case Compare(operator, value):
                return self.attribute(key, operator, self._attribute_number(value), "number")
            case Range(low, high):
                bounds: list[tuple[AttributeOperator, Value | None]] = [(">=", low), ("<=", high)]
                return _joined(
                    " AND ", (self.attribute(key, op, self._attribute_number(value), "number") for op, value in bounds if value is not None)
                )

    def _attribute_equals(self, key: str, value: Value) -> str:
        """An attribute's type is its sender's choice, so 5 matches the number and the text, true the truth value and the text."""
        if _is_pattern(value):
            return self.attribute(key, "like", self._bind("String", _like(value.text)), "text")
        parts = [self.attribute(key, "=", self._bind("String", value.text), "text")]
        if not value.quoted:
            if (found := number(value.text)) is not None:
                parts.append(self.attribute(key, "=", self._bind("Float64", found), "number"))
            if value.text in ("true", "false"):
                parts.append(self.attribute(key, "=", self._bind("Bool", value.text == "true"), "bool"))
        return _joined(" OR ", parts)

    def _attribute_number(self, value: Value) -> str:
        if (found := number(value.text)) is None:
            raise value.place.error(f"{value.text!r} is no number, and attributes are compared as numbers")
        return self._bind("Float64", found)


def no_text(what: str) -> TextSearch:
    """For rows that hold no text of their own: says so."""

    def refuse(text: str, is_phrase: bool, bind: Bind) -> str:
        raise FilterError(f"{what} has no text to search in; name a field, or search its spans", text=text, position=0)

    return refuse


def no_attribute(what: str) -> AttributeLookup:
    """For rows without attributes of their own: says so."""

    def refuse(key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str:
        raise QueryError(f"{what} has no attributes; name a field, or search its spans")

    return refuse


def times_of(node: Node) -> Node:
    """What a filter says of the time alone, as far as all that matches must fulfil it: a part of it that bounds what has to be read."""
    nodes = node.nodes if isinstance(node, And) else (node,)
    return all_of(inner for inner in nodes if isinstance(inner, Term) and not inner.attribute and inner.name in (SINCE, "start"))


def _joined(operator: str, parts: Iterable[str]) -> str:
    found = list(parts)
    return found[0] if len(found) == 1 else f"({operator.join(found)})"


def _is_pattern(value: Value) -> bool:
    return "*" in value.text and not value.quoted


_ESCAPES: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%"})


def _like(text: str) -> str:
    """A LIKE pattern in which only ``*`` is special."""
    return text.translate(_ESCAPES)
