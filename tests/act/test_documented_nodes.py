"""docs/nodes.md says of every built-in node type what it takes and publishes, and nothing that is not so; its examples are sound."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from clew.act.workflow.check import problems
from clew.act.workflow.nodes.git import OPERATIONS
from clew.act.workflow.registry import node_types
from clew.act.workflow.source import parsed

PAGE = (Path(__file__).parents[2] / "docs" / "nodes.md").read_text(encoding="utf-8")
SECTIONS = {
    heading.strip("`"): body
    for heading, body in re.findall(r"^## +(.+?)\s*$\n(.*?)(?=^## +|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}  # fmt: skip
TYPES = node_types()
EXAMPLES = [
    (name, example) for name, body in SECTIONS.items() for example in re.findall(r"^```yaml\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
]


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    return "" if value is None else f"`{json.dumps(value)}`"


def plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def test_every_type_has_a_section() -> None:
    assert [heading for heading in SECTIONS if heading != "Your own"] == list(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_every_parameter_and_result_is_documented_as_it_is(name: str) -> None:
    kind = TYPES[name]
    fields = kind.Params.model_fields.items()
    rows = [f"| `{field.alias or key}` | {default(field)} | {plain(field.description or '')} |" for key, field in fields]
    rows += [f"| `{key}` | {plain(text)} |" for key, text in kind.outputs.items()]
    shown = [line for line in SECTIONS[name].splitlines() if line.startswith("| `")]
    if name == "git":
        shown = [row for row in shown if row.split("`")[1] not in OPERATIONS]
    assert shown == rows
    assert all(field.description for _, field in fields)


def test_every_git_operation_is_documented_as_it_is() -> None:
    rows = []
    for name, operation in OPERATIONS.items():
        takes = ", ".join(f"**`{key}`**" if key in operation.needs else f"`{key}`" for key in operation.takes)
        rows.append(f"| `{name}` | {takes} | {'; '.join(f'`{key}`: {text}' for key, text in operation.publishes)} |")
    assert [line for line in SECTIONS["git"].splitlines() if line.startswith("| `") and line.split("`")[1] in OPERATIONS] == rows


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_examples_are_sound_and_show_the_type(name: str, example: str) -> None:
    source = parsed(example)
    assert [str(problem) for problem in problems(source, TYPES)] == []
    assert name in {node["type"] for node in source.data["nodes"]}


def test_every_type_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == set(TYPES)
