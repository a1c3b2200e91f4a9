"""Templates stand for what nodes published, and say what is there when they name what is not."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.act.workflow.templates import Reference, escaped, is_templated, parse, references, resolve
from clew.errors import TemplateError

SCOPE: dict[str, Any] = {
    "inputs": {"who": "world", "n": 3, "none": None},
    "fetch": {"json": {"title": "T", "tags": ["a", {"b": 2}]}, "stdout": "text", "content-type": "x", "empty": {}, "list": []},
    "index": 0,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${inputs.who}", "world"),
        ("${inputs.n}", 3),
        ("${inputs.none}", None),
        ("${index}", 0),
        ("${fetch.json.tags}", ["a", {"b": 2}]),
        ("${fetch.json.tags.0}", "a"),
        ("${fetch.json.tags[0]}", "a"),
        ("${fetch.json.tags[1].b}", 2),
        ("${fetch.json.tags[-1].b}", 2),
        ("${fetch.content-type}", "x"),
        ("hello ${inputs.who}!", "hello world!"),
        (" ${inputs.n}", " 3"),
        ("${inputs.n}${inputs.n}", "33"),
        ("${inputs.none}|${fetch.json}", 'null|{"title":"T","tags":["a",{"b":2}]}'),
        ("$${inputs.who}", "${inputs.who}"),
        ("$${x} ${inputs.who}", "${x} world"),
        ("$5 $x {y} $$ $", "$5 $x {y} $$ $"),
    ],
)
def test_a_template_becomes_what_it_names(text: str, value: Any) -> None:
    found = resolve(text, SCOPE)
    assert (type(found), found) == (type(value), value)


def test_values_in_mappings_and_lists_are_resolved_and_told_one_by_one() -> None:
    told: list[tuple[str, str, Any]] = []
    value = {"command": "echo ${inputs.who} ${inputs.n}", "env": {"A B": "${inputs.n}", "C": 1}, "args": ["x", ["${index}"]]}
    assert resolve(value, SCOPE, lambda *note: told.append(note)) == {
        "command": "echo world 3",
        "env": {"A B": 3, "C": 1},
        "args": ["x", [0]],
    }
    assert told == [
        ("command", "${inputs.who}", "world"),
        ("command", "${inputs.n}", 3),
        ("env.A B", "${inputs.n}", 3),
        ("args[1][0]", "${index}", 0),
    ]
    assert value["env"] == {"A B": "${inputs.n}", "C": 1}


def test_without_a_template_the_same_object_comes_back() -> None:
    untouched = {"a": [1, {"b": "text $x"}]}
    value: dict[str, Any] = {"kept": untouched, "changed": "${index}"}
    assert resolve(untouched, SCOPE) is untouched
    assert resolve(value, SCOPE)["kept"] is untouched
    assert resolve({"tags": "${fetch.json.tags}"}, SCOPE)["tags"] is SCOPE["fetch"]["json"]["tags"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${fetc.json}", "${fetc.json}: there is no fetc; did you mean fetch?"),
        ("${other.json}", "${other.json}: there is no other; there are inputs, fetch, index"),
        ("a ${fetch.json.titel} b", "${fetch.json.titel}: fetch.json has no titel; its keys are title, tags; did you mean title?"),
        ("${fetch.empty.x}", "${fetch.empty.x}: fetch.empty has no x; it is empty"),
        ("${fetch.stdout.a.b}", "${fetch.stdout.a.b}: fetch.stdout is a text, so there is no a in it; read ${fetch.stdout} as a whole"),
        ("${inputs.none.a}", "${inputs.none.a}: inputs.none is nothing, so there is no a in it; read ${inputs.none} as a whole"),
        ("${fetch.json.tags.2}", "${fetch.json.tags.2}: fetch.json.tags is a list of 2; 2 is not one of its indexes (0 to 1)"),
        ("${fetch.json.tags.x}", "${fetch.json.tags.x}: fetch.json.tags is a list of 2; x is not one of its indexes (0 to 1)"),
        ("${fetch.list[0]}", "${fetch.list[0]}: fetch.list is a list of 0; 0 is not one of its indexes"),
        ("${}", "${} is not a template; write ${node.key} or ${inputs.name}, or $${ for a literal ${"),
        ("${A:-b}", "${A:-b} is not a template; write ${node.key} or ${inputs.name}, or $${ for a literal ${"),
        ("x ${open", "${open is not a template; write ${node.key} or ${inputs.name}, or $${ for a literal ${"),
        ("${a.}", "${a.} is not a template; write ${node.key} or ${inputs.name}, or $${ for a literal ${"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        resolve({"x": [text]}, SCOPE)
    assert str(caught.value) == message


def test_nothing_but_mappings_and_lists_is_looked_into() -> None:
    for text in ("${x.__class__}", "${x.real}", "${s.0}"):
        with pytest.raises(TemplateError):
            resolve(text, {"x": 5, "s": "text"})


def test_references_are_found_anywhere_in_a_value() -> None:
    value = {"a": "x ${b.c[0].d} $${no} ${e}", "f": ["${g.h}", 5, None], "${key.x}": "${bad"}
    assert references(value) == [
        Reference("${b.c[0].d}", "b", ("c", "0", "d")),
        Reference("${e}", "e", ()),
        Reference("${g.h}", "g", ("h",)),
    ]
    assert is_templated(value)
    assert not is_templated({"a": "$${x}", "${key}": 1})


TEXTS = st.text(st.sampled_from('${}[].ab0- \n"')) | st.text()
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)


@given(TEXTS)
def test_an_escaped_text_comes_back_as_it_was(text: str) -> None:
    assert resolve(escaped(text), {}) == text


@given(TEXTS.filter(lambda text: len(text) <= 60))
def test_parsing_never_raises_and_loses_nothing(text: str) -> None:
    pieces = parse(text)
    written = "".join(escaped(piece) if isinstance(piece, str) else piece.text for piece in pieces)
    assert written.replace("$${", "${") == text.replace("$${", "${")
    assert not any(isinstance(left, str) and isinstance(right, str) for left, right in pairwise(pieces))


def paths(value: Any, path: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    return [(path, value), *(found for inner, item in pairs for found in paths(item, inner))]


@given(NAMES, VALUES, TEXTS, TEXTS)
def test_every_value_can_be_named_and_keeps_its_type(root: str, value: Any, before: str, after: str) -> None:
    for path, item in paths(value, root):
        assert resolve(f"${{{path}}}", {root: value}) is item
        if not before.endswith("$") and (before or after):
            text = item if isinstance(item, str) else json.dumps(item, separators=(",", ":"), ensure_ascii=False)
            assert resolve(f"{escaped(before)}${{{path}}}{escaped(after)}", {root: value}) == before + text + after
