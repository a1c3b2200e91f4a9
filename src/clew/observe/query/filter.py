"""The filter language: from text to a tree and back. The grammar is filter.lark; docs/filter.md is for users; filter_sql.py makes SQL of it.

``status:error agent:planner model:gpt-4o* cost:>0.05 duration:>2s "merge conflict" -tool:search``
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clew.errors import FilterError, MissingExtra

if TYPE_CHECKING:
    from lark import Lark

Operator = Literal[">", ">=", "<", "<="]

MAX_LENGTH: Final = 20_000
MAX_DEPTH: Final = 50
MAX_TERMS: Final = 500
"""Bounds of one filter, far above what a person writes and below what the engine's own parser refuses (depth 1,000)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which text something stands, for errors."""

    text: str
    position: int

    def error(self, message: str) -> FilterError:
        return FilterError(message, text=self.text, position=self.position)


_NOWHERE: Final = Place("", 0)


@dataclass(frozen=True, slots=True)
class Value:
    """``quoted``: taken literally; else ``*`` stands for any characters."""

    text: str
    quoted: bool = False
    place: Place = field(default=_NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Equals:
    value: Value


@dataclass(frozen=True, slots=True)
class Compare:
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends included; None is open."""

    low: Value | None
    high: Value | None


@dataclass(frozen=True, slots=True)
class AnyOf:
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Present:
    pass


Test = Equals | Compare | Range | AnyOf | Present


@dataclass(frozen=True, slots=True)
class Term:
    """A test of a field; ``attribute``: of the span attribute with that name."""

    name: str
    test: Test
    attribute: bool = False
    place: Place = field(default=_NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Text:
    """Full text: a word, or words in this order."""

    text: str
    phrase: bool
    place: Place = field(default=_NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class And:
    """Every node; empty: everything matches."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    node: Node


Node = And | Or | Not | Term | Text


def leaves(node: Node) -> Iterator[Node]:
    """What a filter is made of: its terms and texts."""
    match node:
        case And(nodes) | Or(nodes):
            for inner in nodes:
                yield from leaves(inner)
        case Not(inner):
            yield from leaves(inner)
        case _:
            yield node


def all_of(nodes: Iterable[Node]) -> Node:
    """Their conjunction, flat; a single node is itself."""
    flat = tuple(inner for node in nodes for inner in (node.nodes if isinstance(node, And) else (node,)))
    return flat[0] if len(flat) == 1 else And(flat)


def any_of(nodes: Iterable[Node]) -> Node:
    """Their disjunction, flat; a single node is itself."""
    flat = tuple(inner for node in nodes for inner in (node.nodes if isinstance(node, Or) else (node,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def negate(node: Node) -> Node:
    return node.node if isinstance(node, Not) else Not(node)


def parse(text: str) -> Node:
    """The tree of a filter. Field names and values are not looked at yet; filter_sql.compile does.

    :raises FilterError: the text is no filter; points at the character
    :raises MissingExtra: lark is not installed
    """
    if len(text) > MAX_LENGTH:
        raise Place(text[:80], 0).error(f"the filter is longer than {MAX_LENGTH} characters")
    if (bad := next((index for index, character in enumerate(text) if "\ud800" <= character <= "\udfff"), None)) is not None:
        raise FilterError("this is no character; give the filter as UTF-8", text=text.encode(errors="replace").decode(), position=bad)
    parser = _parser()
    from lark.exceptions import UnexpectedInput

    source = parser.parse_interactive(text)
    depth = terms = 0
    try:
        for token in source.iter_parse():
            depth += (token.type == "LPAR") - (token.type == "RPAR")
            terms += token.type in ("FIELD", "WORD", "QUOTED", "ITEM")
            if depth > MAX_DEPTH:
                raise Place(text, token.start_pos or 0).error(f"parentheses are nested deeper than {MAX_DEPTH}")
            if terms > MAX_TERMS:
                raise Place(text, token.start_pos or 0).error(f"the filter has more than {MAX_TERMS} terms")
        tree = source.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        raise _refusal(text, error) from None
    return _Builder(text).build(tree)


def render(node: Node) -> str:
    """A text whose tree is ``node``."""
    match node:
        case And(nodes):
            return " ".join(_grouped(inner) if isinstance(inner, Or) else render(inner) for inner in nodes)
        case Or(nodes):
            return " OR ".join(render(inner) for inner in nodes)
        case Not(inner):
            return "-" + (_grouped(inner) if isinstance(inner, (And, Or)) else render(inner))
        case Text(text, phrase):
            return _quote(text) if phrase else text
        case Term(name, test, attribute):
            return f"{_name(name) if attribute else name}:{_render_test(test)}"


def _grouped(node: Node) -> str:
    return f"({render(node)})"


def _name(attribute: str) -> str:
    return f"@{attribute}" if re.fullmatch(r'[^\s()":]+', attribute) else f"@{_quote(attribute)}"


def _render_test(test: Test) -> str:
    match test:
        case Equals(value):
            return _render_value(value)
        case Compare(operator, value):
            return operator + _render_value(value)
        case Range(low, high):
            return f"{_render_value(low)}..{_render_value(high)}"
        case AnyOf(values):
            return f"({','.join(map(_render_value, values))})"
        case Present():
            return "*"


def _render_value(value: Value | None) -> str:
    if value is None:
        return ""
    return _quote(value.text) if value.quoted else value.text


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquote(text: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])


@cache
def _parser() -> Lark:
    try:
        from lark import Lark
    except ImportError:
        raise MissingExtra("Filtering", "lark", "server") from None
    grammar = Path(__file__).with_name("filter.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False)


class _Builder:
    """The tree of lark as ours. The nesting is bounded by MAX_DEPTH, chains of negations by folding them."""

    def __init__(self, text: str) -> None:
        self._text = text

    def build(self, tree: Any) -> Node:
        return self._node(tree.children[0]) if tree.children else And(())

    def _node(self, tree: Any) -> Node:
        negated = False
        while tree.data == "negation":
            (tree,), negated = tree.children, not negated
        node = _NODES[tree.data](self, tree.children)
        return negate(node) if negated else node

    def _either(self, children: list[Any]) -> Node:
        return any_of(map(self._node, children))

    def _both(self, children: list[Any]) -> Node:
        return all_of(map(self._node, children))

    def _word(self, children: list[Any]) -> Node:
        (token,) = children
        place = self._place(token)
        if "*" in token:
            raise place.error("* stands for any characters in a value only, as in name:merge*; quote it to search for it")
        return Text(str(token), phrase=False, place=place)

    def _phrase(self, children: list[Any]) -> Node:
        (token,) = children
        place = self._place(token)
        if not _unquote(token).strip():
            raise place.error("there is nothing to search for between the quotes")
        return Text(_unquote(token), phrase=True, place=place)

    def _term(self, children: list[Any]) -> Node:
        token, test = children
        name, attribute = str(token)[:-1], False
        for mark in ("@", "attr."):
            if name.startswith(mark):
                name, attribute = name.removeprefix(mark), True
                break
        if attribute and name.startswith('"'):
            name = _unquote(name)
        if not name:
            raise self._place(token).error("the attribute has no name; write @name:value")
        return Term(name, self._test(test), attribute, self._place(token))

    def _test(self, tree: Any) -> Test:
        match tree.data:
            case "present":
                return Present()
            case "comparison":
                operator, value = tree.children
                return Compare(str(operator), self._value(value))  # type: ignore[arg-type]
            case "range":
                low, _, high = tree.children
                return Range(self._value(low), self._value(high))
            case "from":
                return Range(self._value(tree.children[0]), None)
            case "to":
                return Range(None, self._value(tree.children[1]))
            case "list":
                return AnyOf(tuple(map(self._value, tree.children)))
            case _:
                return Equals(self._value(tree))

    def _value(self, tree: Any) -> Value:
        (token,) = tree.children
        quoted = tree.data in ("quoted", "quoted_item")
        return Value(_unquote(token) if quoted else str(token), quoted, self._place(token))

    def _place(self, token: Any) -> Place:
        return Place(self._text, token.start_pos)


_NODES: Final[dict[str, Callable[[_Builder, list[Any]], Node]]] = {
    "either": _Builder._either,
    "both": _Builder._both,
    "word": _Builder._word,
    "phrase": _Builder._phrase,
    "term": _Builder._term,
}


def _refusal(text: str, error: Any) -> FilterError:
    """What is wrong at the place where the parser stopped, and what to do."""
    position = error.pos_in_stream
    token = getattr(error, "token", None)
    if position is None or not 0 <= position < len(text) or (token is not None and token.type == "$END"):
        return FilterError(f"the filter ends too early; {_missing(text)}", text=text, position=len(text))
    character = text[position]
    if character == '"':
        message = "the quote is not closed"
    elif character == ")":
        message = (
            "this parenthesis closes nothing" if text[:position].count("(") <= text[:position].count(")") else _missing(text[:position])
        )
    elif character == ":":
        message = "a field's name starts with a letter, _ or @; quote text that holds a colon"
    else:
        message = f"{character!r} is not understood here; quote text that holds it"
    return FilterError(message, text=text, position=position)


def _missing(text: str) -> str:
    stripped = text.rstrip()
    if stripped.endswith((":", ":(", ">", "<", "=", "..", ",")):
        return "a value is missing"
    return "a parenthesis is not closed" if text.count("(") > text.count(")") else "something to search for is missing"
