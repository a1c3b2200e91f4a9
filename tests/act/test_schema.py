"""The published JSON Schema is the one of the code, and accepts what the check accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clew.act.workflow.check import problems
from clew.act.workflow.registry import BUILT_IN, node_types
from clew.act.workflow.schema import schema
from clew.act.workflow.source import of, parsed
from clew.cli.validate import written

jsonschema = pytest.importorskip("jsonschema", reason="not applicable: jsonschema is not installed")

DOCS = Path(__file__).parents[2] / "docs"
TYPES = {name: type_ for name, type_ in node_types().items() if name in BUILT_IN}
SCHEMA = schema(TYPES)


def faults(data: Any) -> list[str]:
    return sorted(error.json_path for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_published_schema_is_that_of_the_code() -> None:
    """Written anew by: clew validate --schema > docs/workflow.schema.json"""
    assert (DOCS / "workflow.schema.json").read_text(encoding="utf-8") == written(SCHEMA) + "\n"


def examples() -> list[str]:
    text = (DOCS / "workflows.md").read_text(encoding="utf-8")
    return [
        block
        for block in re.findall(r"^```(?:yaml|json)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if re.search(r'^\s*"?name"?:', block, re.MULTILINE)
    ]


@pytest.mark.parametrize("text", examples())
def test_examples_of_the_documentation_fit_the_schema(text: str) -> None:
    assert faults(parsed(text).data) == []


def node(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "nodes": [{"id": "a", **fields}]}


SOUND: list[dict[str, Any]] = [
    node(type="shell", params={"command": ["ls", "${inputs}"], "env": "${inputs}", "timeout_s": "${inputs}"}),
    node(type="shell", params={"command": "ls", "ok_exit_codes": [0, "${inputs}"]}, timeout_s=5, retry={"attempts": 2}),
    node(type="write_file", params={"path": "x", "content": {"any": ["thing"]}}),
    node(type="workflow", params={"document": node(type="shell", params={"command": "x"})}),
    node(type="llm", params={"model": "replay:x", "prompt": "p", "messages": [{"role": "${inputs}", "content": "c"}, "${inputs}"]}),
    {**node(type="shell", params={"command": "x"}), "outputs": {"a": "${a.stdout}", "b": {"value": 1}}, "start": None},
]


@pytest.mark.parametrize("data", SOUND)
def test_what_the_check_accepts_the_schema_accepts(data: dict[str, Any]) -> None:
    assert [str(problem) for problem in problems(of(data, name="x"), TYPES)] == []
    assert faults(data) == []


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"nodes": [{"id": "a", "type": "shell", "params": {"command": "x"}}]}, "$"),
    (node(type="shell", params={"comand": "x"}), "$.nodes[0].params"),
    (node(type="shell"), "$.nodes[0]"),
    (node(type="shell", params={"command": "x", "timeout_s": "soon"}), "$.nodes[0].params.timeout_s"),
    (node(type="shell", params={"command": "x"}, retry={"attempts": 0}), "$.nodes[0].retry"),
    (node(type="workflow", params={"document": {"name": "y"}}), "$.nodes[0].params.document"),
    ({**node(type="shell", params={"command": "x"}), "inputs": {"a b": {}}}, "$.inputs"),
]


@pytest.mark.parametrize(("data", "path"), BROKEN)
def test_what_the_schema_refuses_the_check_refuses(data: dict[str, Any], path: str) -> None:
    assert path in faults(data)
    assert problems(of(data, name="x"), TYPES) != []


def test_a_type_that_is_not_built_in_is_for_the_check_to_judge() -> None:
    assert faults(node(type="mine", params={"any": "thing"})) == []


def test_every_key_is_explained_where_an_editor_looks() -> None:
    """But for those whose names say all."""
    plain = {
        "name",
        "description",
        "version",
        "inputs",
        "nodes",
        "edges",
        "outputs",
        "id",
        "type",
        "params",
        "from",
        "to",
        "action",
        "retry",
        "batch",
        "value",
    }
    parts = {"document": SCHEMA, **{name: SCHEMA["$defs"][name] for name in ("Node", "Edge", "Batch", "Retry", "Input", "Output")}}
    silent = {
        f"{part}.{key}"
        for part, found in parts.items()
        for key, about in found["properties"].items()
        if "description" not in about and key not in plain
    }
    assert silent == set()


def test_the_schema_is_plain_json() -> None:
    assert json.loads(written(SCHEMA)) == SCHEMA
    assert "``" not in written(SCHEMA)
