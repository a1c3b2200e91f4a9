"""Node types for tests, and a run with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from clew.act.workflow import running
from clew.act.workflow.document import DEFAULT, Document
from clew.act.workflow.nodes import node
from clew.act.workflow.run import RunResult, run


class Say(node.NodeType):
    """Publishes its parameters."""

    type = "say"

    class Params(node.Params):
        model_config = node.Params.model_config | {"extra": "allow"}

    def execute(self, params: Any) -> dict[str, Any]:
        return dict(params.model_extra)

    def action(self, results: Mapping[str, Any]) -> str:
        return str(results.get("action", DEFAULT))


class Call(node.NodeType):
    """Calls the function that it is given."""

    type = "call"

    class Params(node.Params):
        function: Any
        args: dict[str, Any] = Field(default_factory=dict)

    def execute(self, params: Any) -> dict[str, Any]:
        found = params.function(**params.args)
        return found if isinstance(found, dict) else {"result": found}


class Inner(node.NodeType):
    """Runs a document inside the run."""

    type = "inner"

    class Params(node.Params):
        document: dict[str, Any]
        inputs: dict[str, Any] = Field(default_factory=dict)

    def execute(self, params: Any) -> dict[str, Any]:
        return running.run_inside(Document.model_validate(params.document), params.inputs, base=running.base())


TYPES: dict[str, type[node.NodeType]] = {kind.type: kind for kind in (Say, Call, Inner)}


@pytest.fixture(scope="session")
def types() -> dict[str, type[node.NodeType]]:
    return TYPES


Run = Callable[..., RunResult]


@pytest.fixture
def run_document() -> Run:
    """Runs nodes one after the other, or along ``edges``; with no record unless asked."""

    def start(
        *nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, given: dict[str, Any] | None = None, **more: Any
    ) -> RunResult:
        options = {key: more.pop(key) for key in list(more) if key in ("metrics_collector", "trace_collector", "record", "watch", "prices")}
        document = document_of(*nodes, edges=edges, **more)
        return run(document, given or {}, base=Path(), types=TYPES, **{"record": False, **options})

    return start


def document_of(*nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, **more: Any) -> Document:
    made = [{"id": f"n{number}", **given} for number, given in enumerate(nodes)]
    if edges is None:
        edges = [{"from": one["id"], "to": two["id"]} for one, two in pairwise(made)]
    return Document.model_validate({"name": "test", "nodes": made, "edges": edges, **more})


@pytest.fixture(scope="session")
def make_document() -> Callable[..., Document]:
    return document_of


@pytest.fixture
def gate() -> threading.Event:
    """Lets threads of a test go on; opened at its end."""
    return threading.Event()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which do not take place."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits
