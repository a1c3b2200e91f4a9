"""A workflow document is read with the line of everything in it, or refused with the place and the next step."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clew.act.workflow import source
from clew.act.workflow.source import Source, of, parsed, read
from clew.errors import DocumentError

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__, autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers, in C and in Python, give the same."""
    monkeypatch.setattr(source, "_LOADER", request.param)


def faults(found: Source) -> list[str]:
    return [str(fault) for fault in found.faults]


def refusal(text: str, path: Path | None = None) -> str:
    with pytest.raises(DocumentError) as caught:
        parsed(text, name="x.yaml", path=path)
    (problem,) = caught.value.problems
    return problem


YAML = """\
# a comment
name: greet
nodes:
  - id: a
    params: {command: "echo", env: {A: 1}}
  -
    id: b
"""

JSON = """\
{
  "name": "greet",
  "nodes": [
    {"id": "a", "params":
      {"command": "echo", "env": {"A": 1}}},
    {
      "id": "b"}]
}
"""


def test_yaml_has_the_line_of_every_key_and_item() -> None:
    found = parsed(YAML)
    assert found.data == {"name": "greet", "nodes": [{"id": "a", "params": {"command": "echo", "env": {"A": 1}}}, {"id": "b"}]}
    assert found.lines == {
        (): 2,
        ("name",): 2,
        ("nodes",): 3,
        ("nodes", 0): 4,
        ("nodes", 0, "id"): 4,
        ("nodes", 0, "params"): 5,
        ("nodes", 0, "params", "command"): 5,
        ("nodes", 0, "params", "env"): 5,
        ("nodes", 0, "params", "env", "A"): 5,
        ("nodes", 1): 7,
        ("nodes", 1, "id"): 7,
    }


def test_json_has_the_line_of_every_key_and_item() -> None:
    found = parsed(JSON, path=Path("x.json"))
    assert found.data == parsed(YAML).data
    assert found.lines == {
        (): 1,
        ("name",): 2,
        ("nodes",): 3,
        ("nodes", 0): 4,
        ("nodes", 0, "id"): 4,
        ("nodes", 0, "params"): 4,
        ("nodes", 0, "params", "command"): 5,
        ("nodes", 0, "params", "env"): 5,
        ("nodes", 0, "params", "env", "A"): 5,
        ("nodes", 1): 6,
        ("nodes", 1, "id"): 7,
    }


def test_a_place_without_a_line_has_the_line_of_what_is_around_it() -> None:
    found = parsed(YAML)
    assert found.line(("nodes", 1, "params", "command")) == 7
    assert found.line(("inputs",)) == 2
    assert of({"name": "x"}, name="x").line(("name",)) is None


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)


def places(value: Any, place: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {place} | {inner for key, item in pairs for inner in places(item, (*place, key))}


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES, max_size=4),
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
)
def test_any_json_is_read_as_json_does(value: dict[str, Any], indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    for path in (Path("x.json"), None):
        found = parsed(text, path=path)
        assert found.data == value
        assert found.faults == ()
        assert set(found.lines) == places(value)


@given(st.dictionaries(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), JSON_VALUES, max_size=4))
def test_any_yaml_of_texts_and_numbers_comes_back(value: dict[str, Any]) -> None:
    texts = json.loads(json.dumps(value), parse_float=str)
    found = parsed(yaml.safe_dump(texts, default_style='"') + "\n", name="x")
    assert found.data == texts
    assert found.faults == ()


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0x1F", 31),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-01-31", "2026-01-31"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("${a.b}", "${a.b}"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_are_those_of_yaml_1_2(scalar: str, value: Any) -> None:
    found = parsed(f"a: {scalar}\n").data["a"]
    assert (type(found), found) == (type(value), value)


def test_keys_are_texts() -> None:
    assert parsed("on: 1\n5: 2\nnull: 3\n").data == {"on": 1, "5": 2, "null": 3}


def test_a_key_that_stands_twice_is_a_mistake_of_its_mapping_alone() -> None:
    found = parsed("a: {x: 1}\nb: 2\na: {x: 1, y: 2}\n")
    assert faults(found) == ["a (line 3): a stands here again, after line 1; keep one of them"]
    assert found.data == {"a": {"x": 1, "y": 2}, "b": 2}
    assert faults(parsed('{"a": {"x": 1},\n"a": {"x": 2, "x": 3}}')) == [
        "a (line 2): a stands here again, after line 1; keep one of them",
        "a.x (line 2): x stands here again, after line 2; keep one of them",
    ]


def test_what_yaml_has_and_a_workflow_has_not_is_a_mistake() -> None:
    text = "a: !!python/object/apply:os.system [ls]\nb: !mine 1\nc: {<<: {d: 1}}\n? [x, y]\n: 1\n---\nd: 1\n"
    assert faults(parsed(text)) == [
        "a (line 1): the YAML tag !!python/object/apply:os.system is not supported; write a text, number, list or mapping",
        "b (line 2): the YAML tag !mine is not supported; write a text, number, list or mapping",
        "c (line 3): merge keys (<<) are not supported; write the keys out, or repeat a whole value with an alias",
        "(line 4): a list stands as a key; keys are texts",
        "(line 6): a second document begins here (---); a file holds one workflow",
    ]


def test_an_alias_repeats_a_value() -> None:
    found = parsed("a: &x\n  b: [1, 2]\nc: *x\n")
    assert found.data == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert found.line(("c", "b", 0)) == 3


def test_an_alias_bomb_is_refused_at_once() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert refusal("\n".join(rows)).startswith("line 6, column ")
    assert "more than 500,000 values, those that aliases repeat counted" in refusal("\n".join(rows))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c\n", "line 1, column 5: is not YAML: mapping values are not allowed"),
        ("a: b: c\n", "put a text that holds ': ' in quotes"),
        ("a:\n\t- b\n", "line 2, column 1: is not YAML: "),
        ("a:\n\t- b\n", "in '- b'; indent with spaces, not tabs"),
        ("a: [1, 2\nb: 3\n", "close the brackets"),
        ("a: {command: ${x.y}, b: 1}\n", "inside { } and [ ] put templates in quotes"),
        ("a: 'x\n", "close the quotes"),
        ("a: *x\n", "line 1, column 4: is not YAML: found undefined alias 'x'"),
        ("a: &x [*x]\n", "or one inside what it stands for"),
        ("a: @x\n", "put a text that begins with"),
        ("a: 1\n b: 2\n", "line 2"),
        ("- a\n- b\n", "line 1: holds a list at the top; a workflow is a mapping with the keys name, nodes"),
        ("greet.yaml", "line 1: holds a text at the top"),
        ("# nothing\n", "line 1: holds nothing at the top"),
        (" \n\n", "is empty; a workflow has at least a name and nodes"),
        ("a: x\x01y\n", "character U+0001 may not stand in YAML"),
        ("a: " + "[" * 200 + "]" * 200, "nested more than 100 deep"),
        ("a: " + "[" * 50_000, "nested more than 100 deep"),
        ('{"a": 1,}x', "remove the comma before the bracket"),
        ('{"a": nope', "line 1, column 7: is not JSON: Expecting value, in '{\"a\": nope'"),
        ('a: "\\ud800"', "write the character itself"),
        ('{"a": "\\ud800"}', "holds half a character: \\ud800"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested more than 100 deep"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_the_next_step(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{'a': 1}",
            "line 1, column 2: is not JSON: Expecting property name enclosed in double quotes, in \"{'a': 1}\"; use double quotes",
        ),
        ('{"a": [1,\n2,]}', "in '2,]}'; remove the comma before the bracket"),
        ('{"a": NaN}', "holds a number that cannot be used: NaN is no JSON; write it as a text in quotes"),
        ('{"a": 1', "line 1, column 8: is not JSON: "),
        ("[" * 100_000, "is n"),
        ("[1]", "line 1: holds a list at the top"),
    ],
)
def test_a_file_that_is_called_json_is_json(text: str, said: str) -> None:
    assert said in refusal(text, Path("x.json"))


def test_braces_may_be_yaml_too() -> None:
    assert parsed("{name: x, nodes: [a, b]}").data == {"name": "x", "nodes": ["a", "b"]}
    assert parsed('{"name": x, }').data == {"name": "x"}


def test_a_file_is_read_with_its_directory(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_bytes(b"\xef\xbb\xbfname: gr\xc3\xbc\xc3\x9fe\n")
    found = read(tmp_path / "greet.yaml")
    assert (found.data, found.base, found.name) == ({"name": "grüße"}, tmp_path, str(tmp_path / "greet.yaml"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: x\nnodes: gr\xfc\xdfe\n", "line 2, column 10: byte 0xfc is not UTF-8; save the file as UTF-8 text"),
        ("name: x\n".encode("utf-16"), "line 1, column 1: byte 0xff is not UTF-8"),
        (b"name: x\n\x00\x01\x02", "line 2: holds a zero byte; a workflow is YAML or JSON text"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(DocumentError, match=r"x\.yaml has 1 mistake") as caught:
        read(file)
    assert said in caught.value.problems[0]


def test_a_file_that_is_not_there_is_named_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "release.yaml").touch()
    for name, said in (("relaese.yaml", f"did you mean {tmp_path / 'release.yaml'}?"), ("other.yaml", "check the path"), ("", "directory")):
        with pytest.raises(DocumentError) as caught:
            read(tmp_path / name)
        assert "cannot be read" in caught.value.problems[0]
        assert said in caught.value.problems[0]
    with pytest.raises(DocumentError, match="cannot be read"):
        read("a\0b")


def test_a_huge_file_is_refused_without_reading_it_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "x.yaml").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DocumentError, match="is larger than 10 MiB"):
        read(tmp_path / "x.yaml")


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"name: x\n")))
    found = read("-")
    assert (found.data, found.name, found.path, found.base) == ({"name": "x"}, "stdin", None, Path())


def test_a_value_that_is_too_deep_is_refused() -> None:
    value: dict[str, Any] = {}
    for _ in range(200):
        value = {"a": value}
    with pytest.raises(DocumentError, match="nested more than 100 deep"):
        of(value, name="x")
