"""The filter language as text: what it parses to, what it refuses and where, and that it can be written back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import FilterError
from clew.observe.query.filter import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_TERMS,
    And,
    AnyOf,
    Compare,
    Equals,
    Node,
    Not,
    Or,
    Present,
    Range,
    Term,
    Text,
    Value,
    all_of,
    any_of,
    negate,
    parse,
    render,
)

pytestmark = pytest.mark.needs("lark")

A, B, C = (Text(letter, phrase=False) for letter in "abc")


def term(name: str, value: str, *, attribute: bool = False) -> Term:
    return Term(name, Equals(Value(value)), attribute)


PARSED: dict[str, Node] = {
    "": And(()),
    "  \n ": And(()),
    "a b": And((A, B)),
    "a AND b": And((A, B)),
    "a OR b c": Or((A, And((B, C)))),
    "(a OR b) c": And((Or((A, B)), C)),
    "((a))": A,
    "-a": Not(A),
    "NOT a": Not(A),
    "--a": A,
    "-(a b)": Not(And((A, B))),
    "ORacle ANDes NOTe OR-gate": And(tuple(Text(word, phrase=False) for word in ("ORacle", "ANDes", "NOTe", "OR-gate"))),
    '"merge conflict"': Text("merge conflict", phrase=True),
    r'"say \"hi\" in C:\dir"': Text(r'say "hi" in C:\dir', phrase=True),
    "status:error": term("status", "error"),
    "status: error": term("status", "error"),
    "model:gpt-4o*": term("model", "gpt-4o*"),
    "model:a,b": term("model", "a,b"),
    'name:"a b*"': Term("name", Equals(Value("a b*", quoted=True))),
    "cost:>0.05": Term("cost", Compare(">", Value("0.05"))),
    "cost:>=1 cost:<2 cost:<=3": And(
        (Term("cost", Compare(">=", Value("1"))), Term("cost", Compare("<", Value("2"))), Term("cost", Compare("<=", Value("3"))))
    ),
    "duration:1s..2s": Term("duration", Range(Value("1s"), Value("2s"))),
    "cost:0.5..": Term("cost", Range(Value("0.5"), None)),
    "cost:..0.5": Term("cost", Range(None, Value("0.5"))),
    'model:(a, "b c",d*)': Term("model", AnyOf((Value("a"), Value("b c", quoted=True), Value("d*")))),
    "model:*": Term("model", Present()),
    "start:>-1h": Term("start", Compare(">", Value("-1h"))),
    "start:2026-01-01T10:00:00Z": term("start", "2026-01-01T10:00:00Z"),
    "@http.status_code:500": term("http.status_code", "500", attribute=True),
    "attr.http.status_code:500": term("http.status_code", "500", attribute=True),
    '@"a key: (odd)":*': Term("a key: (odd)", Present(), attribute=True),
    'attr."a key":x': term("a key", "x", attribute=True),
    'status:error agent:planner model:gpt-4o* cost:>0.05 duration:>2s "merge conflict" -tool:search': And(
        (
            term("status", "error"),
            term("agent", "planner"),
            term("model", "gpt-4o*"),
            Term("cost", Compare(">", Value("0.05"))),
            Term("duration", Compare(">", Value("2s"))),
            Text("merge conflict", phrase=True),
            Not(term("tool", "search")),
        )
    ),
}


@pytest.mark.parametrize("text", PARSED)
def test_a_filter_means_what_it_says(text: str) -> None:
    assert parse(text) == PARSED[text]


REFUSED: dict[str, tuple[str, int]] = {
    '"open': ("the quote is not closed", 0),
    'name:"open': ("the quote is not closed", 5),
    "a)": ("this parenthesis closes nothing", 1),
    "(a": ("the filter ends too early; a parenthesis is not closed", 2),
    "a OR": ("the filter ends too early; something to search for is missing", 4),
    "-": ("the filter ends too early; something to search for is missing", 1),
    "model:": ("the filter ends too early; a value is missing", 6),
    "cost:>": ("the filter ends too early; a value is missing", 6),
    "model:()": ("a value is missing", 7),
    "model:(a,)": ("a value is missing", 9),
    "OR a": ("'O' is not understood here; quote text that holds it", 0),
    "at 12:30": ("a field's name starts with a letter, _ or @; quote text that holds a colon", 5),
    "cost:1..2..3": ("'.' is not understood here; quote text that holds it", 9),
    "a merge*": ("* stands for any characters in a value only, as in name:merge*; quote it to search for it", 2),
    'a " "': ("there is nothing to search for between the quotes", 2),
    '@"":x': ("the attribute has no name; write @name:value", 0),
    "a\ud800": ("this is no character; give the filter as UTF-8", 1),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_mistake_is_pointed_at(text: str) -> None:
    message, position = REFUSED[text]
    with pytest.raises(FilterError) as refused:
        parse(text)
    first, *_, caret = str(refused.value).split("\n")
    assert (first, refused.value.position) == (message, position)
    assert caret.index("^") == position + 2


def test_a_filter_is_bounded_and_says_so() -> None:
    parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 5000):
        with pytest.raises(FilterError, match=f"nested deeper than {MAX_DEPTH}"):
            parse("(" * depth + "a" + ")" * depth)
    assert parse("-" * 5000 + "a") == A
    parse("a " * MAX_TERMS)
    with pytest.raises(FilterError, match=f"more than {MAX_TERMS} terms"):
        parse("a " * (MAX_TERMS + 1))
    with pytest.raises(FilterError, match=f"longer than {MAX_LENGTH} characters"):
        parse("a" * (MAX_LENGTH + 1))


_any_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_plain = st.from_regex(r"[\w*/$-][\w*/,:+$-]{0,8}", fullmatch=True).filter(lambda text: text != "*" and text not in ("OR", "AND", "NOT"))
_values = st.builds(Value, _plain, st.just(False)) | st.builds(Value, st.text(max_size=8), st.just(True))
_items = st.builds(Value, _plain.map(lambda text: text.replace(",", "_")), st.just(False)) | st.builds(
    Value, st.text(max_size=8), st.just(True)
)
_tests = (
    st.builds(Equals, _values)
    | st.builds(Compare, st.sampled_from([">", ">=", "<", "<="]), _values)
    | st.builds(Range, _values, st.none() | _values)
    | st.builds(Range, st.none(), _values)
    | st.builds(AnyOf, st.lists(_items, min_size=1, max_size=3).map(tuple))
    | st.just(Present())
)
_words = st.from_regex(r"[\w/.][\w/.,'-]{0,8}", fullmatch=True).filter(lambda text: text not in ("OR", "AND", "NOT"))
_leaves: st.SearchStrategy[Node] = (
    st.builds(Term, st.from_regex(r"[A-Za-z_][\w]{0,5}", fullmatch=True), _tests, st.just(False))
    | st.builds(Term, _any_text, _tests, st.just(True))
    | st.builds(Text, _words, st.just(False))
    | st.builds(Text, _any_text.filter(str.strip), st.just(True))
)
_nodes = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(all_of) | st.lists(inner, min_size=1, max_size=3).map(any_of) | inner.map(negate)
    ),
    max_leaves=12,
)


@given(_nodes)
def test_a_tree_is_written_and_read_back(node: Node) -> None:
    assert parse(render(node)) == node


@given(st.text() | st.text('ab:()"\\-*.<>@, ORNT0', max_size=40) | st.lists(st.sampled_from(list(PARSED)), max_size=5).map(" ".join))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        node = parse(text)
    except FilterError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017
        return
    assert parse(render(node)) == node


def test_every_token_of_the_grammar_is_documented() -> None:
    root = Path(__file__).parents[2]
    grammar = (root / "src/clew/observe/query/filter.lark").read_text()
    page = (root / "docs/filter.md").read_text()
    examples = {
        "_OR": " OR ",
        "_AND": " AND ",
        "_NOT": "NOT ",
        "_MINUS": "`-tool:search`",
        "FIELD": "attr.",
        "STAR": ":*`",
        "COMPARE": ":>=",
        "OPEN_RANGE": "..`",
        "RANGE": "1s..2s",
        "QUOTED": '"merge conflict"',
        "WORD": "`merge`",
        "VALUE": "status:error",
        "ITEM": "model:(",
    }
    assert set(re.findall(r"^(_?[A-Z_]+)\b", grammar, re.MULTILINE)) == set(examples)
    assert [token for token, text in examples.items() if text not in page] == []
    for operator in (">", ">=", "<", "<="):
        assert f":{operator}" in page, operator


def test_every_example_of_the_page_parses() -> None:
    page = (Path(__file__).parents[2] / "docs/filter.md").read_text()
    examples = [line for block in re.findall(r"```filter\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(examples) > 10
    for line in examples:
        parse(line.partition("  #")[0])
