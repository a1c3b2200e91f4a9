"""docs/workflows.md is true: every example can be run, and every key has its row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from clew.act.workflow.check import checked, problems
from clew.act.workflow.document import Batch, Document, Edge, Input, Node, Output, Retry
from clew.act.workflow.graph import mermaid
from clew.act.workflow.nodes.subworkflow import WorkflowNode
from clew.act.workflow.reads import RUN_KEYS
from clew.act.workflow.registry import BUILT_IN, node_types
from clew.act.workflow.run import run
from clew.act.workflow.source import parsed, read

TEXT = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")
EXAMPLES = [
    block
    for block in re.findall(r"^```(?:yaml|json)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    if re.search(r'^\s*"?name"?:', block, re.MULTILINE)
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with every example under the name that its first line gives."""
    for block in EXAMPLES:
        if name := re.match(r"# (\w+\.yaml)\n", block):
            (tmp_path / name[1]).write_text(block)
    return tmp_path


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: re.search(r'name"?: "?([\w-]+)', block)[1])  # type: ignore[index]
def test_every_example_is_sound(block: str, files: Path) -> None:
    source = parsed(block, name="example", path=files / "example.yaml")
    assert [str(problem) for problem in problems(source, node_types())] == []
    assert mermaid(checked(source, node_types())).startswith("flowchart TD\n")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


def rows(heading: str) -> set[str]:
    """The first cells of the tables under a heading."""
    body = re.search(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert body is not None, heading
    return set(re.findall(r"^\| `([\w$]+)` \|", body[1], re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("The document", Document),
        ("Inputs", Input),
        ("Nodes", Node),
        ("Edges", Edge),
        ("Retries, time-outs, fallbacks", Retry),
        ("Batches", Batch),
        ("Outputs", Output),
        ("Sub-workflows", WorkflowNode.Params),
    ],
)
def test_every_key_has_its_row(heading: str, model: type[BaseModel]) -> None:
    assert rows(heading) == {field.alias or name for name, field in model.model_fields.items()}


def test_every_node_type_has_its_row_with_what_it_publishes() -> None:
    assert rows("Node types") == set(BUILT_IN)
    for name, type_ in node_types().items():
        if name in BUILT_IN and name != "git":
            row = re.search(rf"^\| `{name}` \|.*$", TEXT, re.MULTILINE)
            assert row is not None
            assert [key for key in type_.outputs if f"`{key}`" not in row[0]] == []


def test_every_figure_of_the_run_is_named() -> None:
    assert [key for key in RUN_KEYS if f"`{key}`" not in TEXT and f"${{run.{key}}}" not in TEXT] == []


def test_an_example_runs_with_its_sub_workflows(files: Path) -> None:
    """A document inside keeps its templates: they are resolved when it runs, with its own inputs."""
    types = node_types()
    result = run(checked(read(files / "greet_all.yaml"), types), {}, base=files, types=types, record=False)
    assert (result.status, result.error) == ("ok", None)
    path = str(files / "hello.txt")
    assert json.loads(result.result["text"].removeprefix("kept: ")) == [{"path": path}, {"path": path}]
    assert (files / "hello.txt").read_text() == "hello Grace\n"
