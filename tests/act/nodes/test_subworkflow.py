"""A workflow node runs another document inside the run it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clew.act.workflow import running
from clew.act.workflow.document import Document
from clew.act.workflow.run import run as run_document
from clew.act.workflow.running import Running
from clew.errors import DocumentError
from clew.testing import recording

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Run

GREET = """
name: greet
inputs: {who: {type: string}}
nodes:
  - {id: hello, type: shell, params: {command: [echo, "hello ${inputs.who}"]}}
outputs: {said: "${hello.stdout}"}
"""
BROKEN = {"name": "broken", "nodes": [{"id": "a", "type": "shel", "params": {}}]}


@pytest.fixture
def asked(base: Path) -> list[tuple[str, dict[str, Any], Path]]:
    """What the run was asked to run inside itself."""
    found: list[tuple[str, dict[str, Any], Path]] = []

    def inside(document: Document, inputs: Mapping[str, Any], *, base: Path) -> dict[str, Any]:
        found.append((document.name, dict(inputs), base))
        return {"said": "done"}

    running.run.set(Running(base=base, run_document=inside))
    return found


def test_a_file_is_run_from_its_own_directory(run: Run, base: Path, asked: list[Any]) -> None:
    (base / "sub").mkdir()
    (base / "sub" / "greet.yaml").write_text(GREET)
    assert run("workflow", path="sub/greet.yaml", inputs={"who": "Ada"}).results == {"said": "done"}
    assert asked == [("greet", {"who": "Ada"}, base / "sub")]


def test_a_document_is_run_from_the_directory_of_the_one_around_it(run: Run, base: Path, asked: list[Any]) -> None:
    document = {"name": "inner", "nodes": [{"id": "a", "type": "shell", "params": {"command": "true"}}]}
    run("workflow", document=document)
    assert asked == [("inner", {}, base)]


def test_a_document_with_mistakes_is_not_run_and_all_of_them_are_told(run: Run, base: Path, asked: list[Any]) -> None:
    done = run("workflow", document=BROKEN)
    assert isinstance(done.error, DocumentError)
    assert "shel" in done.message
    assert asked == []


@pytest.mark.parametrize("params", [{}, {"path": "a.yaml", "document": BROKEN}])
def test_there_is_one_workflow(run: Run, params: dict[str, Any]) -> None:
    assert "give path or document" in run("workflow", **params).message


def test_a_file_that_is_not_there_is_named(run: Run, base: Path) -> None:
    assert str(base / "gone.yaml") in run("workflow", path="gone.yaml").message


def test_in_a_real_run_its_nodes_are_recorded_and_its_outputs_published(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(GREET)
    outer = Document.model_validate(
        {
            "name": "outer",
            "nodes": [{"id": "inner", "type": "workflow", "params": {"path": "greet.yaml", "inputs": {"who": "Ada"}}}],
            "outputs": {"text": "${inner.said}"},
        }
    )
    with recording() as record:
        found = run_document(outer, {}, base=tmp_path)
    assert (found.status, found.result) == ("ok", {"text": "hello Ada\n"})
    tree = record.tree()
    assert tree[0] == "workflow outer"
    assert tree[-1].strip() == "execution shell"
    assert len(tree) > 3
